// Decodes .calo files, in browsers and Node: libcalotype as WebAssembly. README.md has an example.

const KINDS = [undefined, "format", "limit", "pack", "argument", "memory"];
const DAMAGED = 6;
const FILES = ["manifest.json", "tables.safetensors", "networks.safetensors"];

/** What was wrong: `kind` is "format", "limit", "pack", "argument" or "memory". */
export class CalotypeError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "CalotypeError";
    this.kind = kind;
  }
}

/** Makes a decoder; see calotype.d.ts for the options. */
export async function open(options = {}) {
  const read = options.read ?? readUrl;
  const wasm = options.wasm ?? new URL("./calotype.wasm", import.meta.url);
  const bytes = wasm instanceof WebAssembly.Module ? wasm : await read(wasm);
  const module = bytes instanceof WebAssembly.Module ? bytes : await WebAssembly.compile(bytes);
  const stubs = {};
  for (const { module: room, name } of WebAssembly.Module.imports(module)) {
    // The library asks nothing of the system; only an abort ends up here.
    (stubs[room] ??= {})[name] = name === "proc_exit" ? () => { throw new CalotypeError("memory", "aborted"); } : () => 0;
  }
  const { exports } = await WebAssembly.instantiate(module, stubs);
  exports._initialize();
  const packs = options.packs ?? [];
  return new Decoder(exports, [packs].flat(), read);
}

async function readUrl(url) {
  if (String(url).startsWith("file:")) {
    const { readFile } = await import("node:fs/promises");
    return readFile(new URL(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new CalotypeError("pack", `${url} cannot be read: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

class Decoder {
  #c;
  #places;
  #read;
  #packs = new Map(); // id -> promise of a pack
  #listed = new Map(); // place -> promise of its manifest

  constructor(exports, places, read) {
    this.#c = exports;
    this.#places = places.map((place) => String(place).replace(/\/*$/, "/"));
    this.#read = read;
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
          const place = this.#c.calotype_metadata(file, text, size);
          const length = this.#view().getUint32(size, true);
          return place === 0 ? undefined : new Uint8Array(this.#c.memory.buffer, place, length).slice();
        }),
      ),
    );
  }

  /** The picture, or a part of it, as RGBA; see calotype.d.ts. */
  async decode(bytes, options = {}) {
    const { packId, needsPack } = this.info(bytes, options);
    const pack = needsPack ? await this.#pack(packId) : 0;
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
          const status = this.#c.calotype_decode(file, pack, request, pixels, width * height * 4);
          if (status !== DAMAGED) this.#check(status);
          const data = new Uint8ClampedArray(this.#c.memory.buffer, pixels, width * height * 4).slice();
          return { width, height, data, damaged: status === DAMAGED };
        }),
      );
    });
  }

  /** Gives the decoder a pack: the bytes of its three files. Returns its id. */
  addPack(manifest, tables, networks) {
    const id = JSON.parse(new TextDecoder().decode(manifest)).id.slice(0, 8);
    this.#packs.set(id, Promise.resolve(this.#open(manifest, tables, networks)));
    return id;
  }

  #pack(id) {
    if (!this.#packs.has(id)) {
      const pack = this.#fetch(id);
      pack.catch(() => this.#packs.delete(id)); // so that it is tried again
      this.#packs.set(id, pack);
    }
    return this.#packs.get(id);
  }

  async #fetch(id) {
    for (const place of this.#places) {
      if (!this.#listed.has(place)) this.#listed.set(place, this.#read(place + FILES[0]));
      const manifest = await this.#listed.get(place);
      if (JSON.parse(new TextDecoder().decode(manifest)).id.slice(0, 8) !== id) continue;
      const stored = async (name) => this.#read(place + name + ".gz").catch(() => this.#read(place + name));
      return this.#open(manifest, await stored(FILES[1]), await stored(FILES[2]));
    }
    throw new CalotypeError("pack", `pack ${id} is needed to decode this file`);
  }

  #open(manifest, tables, networks) {
    const c = this.#c;
    return this.#with(manifest, (m) => this.#with(tables, (t) => this.#with(networks, (n) => this.#with(4, (pack) => {
      this.#check(c.calotype_open_pack_bytes(m, manifest.length, t, tables.length, n, networks.length, pack));
      return this.#view().getUint32(pack, true);
    }))));
  }

  #file(bytes, options, use) {
    if (!(bytes instanceof Uint8Array)) bytes = new Uint8Array(bytes);
    const limits = new BigUint64Array([options.maxPixels, 0, 0, options.maxMetadata].map((n) => BigInt(n ?? 0)));
    return this.#with(bytes, (data) => this.#with(new Uint8Array(limits.buffer), (most) => this.#with(4, (place) => {
      this.#check(this.#c.calotype_open_file(data, bytes.length, options.keepDamaged ? 1 : 0, most, place));
      const file = this.#view().getUint32(place, true);
      try {
        return use(file, this.#with(40, (at) => {
          this.#c.calotype_get_info(file, at);
          const view = this.#view(), flag = (k) => view.getUint8(at + k) === 1;
          const number = (k) => view.getUint32(at + k, true);
          const packId = view.getUint32(at + 16).toString(16).padStart(8, "0");
          return { width: number(0), height: number(4), tile: number(8), level: number(12), packId,
                   needsPack: flag(20), grey: flag(21), alpha: flag(22), damaged: flag(23) };
        }));
      } finally {
        this.#c.calotype_close_file(file);
      }
    })));
  }

  // Memory of the module with these bytes, or of this size, while `use` runs.
  #with(bytes, use) {
    const size = typeof bytes === "number" ? bytes : bytes.length;
    const place = this.#c.malloc(Math.max(size, 1)) >>> 0;
    if (place === 0) throw new CalotypeError("memory", "there is not enough memory");
    try {
      if (typeof bytes !== "number") new Uint8Array(this.#c.memory.buffer).set(bytes, place);
      return use(place);
    } finally {
      this.#c.free(place);
    }
  }

  #view() {
    return new DataView(this.#c.memory.buffer);
  }

  #check(status) {
    if (status === 0) return;
    const memory = new Uint8Array(this.#c.memory.buffer), start = this.#c.calotype_error() >>> 0;
    throw new CalotypeError(KINDS[status], new TextDecoder().decode(memory.slice(start, memory.indexOf(0, start))));
  }
}
