// Encodes apart from the page: encode.js starts it. Files are made one after the other, of one picture at a time.

import { CalotypeError, openEncoder } from "./encoder.js";
import { placesOf } from "./library.js";

let encoder = null, opened = ""; // a promise, and what it is for
let exposure = null, picture = 0, image = null; // what is analysed, its number, and the last picture that was given
const waiting = new Map(); // id -> what ends it
let last = Promise.resolve();

async function encode(id, { packs, pack, picture: wanted, quality, level }, signal) {
  const key = JSON.stringify([packs, pack]);
  if (opened !== key) {
    exposure?.close();
    [exposure, picture, opened] = [null, 0, key];
    encoder = placesOf(packs).then((places) => openEncoder({ ...places, pack, onFetch: (fetched) => postMessage({ id, fetched }) }));
    encoder.catch(() => (opened = "")); // so that it is tried again
  }
  const ready = await encoder;
  signal.throwIfAborted();
  if (picture !== wanted) {
    exposure?.close();
    [exposure, picture] = [null, 0]; // also if the next line fails
    exposure = ready.expose(image);
    picture = wanted;
  }
  const bytes = await exposure.encode({ quality, level, signal, onProgress: (progress) => postMessage({ id, progress }) });
  if (exposure.note) postMessage({ id, note: exposure.note });
  postMessage({ id, bytes }, [bytes.buffer]);
}

async function run(id, given, signal) {
  image = given.image ?? image;
  try {
    signal.throwIfAborted();
    await encode(id, given, signal);
  } catch (error) {
    if (signal.aborted) return;
    const known = error instanceof CalotypeError;
    const kind = known ? error.kind : error instanceof WebAssembly.RuntimeError || error instanceof RangeError ? "memory" : "other";
    postMessage({ id, error: { kind, message: known || kind === "other" ? error.message : "there is not enough memory" } });
  } finally {
    waiting.delete(id);
  }
}

addEventListener("message", ({ data: { id, given, cancel } }) => {
  if (cancel) return waiting.get(cancel)?.abort();
  const ends = new AbortController();
  waiting.set(id, ends);
  last = last.then(() => run(id, given, ends.signal));
});
