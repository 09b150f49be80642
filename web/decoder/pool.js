// Some workers that decode, and the way from an address or bytes to a picture: first its preview, while the file still
// arrives, then its parts. Tiles are independent, so several workers can share a picture, without shared memory.

import { CalotypeError } from "./calotype.js";

const HERE = import.meta.url;
const IDLE = 5000; // milliseconds after which a worker without work ends and gives its memory back
const MOST_BYTES = 2 ** 28; // of a file
const BAND = 2 ** 24; // most pixels that a worker decodes at once
const LARGE = 2 ** 23; // pixels from which on two workers share a picture at most: each holds its part in memory

export class Pool {
  #packs;
  #most;
  #waiting = []; // jobs
  #workers = new Map(); // worker -> its job, or null
  #next = 0;
  #fetching = 0; // when a pack that is being fetched was last heard of
  onFetch = null; // hears of it, as `onFetch` of calotype.d.ts
  waited = 0; // milliseconds for packs, so far

  /** `packs`: addresses of packs, or that of a JSON list of them; `workers`: how many at most. */
  constructor({ packs = new URL("packs.json", HERE).href, workers } = {}) {
    this.#packs = Array.isArray(packs) ? packs.map((place) => new URL(place, globalThis.location?.href).href) : packs;
    this.#most = workers ?? Math.max(1, Math.min(4, navigator.hardwareConcurrency || 2));
  }

  get workers() {
    return this.#most;
  }

  /** Has a worker do this; see worker.js. `signal` takes it back. */
  run(work, given, { onPart, signal, moved = [] } = {}) {
    return new Promise((resolve, reject) => {
      const job = { id: ++this.#next, work, given, onPart, moved, resolve, reject };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => this.#cancel(job, signal.reason), { once: true });
      this.#waiting.push(job);
      this.#assign();
    });
  }

  #assign() {
    while (this.#waiting.length > 0) {
      let free = [...this.#workers].find(([, job]) => job === null)?.[0];
      if (!free && this.#workers.size < this.#most) free = this.#start();
      if (!free) return;
      const job = this.#waiting.shift();
      this.#workers.set(free, job);
      clearTimeout(free.ends);
      free.postMessage({ id: job.id, work: job.work, packs: this.#packs, given: job.given }, job.moved);
    }
  }

  #start() {
    const url = new URL("worker.js", HERE);
    // A worker must come from the page's own origin, but it may import modules from elsewhere.
    const apart = url.origin !== globalThis.location.origin;
    const own = apart ? URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" })) : url;
    const worker = new Worker(own, { type: "module" });
    worker.onmessage = ({ data }) => this.#hear(worker, data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      const job = this.#workers.get(worker);
      this.#end(worker);
      job?.reject(new CalotypeError("other", event.message || "the decoder cannot be started here"));
      this.#assign();
    };
    this.#workers.set(worker, null);
    return worker;
  }

  #hear(worker, { id, part, result, error, fetched }) {
    if (fetched) return this.#fetched(worker, fetched);
    const job = this.#workers.get(worker);
    if (!job || job.id !== id) return;
    if (part) return job.onPart?.(part);
    if (error?.kind === "memory") this.#end(worker);
    else {
      this.#workers.set(worker, null);
      worker.ends = setTimeout(() => this.#end(worker), IDLE);
    }
    if (error) job.reject(new CalotypeError(error.kind, error.message));
    else job.resolve(result);
    this.#assign();
  }

  #fetched(worker, fetched) {
    const now = performance.now();
    worker.fetches = !fetched.over;
    if (this.#fetching) this.waited += now - this.#fetching;
    this.#fetching = fetched.over ? 0 : now;
    this.onFetch?.(fetched);
  }

  #cancel(job, reason) {
    this.#waiting = this.#waiting.filter((other) => other !== job);
    for (const [worker, at] of this.#workers) if (at === job) this.#end(worker);
    job.reject(reason);
    this.#assign();
  }

  #end(worker) {
    clearTimeout(worker.ends);
    worker.terminate();
    if (worker.fetches) this.#fetched(worker, { over: true });
    this.#workers.delete(worker);
  }
}

/** The bytes at an address; `onBytes` hears of what there is so far. */
export async function read(url, { signal, onBytes } = {}) {
  let answer;
  try {
    answer = await fetch(url, { signal });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new CalotypeError("other", `${url} cannot be reached`);
  }
  if (!answer.ok) throw new CalotypeError("other", `${url} cannot be read: ${answer.status} ${answer.statusText}`);
  let bytes = new Uint8Array(Math.min(Number(answer.headers.get("content-length")) || 1 << 16, MOST_BYTES)), size = 0;
  const reader = answer.body.getReader();
  for (let next; !(next = await reader.read()).done; ) {
    const { value } = next;
    if (size + value.length > MOST_BYTES) {
      reader.cancel().catch(() => {});
      throw new CalotypeError("limit", `${url} has more than ${MOST_BYTES >> 20} MB`);
    }
    if (size + value.length > bytes.length) {
      const larger = new Uint8Array(Math.max(2 * bytes.length, size + value.length));
      larger.set(bytes.subarray(0, size));
      bytes = larger;
    }
    bytes.set(value, size);
    size += value.length;
    onBytes?.(bytes.subarray(0, size));
  }
  return bytes.slice(0, size);
}

/**
 * Reads the file at `url` and has previews made of what there is of it: each is given to `onPreview` (pixels, width,
 * height, and the picture's own, fullWidth and fullHeight). `onStart` gets its first bytes. Resolves to the bytes of the whole file.
 */
export async function readAndPreview(pool, url, { signal, onPreview, onStart, options } = {}) {
  let busy = false, seen = 0, whole = false;
  const onBytes = (bytes) => {
    if (seen === 0 && bytes.length >= 64) onStart?.(bytes);
    if (busy || bytes.length < 1.25 * seen + 64) return;
    busy = true;
    seen = bytes.length;
    pool.run("preview", { bytes: bytes.slice(), options: { ...options, keepDamaged: true } }, { signal })
      .then((picture) => whole || onPreview?.(picture), () => {}) // too little so far, or damage, which is told at the end
      .finally(() => (busy = false));
  };
  const bytes = await read(url, { signal, onBytes });
  whole = true;
  return bytes;
}

/** Regions that together are the picture, whole rows of tiles each, for some workers. */
export function bands({ width, height, tile }, workers) {
  const rows = Math.ceil(height / tile), pixels = width * height;
  const wanted = Math.max(pixels > LARGE ? Math.min(2, workers) : workers, Math.ceil(pixels / BAND));
  const count = Math.min(rows, wanted), found = [];
  for (let k = 0; k < count; ++k) {
    const [top, bottom] = [k, k + 1].map((n) => Math.min(Math.floor((n * rows) / count) * tile, height));
    found.push([0, top, width, bottom]);
  }
  return found;
}

/** Decodes a whole file in parts, which `onPart` hears of; `info` is its own. Resolves to whether it is damaged. */
export async function develop(pool, bytes, info, { signal, onPart, options } = {}) {
  const some = bands(info, pool.workers).map((region) =>
    pool.run("parts", { bytes, options: { ...options, region } }, { signal, onPart }),
  );
  return (await Promise.all(some)).some((found) => found.damaged);
}

/** A PNG of a file as a Blob: with `turn` upright, otherwise as it is stored and with its metadata. */
export async function toPng(pool, bytes, described, { signal, turn = false, fast = false, options } = {}) {
  const { info, metadata, orientation, kind } = described;
  const decoded = await Promise.all(
    bands(info, pool.workers).map((region) => pool.run("rows", { bytes, options: { ...options, region } }, { signal })),
  );
  const pixels = decoded.map((band) => band.data);
  const kept = turn ? { icc: metadata.icc, how: orientation } : metadata;
  const given = { ...kept, bands: pixels, width: info.width, height: info.height, kind, fast };
  return pool.run("png", given, { signal, moved: pixels.map((data) => data.buffer) });
}
