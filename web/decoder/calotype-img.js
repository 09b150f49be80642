// Load this script, and `<img src="photo.calo">` shows the picture: first its preview, while the file still arrives.
//
//   <meta name="calotype-packs" content="packs/photo-eyes packs/photo-psnr">   where packs are (see README.md)
//   <script type="module" src="calotype-img.js"></script>
//
// `<calo-img src="photo.calo" alt="...">` does the same, and spares browsers a vain try to read the file as a picture.
// Events: "calo-preview" and "calo-done" on the element, and "calo-error", whose `detail` says why; they bubble.

import { Pool, readAndPreview, toPng } from "./pool.js";
import { writePng } from "./png.js";

const OPTIONS = { maxPixels: 2 ** 26 }; // larger pictures are not for a page; beyond this a page may run out of memory
const NEAR = "400px"; // lazy pictures are read when they are so near to what is shown
const shown = new WeakMap(); // img -> what is being shown there

// An img's src has to become the address of a PNG. What it was, which PNG stands there, and which of its sizes are ours is kept in
// data-calo-src, data-calo-blob and data-calo-sized: what leaves the page and comes back has them, and so has a copy (cloneNode).

let pool;
function workers() {
  const named = document.querySelector('meta[name="calotype-packs"]')?.content.trim();
  return (pool ??= new Pool(named ? { packs: named.split(/\s+/).map((place) => new URL(place, document.baseURI).href) } : {}));
}

function isCalo(address) {
  try {
    return /\.calo$/i.test(new URL(address, document.baseURI).pathname);
  } catch {
    return false;
  }
}

/** Shows the .calo file at an address in an img; `tell` gets the events. Whatever it showed before is given up. */
async function show(img, address, tell = img) {
  stop(img);
  unsize(img); // a copy has the sizes of what it was copied from
  const state = { address, abort: new AbortController() };
  shown.set(img, state);
  const { signal } = state.abort, url = new URL(address, document.baseURI).href;
  const say = (name, detail) => tell.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  try {
    if (img.loading === "lazy") await near(tell, signal);
    const onPreview = async ({ data, width, height, fullWidth, fullHeight }) => {
      const blob = await writePng({ bands: [data], width, height, kind: "rgba", fast: true });
      if (signal.aborted || state.done) return;
      // A preview is an eighth of the picture: until that comes, the img is as large as it will be.
      if (!img.hasAttribute("width") && !img.hasAttribute("height")) {
        sized(img, "size");
        img.width = fullWidth;
        img.height = fullHeight;
      }
      if (!img.style.aspectRatio) { // an eighth is rounded up
        sized(img, "ratio");
        img.style.aspectRatio = `${fullWidth} / ${fullHeight}`;
      }
      put(img, state, blob);
      say("calo-preview", { width: fullWidth, height: fullHeight });
    };
    const bytes = await readAndPreview(workers(), url, { signal, onPreview, options: OPTIONS });
    const described = await workers().run("describe", { bytes, options: OPTIONS }, { signal });
    if (described.width * described.height > 2 ** 19) {
      const preview = await workers().run("preview", { bytes, options: OPTIONS }, { signal });
      await onPreview(preview);
    }
    const blob = await toPng(workers(), bytes, described, { signal, turn: true, fast: true, options: OPTIONS });
    if (signal.aborted) return;
    state.done = true;
    put(img, state, blob);
    await img.decode().catch(() => {});
    if (signal.aborted) return;
    unsize(img);
    say("calo-done", { width: described.width, height: described.height });
  } catch (error) {
    if (signal.aborted) return;
    console.warn(`calotype: ${url}: ${error.message}`);
    say("calo-error", { kind: error.kind ?? "other", message: error.message });
  }
}

function put(img, state, blob) {
  if (state.blob) URL.revokeObjectURL(state.blob);
  state.blob = URL.createObjectURL(blob);
  Object.assign(img.dataset, { caloSrc: state.address, caloBlob: state.blob });
  img.src = state.blob;
}

function sized(img, what) {
  img.dataset.caloSized = `${img.dataset.caloSized ?? ""} ${what}`.trim();
}

function unsize(img) {
  const ours = img.dataset.caloSized?.split(" ") ?? [];
  if (ours.includes("ratio")) img.style.aspectRatio = "";
  if (ours.includes("size")) for (const name of ["width", "height"]) img.removeAttribute(name);
  delete img.dataset.caloSized;
}

/** Ends what is going on for an img; it keeps what it shows, and what it was to show. */
function stop(img) {
  const state = shown.get(img);
  if (!state || state.stopped) return;
  state.stopped = true;
  state.abort.abort(new DOMException("another picture is shown", "AbortError"));
  unsize(img);
  if (state.blob) URL.revokeObjectURL(state.blob);
}

/** The img was given another picture, or none. */
function forget(img) {
  stop(img);
  unsize(img);
  shown.delete(img);
  for (const name of ["caloSrc", "caloBlob"]) delete img.dataset[name];
}

function near(element, signal) {
  return new Promise((resolve, reject) => {
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      resolve();
    }, { rootMargin: NEAR });
    watch.observe(element);
    signal.addEventListener("abort", () => (watch.disconnect(), reject(signal.reason)), { once: true });
  });
}

/** Looks after an img: shows what its src names, or named before we changed it, if that is a .calo file. */
function look(img) {
  const source = img.getAttribute("src"), state = shown.get(img), { caloSrc, caloBlob } = img.dataset;
  if (source && isCalo(source)) show(img, source);
  else if (caloSrc && source === caloBlob) {
    if (!state || (state.stopped && !state.done)) show(img, caloSrc); // a copy, or it was away before all of it was there
  } else if (state || caloSrc) forget(img);
}

class CaloImg extends HTMLElement {
  static observedAttributes = ["src", "alt", "width", "height", "loading"];
  #img = document.createElement("img");

  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(":host{display:inline-block} :host([hidden]){display:none} img{display:block;max-width:100%;height:auto}");
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style]; // unlike a style element, it is no matter of the page's content security policy
    root.append(this.#img);
  }

  attributeChangedCallback(name, before, value) {
    if (name !== "src") {
      if (value === null) this.#img.removeAttribute(name);
      else this.#img.setAttribute(name, value);
    } else if (this.isConnected && before !== value) this.#show();
  }

  connectedCallback() {
    this.#show();
  }

  disconnectedCallback() {
    forget(this.#img);
    this.#img.removeAttribute("src");
  }

  #show() {
    if (this.hasAttribute("src")) show(this.#img, this.getAttribute("src"), this);
    else forget(this.#img);
  }
}

if (!customElements.get("calo-img")) {
  customElements.define("calo-img", CaloImg);
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes, removedNodes } of changes) {
      if (type === "attributes" && target instanceof HTMLImageElement) look(target);
      for (const node of addedNodes) for (const img of images(node)) look(img);
      for (const node of removedNodes) for (const img of images(node)) if (!img.isConnected) stop(img);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] });
  for (const img of images(document)) look(img);
}

function images(node) {
  if (node instanceof HTMLImageElement) return [node];
  return node.querySelectorAll ? [...node.querySelectorAll("img[src]")] : [];
}
