// A .calo file made of a picture that the browser reads, at a quality that a slider sets: on the screen beside its original.

import { QUALITY, checkSize, encode, forget } from "./decoder/encode.js";
import { Picture, bytesText } from "./picture.js";

const HIGHEST = 95, EXACT = 100; // the highest quality of photographs as such, and no loss: nothing lies between
const LARGE = 2 ** 21; // pixels from which on work is given up when the slider moves; smaller pictures are soon done

/** The quality that is nearest to what a slider from 0 to 100 says. */
const nearest = (value) => (value <= HIGHEST ? value : value < (HIGHEST + EXACT) / 2 ? HIGHEST : EXACT);

export class Making {
  picture = null; // what is made, as it is shown
  original = null;
  #pool;
  #onChange;
  #elements;
  #pixels = null;
  #wanted = null; // a quality
  #abort = null; // of what is being encoded

  /** `elements`: the slider, what it says, what is said of the file and of the picture, and the button that saves. */
  constructor(elements, pool, onChange) {
    this.#elements = elements;
    this.#pool = pool;
    this.#onChange = onChange;
    elements.quality.value = QUALITY;
    elements.quality.addEventListener("input", () => this.#want());
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
    try {
      checkSize(original);
      this.#pixels = original.pixels();
      this.#want();
    } catch (error) {
      this.#elements.save.disabled = true;
      this.picture.fail(error);
    }
  }

  /** Makes no more; what was made stays. */
  end() {
    this.#give();
    if (this.#pixels) forget();
    this.#pixels = this.original = this.picture = this.#wanted = null;
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
    if (!busy) this.#run();
    else if (this.#pixels.width * this.#pixels.height > LARGE) this.#give();
  }

  /** Encodes and shows, one file after the other, until the last is of the quality that is wanted. */
  async #run() {
    const { picture } = this, pixels = this.#pixels, { save, note } = this.#elements;
    save.disabled = true;
    for (let made = null; picture === this.picture && made !== this.#wanted; ) {
      const quality = (made = this.#wanted), { signal } = (this.#abort = new AbortController());
      try {
        picture.making(0);
        const onProgress = (share) => signal.aborted || picture.making(0.9 * share);
        const onNote = (text) => Object.assign(note, { textContent: text, hidden: false });
        const bytes = await encode(pixels, { quality, signal, onProgress, onNote });
        await picture.show(bytes);
        if (!signal.aborted && picture === this.picture) this.#tell(picture);
      } catch (error) {
        if (signal.aborted) continue;
        picture.fail(error);
      }
    }
    if (picture !== this.picture) return;
    this.#wanted = null;
    save.disabled = picture.state !== "done";
  }

  #tell({ size, bpp }) {
    this.#elements.made.textContent = `${bytesText(size)} · ${bpp.toFixed(2)} bits per pixel`;
  }

  #save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.picture.bytes], { type: "image/x-calotype" }));
    link.download = this.picture.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
}
