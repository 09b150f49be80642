// The dialog in which a visitor chooses blindly between Calotype and another codec, on the photographs that are open or on others.

import { Ballot } from "./ballot.js";
import { fetchText } from "./picture.js";
import { RATES, pairsOf } from "./pairs.js";
import { avif, own } from "./rival.js";

const PICTURES = 12; // that are taken at most
const PAIRS = 24; // as many as people look at with care

export class Blind {
  #dialog;
  #pictures;
  #pool;
  #onFetch;
  #free;
  #ours = null; // photographs to choose on instead of those that are open
  #find = (name) => document.getElementById(`blind-${name}`);
  #abort = null; // of what is being made
  #ballot = null;
  #addresses = []; // of what is shown
  #text = ""; // what is being done
  #enough = null; // says that no more pictures are wanted

  /** `pictures`: a list that the page keeps; `onFetch` hears of packs that are fetched; `free` gives the encoder's memory back. */
  constructor(dialog, pictures, pool, onFetch, free) {
    this.#dialog = dialog;
    this.#pictures = pictures;
    this.#pool = pool;
    this.#onFetch = onFetch;
    this.#free = free;
    const on = { begin: () => this.#begin(), give: () => this.#giveUp(), now: () => this.#enough(), close: () => dialog.close() };
    for (const [name, does] of Object.entries(on)) this.#find(name).addEventListener("click", does);
    dialog.addEventListener("close", () => this.#end());
    dialog.addEventListener("cancel", (event) => { // Escape, or "back" on a phone
      if (this.#ballot?.choosing) this.#ballot.stop();
      else if (this.#abort) this.#giveUp();
      else return;
      event.preventDefault();
    });
  }

  get shown() {
    return this.#dialog.open;
  }

  /** Whether there is a photograph on which to choose. */
  get possible() {
    return this.#pictures.some((picture) => picture.photograph && picture.state === "done");
  }

  /** `ours`: `pictures` that come with the page, and their `credit`, to choose on instead of the open ones. */
  async open(ours = null) {
    this.#ours = ours;
    this.#find("credit").textContent = ours?.credit ?? "";
    this.#find("credit").hidden = !ours;
    this.#turn("start");
    this.#dialog.showModal();
    this.update();
    this.#find("begin").disabled = true;
    const kinds = [...((await avif()) ? ["AVIF"] : []), ...(await own())], { value } = this.#find("kind");
    this.#find("kind").replaceChildren(...kinds.map((kind) => new Option(kind, kind, false, kind === value)));
    this.#find("begin").disabled = false;
    this.#find("begin").focus();
  }

  /** Says of which photographs pairs will be made. */
  update() {
    if (!this.shown) return;
    if (this.#ours) {
      this.#find("which").textContent = `${this.#photographs.length} photographs that come with this page are used.`;
      return;
    }
    const { length } = this.#photographs, all = this.#candidates.length;
    const what = all > length ? `The first ${length} of your ${all} photographs are used.` : length === 1 ? "Your photograph is used." : `Your ${length} photographs are used.`;
    this.#find("which").textContent = length < PICTURES ? `${what} Drop more on this page, if you like, up to ${PICTURES}.` : what;
  }

  /** Hears of a pack that is being fetched. */
  fetching(now) {
    if (this.#abort) this.#find("doing").textContent = now.over ? this.#text : `${this.#text} · ${fetchText(now)}`;
  }

  key(event) {
    if (this.#find("ballot").hidden || !this.#ballot.key(event)) return;
    event.preventDefault();
  }

  get #candidates() {
    return this.#ours?.pictures ?? this.#pictures.filter((picture) => picture.photograph);
  }

  get #photographs() {
    return this.#candidates.slice(0, PICTURES);
  }

  /** Shows one part, with what is wrong, or what is to be noted. */
  #turn(part, { trouble = "", notes = "" } = {}) {
    for (const name of ["start", "busy", "ballot"]) this.#find(name).hidden = name !== part;
    for (const [name, text] of Object.entries({ trouble, notes })) {
      this.#find(name).textContent = text;
      this.#find(name).hidden = text === "";
    }
  }

  async #begin() {
    const kind = this.#find("kind").value;
    this.#turn("busy");
    this.#find("now").hidden = true;
    this.#find("give").focus();
    const { signal } = (this.#abort = new AbortController()), notes = [], pairs = [];
    const enough = new Promise((resolve) => (this.#enough = resolve)).then(() => true);
    try {
      await this.#make(kind, pairs, notes, signal, enough);
      if (signal.aborted) return;
      this.#abort.abort(new DOMException("enough is made", "AbortError")); // what was not waited for
    } finally {
      if (this.#abort?.signal === signal) {
        this.#abort = null;
        this.#free();
      }
    }
    if (pairs.length === 0) return this.#failed(notes);
    this.#turn("ballot", { notes: notes.join("\n") });
    this.#ballot = new Ballot(this.#find("ballot"), { codecs: ["Calotype", kind], pairs: pairs.map((pair) => this.#addressed(pair)), id: "blind-" });
    this.#find("where").focus();
  }

  #failed(notes) {
    this.#turn("start", { trouble: `There is nothing to choose between. ${notes.join("\n")}` });
    this.#find("begin").focus();
  }

  /** Adds pairs of one photograph after the other, and notes on what is left out, until `enough` says that they are. */
  async #make(kind, pairs, notes, signal, enough) {
    const some = this.#photographs, firsts = new Map();
    for (const [k, picture] of some.entries()) {
      const onStep = (doing, share) => this.#step(`${picture.name} (${k + 1} of ${some.length}): ${doing}`, (k + share) / some.length);
      const onNote = (note) => signal.aborted || notes.push(`${picture.name}: ${note}`);
      const count = Math.ceil(Math.floor((PAIRS - pairs.length) / RATES.length) / (some.length - k));
      const given = { pool: this.#pool, signal, firsts, onStep: (...step) => signal.aborted || onStep(...step), onNote, onFetch: this.#onFetch };
      const made = pairsOf(picture, count, kind, given).catch((error) => (signal.aborted ? [] : (onNote(error.message), [])));
      const next = await Promise.race([made, enough]);
      if (next === true || signal.aborted) return;
      pairs.push(...next);
      this.#find("now").hidden = pairs.length === 0;
      this.#find("now").textContent = `Choose between the ${pairs.length} pairs that are ready`;
    }
  }

  #step(text, share) {
    this.#text = this.#find("doing").textContent = text;
    this.#find("share").value = share;
  }

  #giveUp() {
    this.#abort?.abort(new DOMException("it was given up", "AbortError"));
    this.#abort = null;
    this.#free();
    this.#turn("start");
    this.#find("begin").focus();
  }

  /** Blobs become addresses, until they are given back. */
  #addressed(pair) {
    const address = (blob) => {
      const made = URL.createObjectURL(blob);
      this.#addresses.push(made);
      return made;
    };
    return { ...pair, original: address(pair.original), sides: pair.sides.map((side) => ({ ...side, src: address(side.src) })) };
  }

  #release() {
    this.#addresses.forEach((address) => URL.revokeObjectURL(address));
    this.#addresses = [];
    this.#find("ballot").replaceChildren();
    this.#ballot = null;
  }

  #end() {
    if (this.#abort) this.#giveUp();
    this.#release();
  }
}
