// Decodes .calo files, in browsers and Node: libcalotype as WebAssembly. README.md has an example.

import { CalotypeError, Packs, manifestOf, readUrl, start } from "./library.js";

export { CalotypeError };

const FORMAT = 1, DAMAGED = 6, PLACE = 16; // two of calotype_status, and the side of a place in pixels
const FILES = ["tables.safetensors", "networks.safetensors"]; // of a pack, beside its manifest
const PREVIEW = ["tables.safetensors", "preview.safetensors"]; // what previews need of a pack whose manifest names the latter

/** Makes a decoder; see calotype.d.ts for the options. */
export async function open(options = {}) {
  const read = options.read ?? readUrl;
  const wasm = options.wasm ?? new URL("./calotype.wasm", import.meta.url), heard = { part: () => {} };
  const library = await start(wasm, read, { calotype_done: (...box) => heard.part(...box) });
  return new Decoder(library, new Packs([options.packs ?? []].flat(), read, options.keep ?? true, options.onFetch), heard);
}

class Decoder {
  #library;
  #places;
  #heard;
  #packs = new Map(); // id -> promise of a pack
  #parts = new Map(); // id -> promise of one for previews alone, which is sooner there, or of 0

  constructor(library, places, heard) {
    this.#library = library;
    this.#places = places;
    this.#heard = heard;
  }

  /** Facts of a file. */
  info(bytes, options = {}) {
    return this.#file(bytes, options, (file, info) => info);
  }

  /** "icc", "exif" or "xmp" of a file: a Uint8Array, or undefined. */
  metadata(bytes, name, options = {}) {
    return this.#file(bytes, options, (file) =>
      this.#with(new TextEncoder().encode(name + "\0"), (text) =>
        this.#with(4, (size) => {
          const place = this.#library.c.calotype_metadata(file, text, size);
          const length = this.#library.view.getUint32(size, true);
          return place === 0 ? undefined : this.#library.bytes.slice(place, place + length);
        }),
      ),
    );
  }

  /** The picture, or a part of it, as RGBA; see calotype.d.ts. */
  decode(bytes, options = {}) {
    return this.#decode(bytes, options, null);
  }

  /** The same in parts, each given to `onPart` as soon as it is there. */
  async develop(bytes, onPart, options = {}) {
    const { width, height, damaged } = await this.#decode(bytes, { ...options, preview: false }, onPart);
    return { width, height, damaged };
  }

  /** What each place of 16 x 16 pixels took of the file, in bits; see calotype.d.ts. */
  async bits(bytes, options = {}) {
    const { packId, needsPack } = this.info(bytes, options);
    const pack = needsPack ? await this.#pack(packId) : 0;
    return this.#file(bytes, options, (file, info) => {
      const [width, height] = [info.width, info.height].map((n) => Math.ceil(n / PLACE)), side = info.tile / PLACE;
      const data = new Float32Array(width * height), across = Math.ceil(width / side), count = across * Math.ceil(height / side);
      for (let tile = 0; tile < count; ++tile) {
        const left = (tile % across) * side, top = Math.floor(tile / across) * side;
        const w = Math.min(side, width - left), h = Math.min(side, height - top);
        this.#with(4 * w * h, (place) => {
          const status = this.#library.c.calotype_bits(file, pack, tile, place, w * h);
          if (status === FORMAT && options.keepDamaged) return; // nothing is known of it
          this.#library.check(status);
          const found = new Float32Array(this.#library.bytes.buffer, place, w * h);
          for (let row = 0; row < h; ++row) data.set(found.subarray(row * w, (row + 1) * w), (top + row) * width + left);
        });
      }
      return { width, height, data };
    });
  }

  async #decode(bytes, options, onPart) {
    const { packId, needsPack } = this.info(bytes, options);
    const part = needsPack && options.preview ? await this.#part(packId) : 0;
    const pack = needsPack ? part || (await this.#pack(packId)) : 0;
    return this.#file(bytes, options, (file, info) => {
      const [left, top, right, bottom] = options.region ?? [0, 0, info.width, info.height];
      if (![left, top, right, bottom].every((n) => Number.isInteger(n) && n >= 0))
        throw new CalotypeError("argument", "a region is four whole numbers: left, top, right, bottom");
      const eighth = options.preview ? 8 : 1;
      const width = Math.ceil((right - left) / eighth), height = Math.ceil((bottom - top) / eighth);
      if (!(width > 0 && height > 0)) throw new CalotypeError("argument", "the region is empty");
      const part = options.region ? [left, top, width, height] : [0, 0, 0, 0];
      // calotype_request: part, preview, channels, threads, stride, damaged, reserved
      const wanted = new Uint32Array([...part, options.preview ? 1 : 0, 4, 1, 0, 0, 0, 0, 0, 0]);
      return this.#with(new Uint8Array(wanted.buffer), (request) =>
        this.#with(width * height * 4, (pixels) => {
          const rows = (x, y, w, h) => {
            const data = new Uint8ClampedArray(4 * w * h), memory = this.#library.bytes;
            for (let row = 0; row < h; ++row) {
              const from = pixels + 4 * ((y - top + row) * width + x - left);
              data.set(memory.subarray(from, from + 4 * w), 4 * row * w);
            }
            return { left: x, top: y, width: w, height: h, data };
          };
          let failed;
          this.#heard.part = (...box) => {
            try { // what is thrown must not pass through the library
              if (onPart && !failed) onPart(rows(...box));
            } catch (error) {
              failed = { error };
            }
          };
          const status = this.#library.c.calotype_decode(file, pack, request, pixels, width * height * 4);
          this.#heard.part = () => {};
          if (failed) throw failed.error;
          if (status !== DAMAGED) this.#library.check(status);
          const data = onPart ? null : rows(left, top, width, height).data;
          return { width, height, data, damaged: status === DAMAGED };
        }),
      );
    });
  }

  /** Gives the decoder a pack: the bytes of its three files. Returns its id. Throws CalotypeError. */
  addPack(manifest, tables, networks) {
    const { id } = manifestOf(manifest);
    this.#packs.set(id, Promise.resolve(this.#open(manifest, tables, networks)));
    return id;
  }

  #pack(id) {
    if (!this.#packs.has(id)) {
      const open = (...files) => this.#open(...files);
      const pack = this.#places.open((known) => known.id === id, FILES, `pack ${id} is needed to decode this file`, open);
      pack.catch(() => this.#packs.delete(id)); // so that it is tried again
      this.#packs.set(id, pack);
    }
    return this.#packs.get(id);
  }

  /** A pack for previews alone, if that is sooner there: 0 if all of it is here, or nothing less can be had. */
  #part(id) {
    if (this.#packs.has(id)) return 0;
    if (!this.#parts.has(id)) {
      const open = (...files) => this.#open(...files, "calotype_open_preview");
      const wanted = async (known, place) => known.id === id && known.preview && !(await this.#places.has(place + FILES[1], id));
      this.#parts.set(id, this.#places.open(wanted, PREVIEW, "", open).catch(() => 0)); // what is wrong is told of the pack
    }
    return this.#parts.get(id);
  }

  #open(manifest, tables, networks, how = "calotype_open_pack_bytes") {
    const open = this.#library.c[how];
    return this.#with(manifest, (m) => this.#with(tables, (t) => this.#with(networks, (n) => this.#library.number((pack) =>
      open(m, manifest.length, t, tables.length, n, networks.length, pack)))));
  }

  #file(bytes, options, use) {
    if (!(bytes instanceof Uint8Array)) bytes = new Uint8Array(bytes);
    const limits = new BigUint64Array([options.maxPixels, 0, 0, options.maxMetadata].map((n) => BigInt(n ?? 0)));
    return this.#with(bytes, (data) => this.#with(new Uint8Array(limits.buffer), (most) => this.#with(4, (place) => {
      this.#library.check(this.#library.c.calotype_open_file(data, bytes.length, options.keepDamaged ? 1 : 0, most, place));
      const file = this.#library.view.getUint32(place, true);
      try {
        return use(file, this.#with(40, (at) => {
          this.#library.c.calotype_get_info(file, at);
          const view = this.#library.view, flag = (k) => view.getUint8(at + k) === 1;
          const number = (k) => view.getUint32(at + k, true);
          const packId = view.getUint32(at + 16).toString(16).padStart(8, "0");
          return { width: number(0), height: number(4), tile: number(8), level: number(12), packId,
                   needsPack: flag(20), grey: flag(21), alpha: flag(22), damaged: flag(23) };
        }));
      } finally {
        this.#library.c.calotype_close_file(file);
      }
    })));
  }

  #with(bytes, use) {
    return this.#library.with(bytes, use);
  }
}
