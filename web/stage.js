// The picture on the screen: one or two pictures on a canvas, with zoom, pan, a line between them, and overlays.

import { bytesText } from "./picture.js";

const LARGEST = 32; // device pixels for one of the picture
const LINE = "#ffffffd0", DARK = "#000000b0";

/** Whether two pictures have the same shape, but for a pixel: one of them may have been made smaller. */
export function alike(one, other) {
  const near = (a, b) => Math.abs(a - b) <= 1;
  return near((other.height * one.width) / one.height, other.width) || near((other.width * one.height) / one.width, other.height);
}

export class Stage {
  overlays = { tiles: false, bits: false };
  mostBits = 0; // for each pixel, of a tile that is red
  #canvas;
  #slider;
  #ctx;
  #left = null;
  #right = null;
  #shape = ""; // size of the left picture, which is not known at first
  #scale = 1; // device pixels for one of the left picture
  #x = 0; // what of the picture is in the middle
  #y = 0;
  #split = 0.5;
  #fitted = true;
  #pending = false;
  #pointers = new Map();
  #onChange;

  /** `onChange` hears when the scale may be another. */
  constructor(canvas, slider, onChange) {
    this.#canvas = canvas;
    this.#slider = slider;
    this.#ctx = canvas.getContext("2d");
    this.#onChange = onChange;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.#point(event));
    canvas.addEventListener("dblclick", (event) => this.toggle(this.#at(event)));
    slider.addEventListener("pointerdown", (event) => (slider.setPointerCapture(event.pointerId), event.preventDefault(), slider.focus()));
    slider.addEventListener("pointermove", (event) => {
      if (!slider.hasPointerCapture(event.pointerId)) return;
      const { left, width } = canvas.getBoundingClientRect();
      this.split = (event.clientX - left) / width;
    });
    slider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -100, End: 100 }[event.key];
      if (!step) return;
      this.split += step / 100;
      event.preventDefault();
      event.stopPropagation();
    });
    this.split = 0.5;
  }

  get scale() {
    return this.#scale;
  }

  get split() {
    return this.#split;
  }

  set split(value) {
    this.#split = Math.min(1, Math.max(0, value));
    this.#slider.style.left = `${100 * this.#split}%`;
    this.#slider.setAttribute("aria-valuenow", Math.round(100 * this.#split));
    this.redraw();
  }

  /** Shows one picture, or two. A picture has width, height, alpha, preview, parts, tiles; see picture.js. */
  show(left, right) {
    const shape = `${left?.width} ${left?.height}`, another = shape !== this.#shape;
    this.#shape = shape;
    this.#left = left;
    this.#right = right;
    this.#slider.hidden = !right;
    if (another) this.fit();
    this.redraw();
  }

  fit() {
    this.#fitted = true;
    const { width, height } = this.#canvas, picture = this.#left;
    if (picture?.width > 0 && width > 0) {
      this.#scale = Math.min(width / picture.width, height / picture.height, devicePixelRatio);
      this.#x = picture.width / 2;
      this.#y = picture.height / 2;
    }
    this.redraw();
  }

  /** Scales by a factor, or to a size; what is at a place of the canvas (device pixels) stays there. */
  zoom(factor, at = [this.#canvas.width / 2, this.#canvas.height / 2]) {
    this.zoomTo(this.#scale * factor, at);
  }

  zoomTo(scale, at = [this.#canvas.width / 2, this.#canvas.height / 2]) {
    if (!this.#left?.width) return;
    const least = Math.min(1, 32 / Math.max(this.#left.width, this.#left.height));
    const after = Math.min(LARGEST, Math.max(least, scale));
    const dx = at[0] - this.#canvas.width / 2, dy = at[1] - this.#canvas.height / 2;
    this.#x += dx / this.#scale - dx / after;
    this.#y += dy / this.#scale - dy / after;
    this.#scale = after;
    this.#fitted = false;
    this.#bound();
    this.redraw();
  }

  /** From the whole picture to pixel for pixel, and back. */
  toggle(at) {
    if (this.#fitted && this.#scale !== 1) this.zoomTo(1, at);
    else this.fit();
  }

  /** Moves the view by device pixels. */
  pan(dx, dy) {
    this.#x += dx / this.#scale;
    this.#y += dy / this.#scale;
    this.#fitted = false;
    this.#bound();
    this.redraw();
  }

  redraw() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.#draw();
      this.#onChange?.();
    });
  }

  #bound() {
    this.#x = Math.min(this.#left.width, Math.max(0, this.#x));
    this.#y = Math.min(this.#left.height, Math.max(0, this.#y));
  }

  #resize() {
    const { width, height } = this.#canvas.getBoundingClientRect();
    this.#canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    this.#canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    if (this.#fitted) this.fit();
    this.redraw();
  }

  // ---- drawing ----

  #draw() {
    const ctx = this.#ctx, { width, height } = this.#canvas;
    ctx.clearRect(0, 0, width, height);
    if (!this.#left?.width) return;
    const cut = this.#right ? Math.round(this.#split * width) : width;
    this.#within(0, cut, () => this.#picture(this.#left));
    if (this.#right) this.#within(cut, width, () => this.#picture(this.#right));
  }

  #within(from, to, draw) {
    const ctx = this.#ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, 0, to - from, this.#canvas.height);
    ctx.clip();
    draw();
    ctx.restore();
  }

  #picture(picture) {
    if (!picture.width) return;
    const ctx = this.#ctx, left = this.#left, room = [this.#scale * left.width, this.#scale * left.height];
    let [sx, sy] = [room[0] / picture.width, room[1] / picture.height];
    if (!alike(left, picture)) sx = sy = Math.min(sx, sy); // it lies within the left one
    const x0 = Math.round(this.#canvas.width / 2 - this.#x * this.#scale + (room[0] - sx * picture.width) / 2);
    const y0 = Math.round(this.#canvas.height / 2 - this.#y * this.#scale + (room[1] - sy * picture.height) / 2);
    const place = ({ left, top, width, height }) => {
      const [x, y] = [Math.round(x0 + left * sx), Math.round(y0 + top * sy)];
      return [x, y, Math.round(x0 + (left + width) * sx) - x, Math.round(y0 + (top + height) * sy) - y];
    };
    const inside = ([x, y, w, h]) => w > 0 && h > 0 && x < this.#canvas.width && y < this.#canvas.height && x + w > 0 && y + h > 0;
    const whole = place({ left: 0, top: 0, width: picture.width, height: picture.height });
    if (picture.preview) {
      ctx.imageSmoothingEnabled = true;
      ctx.imageSmoothingQuality = "high";
      ctx.drawImage(picture.preview, ...whole);
    }
    ctx.imageSmoothingEnabled = sx !== 1 && sx < 2;
    ctx.imageSmoothingQuality = "high";
    for (const part of picture.parts) {
      const at = place(part);
      if (!inside(at)) continue;
      if (picture.alpha) ctx.clearRect(...at);
      ctx.drawImage(part.bitmap, ...at);
    }
    if (this.overlays.bits && picture.places) this.#map(picture, whole, place);
    const bits = this.overlays.bits && picture.tiles.length > 1; // one tile would be one colour
    if (this.overlays.tiles || (bits && !picture.places))
      for (const tile of picture.tiles) {
        const at = place(tile);
        if (inside(at)) this.#tile(tile, at, bits, picture.places === null);
      }
  }

  /** Colours where bits went, on what is there of the picture. */
  #map({ places }, whole, place) {
    if (places.most !== this.mostBits) {
      places.canvas = new OffscreenCanvas(places.columns, places.rows);
      const small = places.canvas.getContext("2d");
      places.data.forEach((bits, k) => {
        small.fillStyle = this.#colour(bits);
        small.fillRect(k % places.columns, Math.floor(k / places.columns), 1, 1);
      });
      places.most = this.mostBits;
    }
    const ctx = this.#ctx;
    ctx.save();
    ctx.beginPath();
    ctx.rect(...whole);
    ctx.clip();
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(places.canvas, ...place(places));
    ctx.restore();
  }

  #colour(bits) {
    const share = Math.min(1, bits / Math.max(this.mostBits, 1e-9));
    return `hsl(${240 - 240 * share} 90% 50% / 45%)`; // blue for few, red for many
  }

  #tile(tile, [x, y, w, h], bits, filled) {
    const ctx = this.#ctx, unit = devicePixelRatio;
    if (bits && filled) {
      ctx.fillStyle = this.#colour(tile.bpp);
      ctx.fillRect(x, y, w, h);
    }
    ctx.lineWidth = unit;
    ctx.strokeStyle = tile.good ? LINE : "#ff3b30";
    ctx.strokeRect(x + unit / 2, y + unit / 2, w - unit, h - unit);
    const lines = bits
      ? [`${tile.bpp.toFixed(2)} bpp`, bytesText(tile.bytes)]
      : [`tile ${tile.index}`, tile.name === "pixels" ? "pixels" : ""];
    ctx.font = `${12 * unit}px system-ui, sans-serif`;
    const wide = Math.max(...lines.map((line) => ctx.measureText(line).width)) + 10 * unit;
    if (wide > w || 38 * unit > h) return;
    ctx.fillStyle = DARK;
    const rows = lines.filter(Boolean);
    const left = x + (w - wide) / 2, top = y + h / 2 - (8 * rows.length + 2) * unit; // in its middle: names stand in the corners
    ctx.fillRect(left, top, wide, (16 * rows.length + 4) * unit);
    ctx.fillStyle = "#fff";
    rows.forEach((line, k) => ctx.fillText(line, left + 5 * unit, top + (14 + 16 * k) * unit));
  }

  // ---- pointers ----

  #at(event) {
    const { left, top } = this.#canvas.getBoundingClientRect();
    return [(event.clientX - left) * devicePixelRatio, (event.clientY - top) * devicePixelRatio];
  }

  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), this.#at(event));
  }

  #point(event) {
    const here = this.#at(event), known = this.#pointers;
    if (event.type === "pointerdown") {
      this.#canvas.setPointerCapture(event.pointerId);
      known.set(event.pointerId, here);
    } else if (event.type !== "pointermove") {
      known.delete(event.pointerId);
    } else if (known.has(event.pointerId) && this.#left?.width) {
      const before = known.get(event.pointerId);
      known.set(event.pointerId, here);
      const other = [...known].find(([id]) => id !== event.pointerId)?.[1];
      if (other) { // two fingers: the picture keeps to both
        const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        this.pan(-(here[0] - before[0]) / 2, -(here[1] - before[1]) / 2);
        this.zoom(apart(here) / Math.max(1, apart(before)), [(here[0] + other[0]) / 2, (here[1] + other[1]) / 2]);
      } else this.pan(before[0] - here[0], before[1] - here[1]);
    }
  }
}
