// Decodes .calo files, in browsers and Node: libcalotype as WebAssembly. README.md has an example.

const KINDS = [undefined, "format", "limit", "pack", "argument", "memory"];
const DAMAGED = 6;
const FILES = ["manifest.json", "tables.safetensors", "networks.safetensors"];
const CACHE = "calotype-packs"; // of the Cache API, where there is one

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
  const stubs = {}, heard = { part: () => {} };
  const given = {
    proc_exit: () => { throw new CalotypeError("memory", "aborted"); },
    calotype_done: (...box) => heard.part(...box),
  };
  // The library asks nothing else of the system.
  for (const { module: room, name } of WebAssembly.Module.imports(module)) (stubs[room] ??= {})[name] = given[name] ?? (() => 0);
  const { exports } = await WebAssembly.instantiate(module, stubs);
  exports._initialize();
  return new Decoder(exports, [options.packs ?? []].flat(), read, options.keep ?? true, heard);
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

/** The first eight digits of the id in the bytes of a manifest, which may be anything, such as a page of HTML. */
function idOf(manifest, where = "this") {
  try {
    const id = String(JSON.parse(new TextDecoder().decode(manifest)).id);
    if (/^[0-9a-f]{8}/.test(id)) return id.slice(0, 8);
  } catch {} // told below
  throw new CalotypeError("pack", `${where} is not the manifest of a pack`);
}

class Decoder {
  #c;
  #places;
  #read;
  #heard;
  #keep;
  #packs = new Map(); // id -> promise of a pack
  #listed = new Map(); // place -> promise of its manifest

  constructor(exports, places, read, keep, heard) {
    this.#keep = keep;
    this.#heard = heard;
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
  decode(bytes, options = {}) {
    return this.#decode(bytes, options, null);
  }

  /** The same in parts, each given to `onPart` as soon as it is there. */
  async develop(bytes, onPart, options = {}) {
    const { width, height, damaged } = await this.#decode(bytes, { ...options, preview: false }, onPart);
    return { width, height, damaged };
  }

  async #decode(bytes, options, onPart) {
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
          const rows = (x, y, w, h) => {
            const data = new Uint8ClampedArray(4 * w * h), memory = new Uint8Array(this.#c.memory.buffer);
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
          const status = this.#c.calotype_decode(file, pack, request, pixels, width * height * 4);
          this.#heard.part = () => {};
          if (failed) throw failed.error;
          if (status !== DAMAGED) this.#check(status);
          const data = onPart ? null : rows(left, top, width, height).data;
          return { width, height, data, damaged: status === DAMAGED };
        }),
      );
    });
  }

  /** Gives the decoder a pack: the bytes of its three files. Returns its id. Throws CalotypeError. */
  addPack(manifest, tables, networks) {
    const id = idOf(manifest);
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
    const unread = [];
    for (const place of this.#places) {
      if (!this.#listed.has(place)) this.#listed.set(place, this.#read(place + FILES[0]));
      let manifest, found;
      try {
        manifest = await this.#listed.get(place);
        found = idOf(manifest, place + FILES[0]);
      } catch (error) {
        this.#listed.delete(place); // so that it is tried again
        unread.push(error.message);
        continue;
      }
      if (found !== id) continue;
      const opened = async (fresh) =>
        this.#open(manifest, await this.#kept(place + FILES[1], id, fresh), await this.#kept(place + FILES[2], id, fresh));
      return opened(false).catch(() => opened(true)); // what was kept may be damaged
    }
    throw new CalotypeError("pack", [`pack ${id} is needed to decode this file`, ...unread].join("; "));
  }

  // What a file of a pack holds, which may be stored compressed, fetched once where the browser keeps things for pages (Cache API). The
  // library checks what comes from there against the pack's id. One worker fetches while others wait for it.
  async #kept(url, id, fresh) {
    const stored = () => this.#read(url + ".gz").catch(() => this.#read(url));
    if (!this.#keep || !globalThis.caches || !globalThis.navigator?.locks) return stored();
    const key = new URL(url, globalThis.location?.href);
    key.searchParams.set("pack", id);
    return navigator.locks.request(key.href, async () => {
      const cache = await caches.open(CACHE).catch(() => undefined); // refused to private windows of some browsers
      const known = fresh ? undefined : await cache?.match(key);
      if (known) return new Uint8Array(await known.arrayBuffer());
      const bytes = await stored();
      await cache?.put(key, new Response(bytes)).catch(() => {}); // the disk may be full
      return bytes;
    });
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
