// Encodes pictures where it is called, tile after tile: for workers and Node. Pages call encode.js, which has a worker do it.

import { CalotypeError, Packs, QUALITY, checkSize, manifestOf, readUrl, start } from "./library.js";

export { CalotypeError };
const HIGHEST = 95; // the quality of the highest level of latents
const WITHOUT_LOSS = -1; // in place of a level
const DRAWING = "There are text, lines or flat areas here: the program, calotype encode, may make a smaller, sharper file.";
const FILES = ["tables.safetensors", "networks.safetensors", "encoder.safetensors"]; // of a pack, beside its manifest

/** Makes an encoder; see encoder.d.ts for the options. */
export async function openEncoder(options = {}) {
  const read = options.read ?? readUrl, { pack } = options;
  const library = await start(options.wasm ?? new URL("./encode.wasm", import.meta.url), read);
  const wanted = ({ id, name }) => pack === undefined || name === pack || (String(pack).length >= 8 && String(pack).startsWith(id));
  const what = pack === undefined ? "a pack is needed to encode" : `there is no pack ${pack} to encode with`;
  return new Packs([options.packs ?? []].flat(), read, options.keep ?? true, options.onFetch).open(wanted, FILES, what, (...files) => {
    const given = (rest, places) =>
      rest.length > 0
        ? library.with(rest[0], (place) => given(rest.slice(1), [...places, place, rest[0].length]))
        : library.number((opened) => library.c.calotype_open_encoder(...places, opened));
    return new Encoder(library, given(files, []), manifestOf(files[0]));
  });
}

class Encoder {
  #library;
  #place;

  constructor(library, place, { id, name }) {
    this.#library = library;
    this.#place = place;
    this.packId = id;
    this.packName = name;
  }

  /** A picture that is to be encoded, an ImageData or the like of it; a copy is taken. Throws CalotypeError. */
  expose({ width, height, data }) {
    const { c } = this.#library;
    if (!(Number.isInteger(width) && Number.isInteger(height) && data?.length === 4 * width * height))
      throw new CalotypeError("argument", "a picture is width, height, and data of as many RGBA pixels");
    checkSize({ width, height });
    let windows;
    const place = this.#library.with(data, (rgba) => this.#library.number((opened) => {
      let status;
      this.#library.with(4, (count) => {
        status = c.calotype_open_exposure(this.#place, rgba, width, height, opened, count);
        windows = this.#library.view.getUint32(count, true);
      });
      return status;
    }));
    return new Exposure(this.#library, place, windows);
  }
}

/** One picture, analysed at most once. */
class Exposure {
  #library;
  #place;
  #windows;
  #analysed = 0;
  /** What could be better in the last file, or "". */
  note = "";
  #drawing;
  #graphic;
  #exact = null; // the bytes without loss

  constructor(library, place, windows) {
    this.#library = library;
    this.#place = place;
    this.#windows = windows;
    this.#drawing = library.c.calotype_is_drawing(place) ? DRAWING : "";
    this.#graphic = library.c.calotype_is_graphic(place) !== 0;
  }

  /**
   * The bytes of a file, at a quality or a level; one at a time. Graphics are without loss where that takes no more. What was
   * analysed before `signal` ends it is kept.
   */
  async encode({ quality, level, signal, onProgress } = {}) {
    const { c } = this.#library;
    quality ??= QUALITY; // also null
    if (!(quality >= 0 && (quality <= HIGHEST || quality === 100)))
      throw new CalotypeError("argument", `quality must be 0 to ${HIGHEST}, or 100 for no loss`);
    if (level != null && !(Number.isInteger(level) && level >= 0 && level < 2 ** 16))
      throw new CalotypeError("argument", "level must be a whole number that the pack has");
    const exact = level == null && quality === 100, graphic = level == null && this.#graphic;
    const before = exact ? 0 : this.#windows - this.#analysed; // windows, which take most of the time
    const first = (0.8 * before) / this.#windows, files = (exact ? 0 : 1) + ((exact || graphic) && !this.#exact ? 1 : 0);
    let share = 0;
    const step = async (status, part) => {
      this.#library.check(status);
      onProgress?.((share = Math.min(1, share + part)));
      await new Promise((resolve) => setTimeout(resolve)); // `signal` may have come
      signal?.throwIfAborted();
    };
    const made = async (number) => {
      const count = this.#library.number((tiles) => c.calotype_begin(this.#place, number, tiles));
      for (let tile = 0; tile < count; ++tile) await step(c.calotype_code(this.#place, tile), (1 - first) / files / count);
      return this.#library.with(4, (data) => {
        const size = this.#library.number((place) => c.calotype_finish(this.#place, data, place));
        const at = this.#library.view.getUint32(data, true);
        return this.#library.bytes.slice(at, at + size);
      });
    };
    signal?.throwIfAborted();
    if (exact || graphic) this.#exact ??= await made(WITHOUT_LOSS);
    this.note = "";
    if (exact) return this.#exact.slice(); // a copy: who gets it may give it away
    while (this.#analysed < this.#windows) {
      const status = c.calotype_analyse(this.#place, this.#analysed);
      if (status === 0) ++this.#analysed;
      await step(status, first / before);
    }
    const found = await made(level ?? this.#library.number((place) => c.calotype_level_of(this.#place, quality, place)));
    if (graphic && this.#exact.length <= found.length) return this.#exact.slice();
    this.note = this.#drawing;
    return found;
  }

  /** Gives its memory back. */
  close() {
    this.#library.c.calotype_close_exposure(this.#place);
    this.#place = 0;
  }
}
