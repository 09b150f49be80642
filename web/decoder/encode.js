// Encodes pictures for pages: a worker does it, so that the page never waits.

import { CalotypeError, QUALITY, checkSize } from "./library.js";

export { CalotypeError, QUALITY, checkSize };

const HERE = import.meta.url;
let worker = null, jobs = new Map(), next = 0; // id -> job
let known = null, number = 0; // the picture that the worker has, and which one it is

/** The bytes of a .calo file of an ImageData; see encode.d.ts. The same ImageData is not analysed again. */
export async function encode(image, { packs = new URL("packs.json", HERE).href, pack, quality, level, signal, onProgress, onFetch, onNote } = {}) {
  signal?.throwIfAborted();
  checkSize(image);
  const at = (place) => new URL(place, globalThis.location?.href).href;
  const given = { packs: Array.isArray(packs) ? packs.map(at) : packs, pack, quality, level, picture: number };
  if (known !== image || !worker) {
    known = image;
    given.picture = ++number;
    given.image = { width: image.width, height: image.height, data: image.data };
  }
  worker ??= begin();
  return new Promise((resolve, reject) => {
    const id = ++next, cancel = () => {
      worker?.postMessage({ cancel: id });
      finish(id, { error: signal.reason });
    };
    jobs.set(id, { resolve, reject, onProgress, onFetch, onNote, end: () => signal?.removeEventListener("abort", cancel) });
    signal?.addEventListener("abort", cancel, { once: true });
    worker.postMessage({ id, given });
  });
}

/** Gives back the memory of the last picture; what is being encoded ends with an AbortError. */
export function forget() {
  end(new DOMException("the picture was given up", "AbortError"));
}

function begin() {
  const url = new URL("encode-worker.js", HERE), apart = url.origin !== globalThis.location.origin;
  // A worker must come from the page's own origin, but it may import modules from elsewhere.
  const own = apart ? URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" })) : url;
  const made = new Worker(own, { type: "module" });
  made.onmessage = ({ data: { id, progress, fetched, note, bytes, error } }) => {
    if (progress !== undefined) return jobs.get(id)?.onProgress?.(progress);
    if (fetched) return jobs.forEach((job) => job.onFetch?.(fetched));
    if (note) return jobs.get(id)?.onNote?.(note);
    if (!error) return finish(id, { bytes });
    const told = new CalotypeError(error.kind, error.message);
    if (error.kind === "memory") end(told); // it is not to be trusted any more
    else finish(id, { error: told });
  };
  made.onerror = (event) => {
    event.preventDefault?.();
    end(new CalotypeError("other", event.message || "the encoder cannot be started here"));
  };
  return made;
}

function finish(id, { bytes, error }) {
  const job = jobs.get(id);
  jobs.delete(id);
  job?.end();
  if (error) job?.reject(error);
  else job?.resolve(bytes);
}

function end(error) {
  worker?.terminate();
  worker = known = null;
  for (const id of [...jobs.keys()]) finish(id, { error });
}
