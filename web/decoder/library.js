// What decoder and encoder share: a module of WebAssembly and its memory, and packs at some addresses.

const KINDS = [undefined, "format", "limit", "pack", "argument", "memory"];
const CACHE = "calotype-packs"; // of the Cache API, where there is one
export const MANIFEST = "manifest.json";
export const QUALITY = 80; // of what is encoded without a wish, as src/calotype/codec/encoder.py has it

/** What was wrong: `kind` is "format", "limit", "pack", "argument" or "memory". */
export class CalotypeError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "CalotypeError";
    this.kind = kind;
  }
}

/** Throws for a picture that is too large to be encoded here (native/exposure.hpp). */
export function checkSize({ width, height }) {
  if (Math.ceil(width / 16) * Math.ceil(height / 16) > 2 ** 16)
    throw new CalotypeError("limit", `pictures of up to 16 megapixels can be encoded here, and this one is ${width} x ${height}`);
}

/** The bytes at an address; `onBytes` hears how many are there, and of how many (0: not known). */
export async function readUrl(url, onBytes) {
  if (String(url).startsWith("file:")) {
    const { readFile } = await import("node:fs/promises");
    return readFile(new URL(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new CalotypeError("pack", `${url} cannot be read: ${response.status}`);
  if (!onBytes) return new Uint8Array(await response.arrayBuffer());
  const total = Number(response.headers.get("content-length")) || 0, parts = [], reader = response.body.getReader();
  let done = 0;
  for (let next; !(next = await reader.read()).done; ) {
    parts.push(next.value);
    onBytes((done += next.value.length), Math.max(done, total));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The functions of a module, given as it is or by its address; it calls those that are `given`. */
export async function start(wasm, read, given = {}) {
  const bytes = wasm instanceof WebAssembly.Module ? wasm : await read(wasm);
  const module = bytes instanceof WebAssembly.Module ? bytes : await WebAssembly.compile(bytes);
  const stubs = {}, known = { proc_exit: () => { throw new CalotypeError("memory", "aborted"); }, ...given };
  // The library asks nothing else of the system.
  for (const { module: room, name } of WebAssembly.Module.imports(module)) (stubs[room] ??= {})[name] = known[name] ?? (() => 0);
  const { exports } = await WebAssembly.instantiate(module, stubs);
  exports._initialize();
  return new Library(exports);
}

/** The functions `c` of a module, and its memory. */
class Library {
  constructor(exports) {
    this.c = exports;
  }

  get bytes() {
    return new Uint8Array(this.c.memory.buffer);
  }

  get view() {
    return new DataView(this.c.memory.buffer);
  }

  /** Memory of the module with these bytes, or of this size, while `use` runs. */
  with(bytes, use) {
    const size = typeof bytes === "number" ? bytes : bytes.length;
    const place = this.c.malloc(Math.max(size, 1)) >>> 0;
    if (place === 0) throw new CalotypeError("memory", "there is not enough memory");
    try {
      if (typeof bytes !== "number") this.bytes.set(bytes, place);
      return use(place);
    } finally {
      this.c.free(place);
    }
  }

  /** The number that `use` leaves at the place that it is given. */
  number(use) {
    return this.with(4, (place) => {
      this.check(use(place));
      return this.view.getUint32(place, true);
    });
  }

  check(status) {
    if (status === 0) return;
    const memory = this.bytes, start = this.c.calotype_error() >>> 0;
    throw new CalotypeError(KINDS[status], new TextDecoder().decode(memory.slice(start, memory.indexOf(0, start))));
  }
}

/** The fields of a manifest, from bytes that may be anything: `id`, its first eight digits, `name`, and whether previews need less. */
export function manifestOf(bytes, where = "this") {
  try {
    const { id, name, preview } = JSON.parse(new TextDecoder().decode(bytes));
    if (/^[0-9a-f]{8}/.test(id)) return { id: String(id).slice(0, 8), name: String(name), preview: preview !== undefined };
  } catch {} // told below
  throw new CalotypeError("pack", `${where} is not the manifest of a pack`);
}

/** Options for `open` from a list of addresses, or the address of a JSON file: of such a list (relative to it), or of {packs, keep}. */
export async function placesOf(packs) {
  if (typeof packs !== "string") return { packs };
  const answer = await fetch(packs);
  if (!answer.ok) throw new CalotypeError("pack", `the list of packs, ${packs}, cannot be read: ${answer.status}`);
  try {
    const found = await answer.json();
    return { packs: (found.packs ?? found).map((place) => new URL(place, packs).href), keep: found.keep ?? true };
  } catch {
    throw new CalotypeError("pack", `${packs} is not a list of packs`);
  }
}

/** What a file of a pack is kept under. */
function keyOf(url, id) {
  const key = new URL(url, globalThis.location?.href);
  key.searchParams.set("pack", id);
  return key;
}

/** Packs at some addresses; each file is fetched when first needed, and kept by browsers that keep things. */
export class Packs {
  #places;
  #read;
  #keep;
  #onFetch;
  #listed = new Map(); // place -> promise of the bytes of its manifest

  /** `onFetch`: see calotype.d.ts. */
  constructor(places, read, keep, onFetch) {
    this.#places = places.map((place) => String(place).replace(/\/*$/, "/"));
    this.#read = read;
    this.#keep = keep;
    this.#onFetch = onFetch;
  }

  /** What `use(manifest, other files...)` makes of the first pack that is `wanted`; `what`: for what, if there is none. */
  async open(wanted, names, what, use) {
    const unread = [];
    for (const place of this.#places) {
      if (!this.#listed.has(place)) this.#listed.set(place, this.#read(place + MANIFEST));
      let manifest, known;
      try {
        manifest = await this.#listed.get(place);
        known = manifestOf(manifest, place + MANIFEST);
      } catch (error) {
        this.#listed.delete(place); // so that it is tried again
        unread.push(error.message);
        continue;
      }
      if (!(await wanted(known, place))) continue;
      const opened = async (fresh) => {
        return use(manifest, ...(await this.#files(names.map((name) => place + name), known.id, fresh)));
      };
      return opened(false).catch(() => opened(true)); // what was kept may be damaged
    }
    throw new CalotypeError("pack", [what, ...unread].join("; "));
  }

  /** Whether a file of a pack is kept already. */
  async has(url, id) {
    const cache = this.#keep ? await globalThis.caches?.open(CACHE).catch(() => undefined) : undefined;
    return (await cache?.match(keyOf(url, id))) !== undefined;
  }

  // Together, so that it is soon known how much there is.
  async #files(urls, id, fresh) {
    const counts = {};
    const tell = (url, ...count) => {
      counts[url] = count;
      const some = Object.values(counts), sum = (k) => some.reduce((all, one) => all + one[k], 0);
      this.#onFetch?.({ done: sum(0), total: some.every((one) => one[1]) ? sum(1) : 0 });
    };
    try {
      return await Promise.all(urls.map((url) => this.#kept(url, id, fresh, tell.bind(null, url))));
    } finally {
      this.#onFetch?.({ over: true });
    }
  }

  // A file of a pack, stored compressed perhaps, fetched once where the browser keeps things (Cache API). The library
  // checks it. One worker fetches, others wait.
  async #kept(url, id, fresh, tell) {
    const read = (from) => this.#read(from, tell), stored = () => (tell(0, 0), read(url + ".gz").catch(() => read(url)));
    if (!this.#keep || !globalThis.caches || !globalThis.navigator?.locks) return stored();
    const key = keyOf(url, id);
    return navigator.locks.request(key.href, async () => {
      const cache = await caches.open(CACHE).catch(() => undefined); // private windows may refuse
      const known = fresh ? undefined : await cache?.match(key);
      if (known) return new Uint8Array(await known.arrayBuffer());
      const bytes = await stored();
      await cache?.put(key, new Response(bytes)).catch(() => {}); // the disk may be full
      return bytes;
    });
  }
}
