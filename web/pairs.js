// Pairs for blind choices: what is seen of a photograph in files of Calotype and of another codec, of the same sizes.

import { encode } from "./decoder/encode.js";
import { fitted, nearest } from "./rival.js";

export const RATES = [0.25, 0.6]; // bits for each pixel
const HIGHEST = 95; // of Calotype's qualities that lose something
const NEAR = 0.03; // how near, in proportion, Calotype's file comes to a rate, if it can
const OFF = 0.1; // how far files may be off at most

/** What has a worker of its own read a file and give pictures of places; `close` ends it. */
function reader(signal) {
  const made = new Worker(new URL("blind-worker.js", import.meta.url), { type: "module" });
  return {
    close: () => made.terminate(),
    run(given) {
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        made.onerror = (event) => (event.preventDefault(), reject(new Error(event.message || "it cannot be read here")));
        made.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
        made.postMessage(given);
      });
    },
  };
}

/**
 * Pairs of one picture (see picture.js), of at most `count` places each at two rates: as ballot.js takes them, but with Blobs for
 * addresses. `kind` is the other codec. `onStep` hears what is being done and what share of all is; `onNote` hears sentences about
 * what is left out. `firsts`, a Map, keeps qualities that were found, to begin with at the next picture.
 */
export async function pairsOf(picture, count, kind, { pool, signal, firsts, onStep, onNote, onFetch }) {
  onStep("reading", 0);
  const file = await picture.file(signal), worker = reader(signal), found = [];
  try {
    const { pixels: given, whole, places, crops } = await worker.run({ file, count });
    const pixels = new ImageData(given.data, given.width, given.height);
    if (!whole) onNote(`only its middle is taken, ${pixels.width} x ${pixels.height} pixels`);
    const made = [];
    for (const [k, bpp] of RATES.entries()) {
      const files = await filesOf(pixels, bpp, kind, { signal, firsts, onStep, onFetch, at: (share) => (0.9 * (k + share)) / RATES.length });
      if (files.why) onNote(`nothing at ${bpp} bpp: ${files.why}`);
      else made.push([bpp, files]);
    }
    onStep("decoding", 0.9);
    for (const [bpp, files] of made) {
      const mine = await cropsOf(new Uint8Array(await files.mine.arrayBuffer()), places, pool, signal);
      const { crops: theirs } = await worker.run({ file: files.theirs, places });
      const side = (codec, blob, src) => ({ codec, bytes: blob.size, bpp: (8 * blob.size) / (pixels.width * pixels.height), src });
      places.forEach((_, place) => {
        const sides = [side("Calotype", files.mine, mine[place]), side(kind, files.theirs, theirs[place])];
        found.push({ image: picture.name, wanted: bpp, original: crops[place], sides });
      });
    }
  } finally {
    worker.close();
  }
  return found;
}

/** Files of both codecs at a rate, `mine` and `theirs`, as Blobs; or `why` there are none. */
async function filesOf(pixels, bpp, kind, { signal, firsts, onStep, onFetch, at }) {
  const size = (bpp * pixels.width * pixels.height) / 8, off = (blob, wanted) => Math.abs(blob.size / wanted - 1) > OFF;
  let tries = 0;
  const share = (part) => 1 - 0.6 ** (tries + part); // how many there will be is not known
  const mine = await nearest(
    async (quality) => {
      const onProgress = (part) => onStep(`Calotype at ${bpp} bpp, trying quality ${quality}`, at(0.5 * share(part)));
      onProgress(0);
      const bytes = await encode(pixels, { quality, signal, onProgress, onFetch });
      ++tries;
      return new Blob([bytes]);
    },
    size, HIGHEST, { first: firsts.get(`Calotype ${bpp}`), near: NEAR },
  );
  if (!mine || off(mine.blob, size)) return { why: "Calotype's files of it are not near that" };
  firsts.set(`Calotype ${bpp}`, mine.at);
  tries = 0;
  const onTry = (quality) => onStep(`${kind} of the same size, trying quality ${quality}`, at(0.5 + 0.5 * share(0)), ++tries);
  const theirs = await fitted(pixels, kind, mine.blob.size, { signal, onTry, first: firsts.get(`${kind} ${bpp}`) });
  if (!theirs || off(theirs.blob, mine.blob.size)) return { why: `no ${kind} is about as small` };
  firsts.set(`${kind} ${bpp}`, theirs.quality);
  return { mine: mine.blob, theirs: theirs.blob };
}

/** PNG files of places of a .calo file that was made here, so that nothing turns it; one after the other, so that one worker does. */
async function cropsOf(bytes, places, pool, signal) {
  const found = [];
  for (const { left, top, width, height } of places) {
    const options = { region: [left, top, left + width, top + height] }, { data } = await pool.run("rows", { bytes, options }, { signal });
    found.push(await pool.run("png", { bands: [data], width, height, kind: "rgb" }, { signal, moved: [data.buffer] }));
  }
  return found;
}
