// A choice between A and B without names: their order and sides, buttons and keys, the count, and how likely it is by chance. The
// viewer's page has it, and `calotype bench blind` writes it into a page of its own; so it stands alone.

/** In random order. */
export const shuffled = (list) => list.map((x) => [Math.random(), x]).sort((p, q) => p[0] - q[0]).map((p) => p[1]);

/** How likely a coin falls as unevenly as `one` to `other`, or more: the two-sided sign test. */
export function chance(one, other) {
  const n = one + other, more = Math.max(one, other);
  let ways = 1, tail = 0;
  for (let k = 0; k <= n; ++k) {
    if (Math.max(k, n - k) >= more) tail += ways;
    ways = (ways * (n - k)) / (k + 1);
  }
  return tail / 2 ** n;
}

/** How often each codec, and none, was chosen, at each rate and in all: rows of a label and counts. */
export function tally(votes, codecs) {
  const row = (label, some) => [label, ...[...codecs, null].map((codec) => some.filter(({ chosen }) => chosen === codec).length)];
  const rates = [...new Set(votes.map((vote) => vote.wanted_bpp))].sort((p, q) => p - q);
  return [...rates.map((bpp) => row(`${bpp} bpp`, votes.filter((vote) => vote.wanted_bpp === bpp))), row("all", votes)];
}

const key = (name) => `<span class="key"> (${name})</span>`;
const markup = (id) => `
  <p id="${id}where" class="where" role="status" tabindex="-1"></p>
  <div id="${id}voting">
    <div class="panels">
      <figure><figcaption id="${id}name-a">A</figcaption><img id="${id}a" alt="A"></figure>
      <figure class="original"><figcaption>original</figcaption><img id="${id}original" alt="the original"></figure>
      <figure><figcaption id="${id}name-b">B</figcaption><img id="${id}b" alt="B"></figure>
    </div>
    <div id="${id}choose" class="choose">
      <span id="${id}vote" class="vote" role="group" aria-label="Which one is closer to the original?">
        <button type="button" id="${id}vote-a" data-vote="a">A${key("key A")}</button>
        <button type="button" id="${id}vote-same" data-vote="same">no difference${key("S")}</button>
        <button type="button" id="${id}vote-b" data-vote="b">B${key("key B")}</button>
      </span>
      <button type="button" id="${id}zoom"></button>
      <button type="button" id="${id}back">back${key("⌫")}</button>
      <button type="button" id="${id}stop">stop here${key("Esc")}</button>
      <button type="button" id="${id}done" hidden>back to the result${key("Esc")}</button>
    </div>
  </div>
  <div id="${id}result" class="result" hidden>
    <table id="${id}votes" class="told" aria-label="How often each was chosen"></table>
    <p id="${id}chance"></p>
    <p class="choose">
      <button type="button" id="${id}more">go on choosing</button>
      <button type="button" id="${id}save">save my votes</button>
    </p>
    <div class="wide"><table id="${id}list" class="told" aria-label="Each pair"></table></div>
  </div>`;

export class Ballot {
  votes = [];
  #find;
  #codecs;
  #pairs;
  #scale = 1;
  #looked = null; // the pair that is looked at again, with names

  /**
   * Fills the element `root` and shows the first pair. `id` begins the ids of what is in it. Each pair has `image`, a name; `wanted`, bits
   * for each pixel; `original`, an address; and two `sides` of `codec`, `src` and `bytes`, or `bpp` where those are not known.
   */
  constructor(root, { codecs, pairs, id = "" }) {
    root.innerHTML = markup(id);
    this.#find = (name) => document.getElementById(id + name);
    this.#codecs = codecs;
    this.#pairs = shuffled(pairs).map((pair) => ({ ...pair, sides: shuffled(pair.sides) }));
    const $ = this.#find, on = { zoom: () => this.#zoom(), back: () => this.back(), stop: () => this.stop(), done: () => this.stop() };
    Object.assign(on, { more: () => this.#show(), save: () => this.#save() });
    for (const which of ["a", "same", "b"]) on[`vote-${which}`] = () => this.vote(which);
    for (const [name, does] of Object.entries(on)) $(name).onclick = does;
    const figures = ["a", "original", "b"].map((name) => $(name).parentElement);
    for (const figure of figures) // where one picture is moved to, the others follow
      figure.onscroll = () => figures.forEach((other) => Object.assign(other, { scrollLeft: figure.scrollLeft, scrollTop: figure.scrollTop }));
    for (const name of ["a", "original", "b"]) $(name).onload = () => this.#resize();
    window.onresize = () => this.#resize();
    this.#zoomed();
    this.#show();
  }

  /** Whether pictures are shown, not the result. */
  get choosing() {
    return !this.#find("voting").hidden;
  }

  /** Does what a key says; whether it says something. */
  key({ key, ctrlKey, metaKey, altKey, repeat }) {
    if (ctrlKey || metaKey || altKey) return false;
    if (repeat && this.choosing) return true; // one held down is no vote on what nobody saw
    const { choosing } = this, blindly = choosing && this.#looked === null;
    const keys = { a: () => this.vote("a"), b: () => this.vote("b"), s: () => this.vote("same"), backspace: () => this.back(), escape: () => this.stop() };
    const does = choosing && key.toLowerCase() === "z" ? () => this.#zoom() : blindly || (choosing && key === "Escape") ? keys[key.toLowerCase()] : null;
    does?.();
    return Boolean(does);
  }

  /** Takes "a", "b" or "same" for the pair that is shown. */
  vote(which) {
    const pair = this.#pairs[this.votes.length];
    if (!pair || this.#looked !== null) return;
    const chosen = which === "same" ? null : pair.sides[which === "a" ? 0 : 1].codec;
    this.votes.push({ image: pair.image, wanted_bpp: pair.wanted, left: pair.sides[0].codec, chosen });
    this.#show();
  }

  /** Takes the last vote back, and asks again. */
  back() {
    if (this.votes.pop()) this.#show();
  }

  /** Shows how the votes went so far. */
  stop() {
    const $ = this.#find, { votes } = this, total = this.#pairs.length, missing = total - votes.length;
    this.#looked = null;
    $("voting").hidden = true;
    $("result").hidden = false;
    $("where").textContent = missing === 0 ? "Done. This is how you voted." : `This is how you voted on ${votes.length} of ${total} pairs.`;
    $("more").hidden = missing === 0;
    const rows = tally(votes, this.#codecs), [, one, other] = rows.at(-1);
    $("votes").replaceChildren(line("th", ["rate", ...this.#codecs, "no difference"]), ...rows.map((row) => line("td", row)));
    const percent = (100 * chance(one, other)).toFixed(1);
    $("chance").textContent = one + other > 0 ? `A coin would be as uneven as this, or more, in ${percent} % of all tries.` : "";
    $("list").replaceChildren(line("th", ["picture", "rate", "A was", "B was", "you chose", ""]), ...votes.map((vote, k) => this.#told(vote, k)));
    $("where").focus();
  }

  #told({ image, wanted_bpp, chosen }, k) {
    const row = line("td", [image, `${wanted_bpp} bpp`, ...this.#pairs[k].sides.map(named), chosen ?? "no difference"]);
    const look = document.createElement("button"), cell = document.createElement("td");
    look.type = "button";
    look.textContent = "look";
    look.setAttribute("aria-label", `Look again at ${image} at ${wanted_bpp} bpp`);
    look.onclick = () => this.#show(k);
    cell.appendChild(look);
    row.appendChild(cell);
    return row;
  }

  /** Shows the pair that is to be voted on, or with names one that was. */
  #show(looked = null) {
    const $ = this.#find, at = looked ?? this.votes.length, pair = this.#pairs[at];
    if (!pair) return this.stop();
    this.#looked = looked;
    $("voting").hidden = false;
    $("result").hidden = true;
    for (const name of ["vote", "back", "stop"]) $(name).hidden = looked !== null;
    $("done").hidden = looked === null;
    $("back").disabled = at === 0;
    $("where").textContent =
      looked === null
        ? `Pair ${at + 1} of ${this.#pairs.length}. Both files have about the same size. View at 100 % of the browser's zoom.`
        : `${pair.image} at ${pair.wanted} bpp.`;
    pair.sides.forEach((side, k) => {
      $("ab"[k]).src = side.src;
      $(`name-${"ab"[k]}`).textContent = looked === null ? "AB"[k] : `${"AB"[k]}: ${named(side)}`;
    });
    $("original").src = pair.original;
    if (looked !== null) $("done").focus();
  }

  #zoom() {
    this.#scale = 3 - this.#scale;
    this.#zoomed();
  }

  #zoomed() {
    this.#find("zoom").innerHTML = `${this.#scale === 1 ? "two times larger" : "original size"}${key("Z")}`;
    this.#resize();
  }

  #resize() { // in pixels of the screen, not of the page, so that nothing is resampled
    for (const name of ["a", "b", "original"]) {
      const image = this.#find(name);
      image.style.width = `${(image.naturalWidth * this.#scale) / (window.devicePixelRatio || 1)}px`;
    }
  }

  #save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify({ codecs: this.#codecs, votes: this.votes }, null, 1)], { type: "application/json" }));
    link.download = "votes.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
}

const named = ({ codec, bytes, bpp }) => `${codec}, ${bytes ? `${bytes.toLocaleString("en")} bytes` : `${bpp.toFixed(3)} bpp`}`;

function line(tag, cells) {
  const row = document.createElement("tr");
  for (const text of cells) row.appendChild(document.createElement(tag)).textContent = text;
  return row;
}
