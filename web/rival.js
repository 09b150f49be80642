// The same picture as JPEG, WebP or AVIF of about some bytes, to put beside a .calo file. JPEG and WebP are what this browser's
// canvas writes, in a worker. AVIF comes from the server of `calotype view`, or from a module beside this page, which web/avif.sh puts there.

const MODULE = "avif/avif_enc.js";
const NEAR = 0.01; // a file whose size is so near to the wanted one is taken at once
const LARGER = 0.03; // how much larger the smallest file may be
const SPAN = 3.5; // about what the logarithm of the size grows by, over all qualities

/** Kinds of files, and how fine their qualities from 0 to 100 are. AVIF has 64 of them. */
const KINDS = { JPEG: { type: "image/jpeg", steps: 100 }, WebP: { type: "image/webp", steps: 1000 }, AVIF: { type: "image/avif", steps: 100 } };

let found = null; // a promise

/** How AVIF is made here: "server", "module", or "" if it is not. */
export function avif() {
  found ??= new URLSearchParams(location.search).has("avif") ? Promise.resolve("server") : beside();
  return found;
}

async function beside() {
  const answer = await fetch(MODULE, { method: "HEAD" }).catch(() => null);
  return answer?.ok && /javascript/.test(answer.headers.get("content-type")) ? "module" : "";
}

/** Kinds that this browser writes, the better one first. */
export async function own() {
  const canvas = new OffscreenCanvas(1, 1);
  canvas.getContext("2d"); // without it there is nothing to write
  const blob = await canvas.convertToBlob({ type: KINDS.WebP.type });
  return blob.type === KINDS.WebP.type ? ["WebP", "JPEG"] : ["JPEG"];
}

/** As a File, what `fitted` makes; undefined where that is null. */
export async function rival(pixels, kind, size, name, options) {
  const found = await fitted(pixels, kind, size, options);
  return found ? new File([found.blob], `${name} (${kind}, quality ${text(found.quality)})`, { type: KINDS[kind].type }) : undefined;
}

const text = (quality) => String(Math.round(10 * quality) / 10);

/**
 * The file of ImageData whose size is nearest to `size` bytes: its `blob` and its `quality`; null if even the smallest is much larger.
 * `onTry` hears what quality is tried, `signal` ends it; `first` is the quality to begin with.
 */
export async function fitted(pixels, kind, size, { signal, onTry, first = 50 }) {
  const { type, steps } = KINDS[kind], served = kind === "AVIF" && (await avif()) === "server";
  const encoder = served ? server(pixels) : worker(kind === "AVIF" ? "avif-worker.js" : "canvas-worker.js", type, pixels, signal);
  const tried = async (step) => {
    signal.throwIfAborted();
    const quality = (100 * step) / steps;
    onTry(text(quality));
    return new Blob([await encoder.encode(quality, signal)], { type });
  };
  try {
    const found = await nearest(tried, size, steps, { first: (first / 100) * steps });
    return found && { blob: found.blob, quality: (100 * found.at) / steps };
  } finally {
    encoder.close?.();
  }
}

/** Of the files of steps 0 to `last` the one nearest to a size, which grows with the step, or one that is as `near` as that, in
 * proportion. From the step `first` on, by what sizes grow by in general, further each time, until one is smaller and one larger; then by
 * interpolation, as they grow about evenly in proportion; where that moved one end twice, the other counts half. Null if all are larger. */
export async function nearest(encode, size, last, { first = last / 2, near = NEAR } = {}) {
  let low = { at: -1 }, high = { at: last + 1 }, best = null, moved = "", reach = 1;
  for (let at = Math.round(first); high.at - low.at > 1; ) {
    const blob = await encode(at), off = Math.log(blob.size / size), one = { at, blob, off, pull: off };
    if (!best || Math.abs(off) < Math.abs(best.off)) best = one;
    if (Math.abs(off) < near) break;
    const end = off < 0 ? "low" : "high";
    if (end === "low") low = one;
    else high = one;
    if (end === moved) (end === "low" ? high : low).pull /= 2;
    moved = end;
    const between = low.blob && high.blob, part = low.pull / (low.pull - high.pull);
    const next = between ? low.at + part * (high.at - low.at) : at - (reach * off * last) / SPAN;
    reach *= 2;
    at = Math.min(high.at - 1, Math.max(low.at + 1, Math.round(next)));
  }
  return low.blob || best.off < LARGER ? best : null;
}

function server({ width, height, data }) {
  const body = new Blob([data]); // which the browser sends without the page
  return {
    async encode(quality, signal) {
      const answer = await fetch(`avif?${new URLSearchParams({ width, height, quality })}`, { method: "POST", body, signal });
      if (!answer.ok) throw new Error(`no AVIF was made: ${answer.status} ${answer.statusText}`);
      return answer.blob();
    },
  };
}

function worker(name, type, { width, height, data }, signal) {
  const made = new Worker(new URL(name, import.meta.url), { type: "module" });
  const close = () => made.terminate();
  made.postMessage({ width, height, data });
  return {
    close,
    encode(quality) {
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => (close(), reject(signal.reason)), { once: true });
        made.onerror = (event) => (event.preventDefault(), reject(new Error(event.message || `no ${type} can be made here`)));
        made.onmessage = ({ data: { bytes, error } }) => (error ? reject(new Error(error)) : resolve(bytes));
        made.postMessage({ type, quality });
      });
    },
  };
}
