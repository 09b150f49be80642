// A file on its way to the screen: a .calo file by the workers, or another picture by the browser itself.

import { turnedBox } from "./decoder/orientation.js";
import { writePng } from "./decoder/png.js";
import { develop, readAndPreview, toPng } from "./decoder/pool.js";
import { probe } from "./decoder/probe.js";
import { leftBehind } from "./metadata.js";

const PLACE = 256; // pixels
const MOST_SHARE = 0.999; // of places have at most the bits of the strongest colour
const MOST_PIXELS = 2 ** 27; // of a picture that is shown: 512 MB

export class Picture {
  /** "waiting", "encoding", "preview", "parts", "done" or "failed" */
  state = "waiting";
  width = 0;
  height = 0;
  alpha = true;
  preview = null;
  parts = [];
  tiles = [];
  mostBits = 0; // for each pixel, of a tile or, once they are counted, of a place
  places = null; // where its bits went: see worker.js, but in bits for each pixel
  begun = false; // whether the header of a .calo file is read
  share = 0; // of its pixels that are there
  described = null; // of a .calo file, what the worker says of it
  fields = null; // of a .calo file, what probe.js says of it, also if it cannot be decoded
  error = null;
  note = "";
  seconds = 0; // that decoding took
  #source;
  #file = null; // of a picture that the browser reads
  #bytes = null;
  #fileSize = 0;
  #pool;
  #onChange;
  #abort = null;
  #options = {};
  #counted = null; // the bytes whose bits were counted, or cannot be

  /** `source`: a File, the address of one, or null for one that is made here; `onChange` hears of everything new. */
  constructor(source, name, pool, onChange) {
    this.#source = source;
    this.name = name;
    this.#pool = pool;
    this.#onChange = onChange;
  }

  get calo() {
    return this.described !== null;
  }

  /** Whether it is made here. */
  get made() {
    return this.#source === null;
  }

  /** Whether something of a file that failed may be left. */
  get remains() {
    return this.error?.kind === "format" && !this.#options.keepDamaged && this.fields !== null && !this.fields.lab;
  }

  get size() {
    return this.#bytes?.length ?? this.#fileSize;
  }

  /** Bits for each pixel; only once its size in pixels is known. */
  get bpp() {
    return (8 * this.size) / (this.width * this.height);
  }

  /** Reads and shows it, unless it is there; with `keep` also what is left of a damaged file. */
  async load(keep = false) {
    if (this.#abort && !keep) return;
    this.release();
    const abort = (this.#abort = new AbortController());
    this.#options = keep ? { keepDamaged: true } : {};
    this.error = null;
    try {
      await this.#load(abort.signal);
      this.#turn("done");
    } catch (error) {
      if (abort.signal.aborted) return;
      this.fields ??= this.#probed();
      this.fail(error);
    }
  }

  /** Says how far the file is that is being made; what was shown stays. */
  making(share) {
    this.#abort?.abort(new DOMException("another is being made", "AbortError"));
    this.#abort = new AbortController();
    Object.assign(this, { share, error: null, told: false });
    this.#turn("encoding");
  }

  fail({ kind = "other", message }) {
    this.error = { kind, message };
    this.#turn("failed");
  }

  /** Takes the bytes of a file that was made for its own, and shows them instead of those before. */
  async show(bytes) {
    this.making(1);
    const before = this.parts, { signal } = this.#abort;
    const close = (parts) => parts.forEach(({ bitmap }) => bitmap.close());
    const next = new Picture(null, this.name, this.#pool, () => {});
    next.#bytes = bytes;
    try {
      await next.#develop(signal);
    } catch (error) {
      close(next.parts);
      if (signal.aborted) return;
      throw error;
    }
    if (signal.aborted) return next.release();
    this.#bytes = bytes;
    for (const name of ["described", "fields", "width", "height", "alpha", "note", "preview", "parts", "tiles", "mostBits", "places"])
      this[name] = next[name];
    close(before);
    this.#turn("done");
  }

  /** Whether it may be a photograph, of which files can be made; that of a file that was not read yet shows later. */
  get photograph() {
    return !this.made && !this.rival && !this.calo && !/\.calo$/i.test(this.name) && this.state !== "failed";
  }

  /** Its file, a Blob, as it was given or is fetched now. */
  async file(signal) {
    if (typeof this.#source !== "string") return this.#source;
    return this.#file ?? (await fetched(this.#source, signal)).blob();
  }

  /** The bytes of a .calo file, once it is read. */
  get bytes() {
    return this.#bytes;
  }

  /** What a file made of its pixels does not keep: a sentence, or "". */
  async leftBehind() {
    return leftBehind(new Uint8Array(await this.#file.arrayBuffer()));
  }

  /** The pixels of a picture that the browser reads, as ImageData in sRGB. */
  pixels() {
    const [{ bitmap }] = this.parts, canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  }

  /** Gives up what it shows; `load` brings it back. */
  release() {
    this.#abort?.abort(new DOMException("not shown any more", "AbortError"));
    this.#abort = null;
    this.preview?.close();
    this.preview = null;
    for (const part of this.parts) part.bitmap.close();
    this.parts = [];
    this.share = 0;
    this.state = "waiting";
  }

  /** Has a worker find out where the bits of a .calo file went, unless that is known. */
  async count() {
    const bytes = this.#bytes;
    if (!this.calo || this.state !== "done" || this.#counted === bytes) return;
    this.#counted = bytes;
    const places = await this.#pool.run("bits", { bytes, options: this.#options }).catch(() => null); // then tiles have to do
    if (!places || bytes !== this.#bytes) return;
    places.data = places.data.map((bits) => bits / PLACE);
    const sorted = places.data.slice().sort();
    this.mostBits = sorted[Math.floor(MOST_SHARE * (sorted.length - 1))];
    this.places = places;
    this.#onChange(this);
  }

  /** A PNG of a .calo file, exactly its pixels, with its metadata. */
  png() {
    return toPng(this.#pool, this.#bytes, this.described, { options: this.#options });
  }

  /** Says at once what the first bytes of a file tell: its size. */
  #begins(bytes) {
    try {
      const { width, height } = probe(bytes.subarray(0, 64));
      Object.assign(this, { width, height, begun: true });
      this.#turn(this.state);
    } catch {} // what is wrong is told when all of it is read
  }

  #probed() {
    try {
      return this.#bytes && probe(this.#bytes);
    } catch {
      return null; // not even a header
    }
  }

  #turn(state) {
    this.state = state;
    this.#onChange(this);
  }

  async #load(signal) {
    if (this.made && !this.#bytes) throw new Error("it was not made");
    if (this.made) return this.#develop(signal);
    const remote = typeof this.#source === "string";
    if (remote && /\.calo$/i.test(new URL(this.#source).pathname)) {
      const onPreview = (picture) => this.#previewed(picture, signal);
      const onStart = (bytes) => signal.aborted || this.#begins(bytes);
      this.#bytes ??= await readAndPreview(this.#pool, this.#source, { signal, onPreview, onStart });
    } else {
      const file = remote ? await (await fetched(this.#source, signal)).blob() : this.#source;
      this.#fileSize = file.size;
      const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
      const calo = /\.calo$/i.test(this.name) || (start[0] === 0xca && start[1] === 0x4c && start[2] === 0x4f);
      if (!calo) return this.#foreign(file, signal);
      this.#begins(new Uint8Array(await file.slice(0, 64).arrayBuffer()));
      this.#bytes = new Uint8Array(await file.arrayBuffer());
    }
    signal.throwIfAborted();
    await this.#develop(signal);
  }

  async #foreign(file, signal) {
    const bitmap = await createImageBitmap(file).catch(() => {
      throw new Error("neither a .calo file nor a picture that this browser can show");
    });
    if (signal.aborted) return bitmap.close();
    this.#file = file;
    Object.assign(this, { width: bitmap.width, height: bitmap.height, share: 1 });
    this.parts = [{ left: 0, top: 0, width: bitmap.width, height: bitmap.height, bitmap }];
  }

  async #develop(signal) {
    const options = this.#options, bytes = this.#bytes, clock = () => performance.now() - this.#pool.waited, started = clock();
    const described = await this.#pool.run("describe", { bytes, options }, { signal });
    const { info, width, height, metadata } = described;
    Object.assign(this, { described, fields: described.fields, width, height, alpha: info.alpha, note: "" });
    this.#tile();
    const pixels = width * height;
    const small = await this.#pool.run("preview", { bytes, options }, { signal });
    await this.#previewed(small, signal);
    if (pixels > MOST_PIXELS) {
      this.note = `too large for this page: its preview is shown`;
      this.share = 1;
      return;
    }
    const made = [];
    const onPart = (part) => made.push(this.#part(part, metadata.icc, signal, pixels));
    const damaged = await develop(this.#pool, bytes, info, { signal, onPart, options });
    await Promise.all(made);
    this.seconds = (clock() - started) / 1000;
    if (damaged) this.note = "damaged: what could be read is shown";
    if (signal.aborted) return;
    this.preview?.close();
    this.preview = null;
  }

  async #previewed({ data, width, height, fullWidth, fullHeight }, signal) {
    const bitmap = await createImageBitmap(new ImageData(data, width, height));
    if (signal.aborted || this.parts.length > 0) return bitmap.close();
    this.preview?.close();
    Object.assign(this, { preview: bitmap, width: fullWidth, height: fullHeight });
    this.#turn("preview");
  }

  async #part(part, icc, signal, pixels) {
    const { left, top, width, height, data } = part;
    // Colours of a picture with a profile are the browser's matter: it knows profiles in PNG files.
    const source = icc
      ? await writePng({ width, height, bands: [data], kind: this.described.kind, icc, fast: true })
      : new ImageData(data, width, height);
    const bitmap = await createImageBitmap(source);
    data.buffer.transfer?.(0); // gives the memory back now, not some time
    if (signal.aborted) return bitmap.close();
    this.parts.push({ left, top, width, height, bitmap });
    this.share = Math.min(1, this.share + (width * height) / pixels);
    this.#turn("parts");
  }

  /** Where its tiles are, and how many bits each has. */
  #tile() {
    const { info, fields, orientation } = this.described, side = info.tile;
    this.tiles = fields.chunks.filter(({ type }) => type === 1 || type === 4).map((chunk) => {
      const left = (chunk.index % fields.tile_columns) * side, top = Math.floor(chunk.index / fields.tile_columns) * side;
      const part = { left, top, width: Math.min(side, info.width - left), height: Math.min(side, info.height - top) };
      const bpp = (8 * chunk.length) / (part.width * part.height);
      const box = turnedBox(part, info.width, info.height, orientation);
      return { ...box, index: chunk.index, name: chunk.name, good: chunk.crc_ok, bytes: chunk.length, bpp };
    });
    if (!this.places) this.mostBits = this.tiles.reduce((most, { bpp }) => Math.max(most, bpp), 0);
  }
}

async function fetched(url, signal) {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error(`it cannot be read: ${answer.status} ${answer.statusText}`);
  return answer;
}

/** What is said of a pack that is being fetched. */
export function fetchText({ done, total }) {
  const known = total > 0 ? `, ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB` : "";
  return `fetching the networks${known}`;
}

/** Bytes for people. */
export function bytesText(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(2)} MB`;
}
