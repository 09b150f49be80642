// The same picture as JPEG, WebP or AVIF of about some bytes, to put beside a .calo file. JPEG and WebP are what this browser's
// canvas writes. AVIF comes from the server of `calotype view`, or from a module beside this page, which web/avif.sh puts there.

const MODULE = "avif/avif_enc.js";
const NEAR = 0.01; // a file whose size is so near to the wanted one is taken at once
const LARGER = 0.03; // how much larger the smallest file may be

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
  const { type, steps } = KINDS[kind], encoder = kind !== "AVIF" ? canvas(pixels, kind, type) : (await avif()) === "server" ? server(pixels) : worker(pixels, signal);
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
 * proportion: from the step `first` on by interpolation, as it grows about evenly in proportion; where that moved one end twice, by
 * halving. Null if all are larger. */
export async function nearest(encode, size, last, { first = last / 2, near = NEAR } = {}) {
  let low = { at: -1 }, high = { at: last + 1 }, best = null, moved = "";
  for (let at = Math.round(first); high.at - low.at > 1; ) {
    const blob = await encode(at), one = { at, blob, off: Math.log(blob.size / size) };
    if (!best || Math.abs(one.off) < Math.abs(best.off)) best = one;
    if (Math.abs(one.off) < near) break;
    const end = one.off < 0 ? "low" : "high", halve = end === moved || !low.blob || !high.blob;
    if (end === "low") low = one;
    else high = one;
    moved = end;
    const part = halve ? 0.5 : low.off / (low.off - high.off);
    at = Math.min(high.at - 1, Math.max(low.at + 1, Math.round(low.at + part * (high.at - low.at))));
  }
  return low.blob || best.off < LARGER ? best : null;
}

function canvas(pixels, kind, type) {
  const made = new OffscreenCanvas(pixels.width, pixels.height);
  made.getContext("2d").putImageData(pixels, 0, 0);
  return {
    async encode(quality) {
      const blob = await made.convertToBlob({ type, quality: quality / 100 });
      if (blob.type !== type) throw new Error(`this browser writes no ${kind}`);
      return blob;
    },
  };
}

function server({ width, height, data }) {
  return {
    async encode(quality, signal) {
      const answer = await fetch(`avif?${new URLSearchParams({ width, height, quality })}`, { method: "POST", body: data, signal });
      if (!answer.ok) throw new Error(`no AVIF was made: ${answer.status} ${answer.statusText}`);
      return answer.blob();
    },
  };
}

function worker({ width, height, data }, signal) {
  const made = new Worker(new URL("avif-worker.js", import.meta.url), { type: "module" });
  const close = () => made.terminate();
  made.postMessage({ width, height, data });
  return {
    close,
    encode(quality) {
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => (close(), reject(signal.reason)), { once: true });
        made.onerror = (event) => (event.preventDefault(), reject(new Error(event.message || "no AVIF can be made here")));
        made.onmessage = ({ data: { bytes, error } }) => (error ? reject(new Error(error)) : resolve(bytes));
        made.postMessage({ quality });
      });
    },
  };
}
