// Decodes apart from the page, so that the page never waits: pool.js starts some of these and gives them work.

import { CalotypeError, open } from "./calotype.js";
import { placesOf } from "./library.js";
import { orientation, turned, turnedBox, turnedSize } from "./orientation.js";
import { probe } from "./probe.js";
import { joined, writePng } from "./png.js";

let decoder; // a promise

/** What a file says of itself, and how its EXIF data say that it is to be turned. */
function facts(decoder, { bytes, options }) {
  return { info: decoder.info(bytes, options), how: orientation(decoder.metadata(bytes, "exif", options)) };
}

const works = {
  /** What is known of a file before it is decoded. Width and height are those of the turned picture. */
  describe(decoder, { bytes, options }) {
    const info = decoder.info(bytes, options), metadata = {};
    for (const name of ["icc", "exif", "xmp"]) metadata[name] = decoder.metadata(bytes, name, options);
    const how = orientation(metadata.exif), [width, height] = turnedSize(info.width, info.height, how);
    const kind = info.grey ? (info.alpha ? "greyAlpha" : "grey") : info.alpha ? "rgba" : "rgb";
    return { info, metadata, orientation: how, width, height, kind, fields: probe(bytes) };
  },

  async preview(decoder, { bytes, options }) {
    const found = await decoder.decode(bytes, { ...options, preview: true }), { info, how } = facts(decoder, { bytes, options });
    const [width, height] = turnedSize(found.width, found.height, how);
    const [fullWidth, fullHeight] = turnedSize(info.width, info.height, how);
    return { ...found, width, height, fullWidth, fullHeight, data: turned(found.data, found.width, found.height, how) };
  },

  /** Gives turned parts. */
  async parts(decoder, { bytes, options }, give) {
    const { info, how } = facts(decoder, { bytes, options });
    const part = (p) => {
      const data = turned(p.data, p.width, p.height, how);
      give({ ...turnedBox(p, info.width, info.height, how), data }, [data.buffer]);
    };
    return decoder.develop(bytes, part, options);
  },

  /** What each place of 16 x 16 pixels took of the file, in bits: `columns` times `rows` of them, in a box of the turned picture, beyond
   * which the last of them may reach. */
  async bits(decoder, { bytes, options }) {
    const { info, how } = facts(decoder, { bytes, options }), { width, height, data } = await decoder.bits(bytes, options);
    const box = turnedBox({ left: 0, top: 0, width: 16 * width, height: 16 * height }, info.width, info.height, how);
    const [columns, rows] = turnedSize(width, height, how);
    const values = turned(new Uint8ClampedArray(data.buffer), width, height, how); // four bytes each, as pixels have
    return { ...box, columns, rows, data: new Float32Array(values.buffer) };
  },

  /** A part of the picture as it is stored. */
  rows(decoder, { bytes, options }) {
    return decoder.decode(bytes, options);
  },

  /** A PNG of bands; turned if `how` says so. */
  png(decoder, { how = 1, bands, width, height, ...rest }) {
    if (how === 1) return writePng({ bands, width, height, ...rest });
    const [w, h] = turnedSize(width, height, how);
    return writePng({ bands: [turned(joined(bands), width, height, how)], width: w, height: h, ...rest });
  },
};

addEventListener("message", async ({ data: { id, work, packs, given } }) => {
  try {
    decoder ??= placesOf(packs).then((places) => open({ ...places, onFetch: (fetched) => postMessage({ fetched }) }));
    const ready = await decoder.catch((error) => {
      decoder = undefined; // so that it is tried again
      throw error;
    });
    const result = await works[work](ready, given, (part, moved) => postMessage({ id, part }, moved));
    postMessage({ id, result }, result?.data?.buffer ? [result.data.buffer] : []);
  } catch (error) {
    const known = error instanceof CalotypeError;
    // A trap, or a page out of memory: this worker is not to be trusted any more.
    const kind = known ? error.kind : error instanceof WebAssembly.RuntimeError || error instanceof RangeError ? "memory" : "other";
    postMessage({ id, error: { kind, message: known || kind === "other" ? error.message : "there is not enough memory" } });
  }
});
