// A .calo file made of a picture that the browser reads, at a quality that a slider sets: on the screen beside its original.

import { QUALITY, checkSize, encode, forget } from "./decoder/encode.js";
import { Picture, bytesText } from "./picture.js";

const HIGHEST = 95, EXACT = 100; // the highest quality of photographs as such, and no loss: nothing lies between
const LARGE = 2 ** 21; // pixels from which on work is given up when the slider moves; smaller pictures are soon done, but for no loss
const SMALL = 2 ** 13; // pixels of icons and the like

/** The quality that is nearest to what a slider from 0 to 100 says. */
const nearest = (value) => (value <= HIGHEST ? value : value < (HIGHEST + EXACT) / 2 ? HIGHEST : EXACT);

export class Making {
  picture = null; // what is made, as it is shown
  original = null;
  #pool;
  #onChange;
  #onFetch;
  #elements;
  #pixels = null;
  #wanted = null; // a quality
  #running = null; // the quality that is being encoded
  #abort = null; // of what is being encoded

  /** `elements`: the slider, what it says, what is said of the file, what of the picture, the button for no loss, what is not kept, and the button that saves; `onFetch` hears
   * of a pack that is being fetched. */
  constructor(elements, pool, onChange, onFetch) {
    this.#elements = elements;
    this.#pool = pool;
    this.#onChange = onChange;
    this.#onFetch = onFetch;
    elements.quality.value = QUALITY;
    elements.quality.addEventListener("input", () => this.#want());
    elements.exact.addEventListener("click", () => {
      elements.quality.value = EXACT;
      this.#want();
    });
    elements.save.addEventListener("click", () => this.#save());
  }

  /** Begins with another picture; what is made of it is `picture`. */
  begin(original) {
    this.end();
    this.original = original;
    this.picture = new Picture(null, `${original.name.replace(/\.\w+$/, "")}.calo`, this.#pool, this.#onChange);
    this.picture.making(0);
    this.#elements.made.textContent = "";
    this.#elements.note.hidden = true;
    this.#elements.lost.textContent = "";
    const { picture } = this;
    original.leftBehind().then((text) => picture === this.picture && (this.#elements.lost.textContent = text), () => {});
    try {
      checkSize(original);
      this.#pixels = original.pixels();
      this.#want();
    } catch (error) {
      this.#elements.save.disabled = true;
      this.picture.fail(error);
    }
  }

  /** The original's, as ImageData. */
  get pixels() {
    return this.#pixels;
  }

  /** Makes no more; what was made stays. */
  end() {
    this.#give();
    if (this.#pixels) forget();
    this.#pixels = this.original = this.picture = this.#wanted = this.#running = null;
  }

  #give() {
    this.#abort?.abort(new DOMException("it is not wanted any more", "AbortError"));
    this.picture?.making(0); // also what is being decoded
  }

  /** Hears of the slider. */
  #want() {
    if (!this.#pixels) return;
    const { quality, chosen } = this.#elements, busy = this.#wanted !== null;
    this.#wanted = nearest(quality.valueAsNumber);
    chosen.textContent = this.#wanted === EXACT ? "no loss" : String(this.#wanted);
    quality.setAttribute("aria-valuetext", chosen.textContent);
    if (this.#wanted !== this.#running) this.#elements.made.textContent = ""; // it was said of another quality
    if (!busy) this.#run();
    else if (this.#wanted !== this.#running && (this.#running === EXACT || this.#pixels.width * this.#pixels.height > LARGE)) this.#give();
  }

  /** Encodes and shows, one file after the other, until the last is of the quality that is wanted. */
  async #run() {
    const { picture } = this, pixels = this.#pixels, { save } = this.#elements;
    save.disabled = true;
    for (let made = null; picture === this.picture && made !== this.#wanted; ) {
      const quality = (made = this.#running = this.#wanted), { signal } = (this.#abort = new AbortController());
      try {
        picture.making(0);
        let note = "";
        const onProgress = (share) => signal.aborted || picture.making(0.9 * share);
        const onNote = (text) => (note = `${text} Here it is sharp without loss.`);
        const bytes = await encode(pixels, { quality, signal, onProgress, onNote, onFetch: this.#onFetch });
        await picture.show(bytes);
        if (!signal.aborted && picture === this.picture && made === this.#wanted) this.#tell(picture, note);
      } catch (error) {
        if (signal.aborted) continue;
        picture.fail(error);
      } finally {
        this.#onFetch({ over: true });
      }
    }
    if (picture !== this.picture) return;
    this.#wanted = this.#running = null;
    save.disabled = picture.state !== "done";
  }

  /** What is said of the file that was made; `note`: why it might be better without loss, or "". */
  #tell({ size, bpp, width, height, described }, note) {
    const exact = !described.info.needsPack, chosen = this.#wanted === EXACT;
    this.#elements.made.textContent = [bytesText(size), `${bpp.toFixed(2)} bits per pixel`, ...(exact && !chosen ? ["no loss, and no larger"] : [])].join(" · ");
    if (!exact && width * height <= SMALL) note ||= "Small pictures, such as icons, may be best without loss.";
    this.#elements.told.textContent = note;
    this.#elements.note.hidden = note === "";
  }

  #save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.picture.bytes], { type: "image/x-calotype" }));
    link.download = this.picture.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
}
