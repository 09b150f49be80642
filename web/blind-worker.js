// Reads a photograph for blind choices, apart from the page: its pixels, where it has most detail, and what is seen there. Of each
// file that is made of it the same places.

export const SHAPE = [512, 400]; // width and height of what is shown
const APART = 256; // pixels between the corners of two places, across or down
const CELL = 32; // pixels of a side: places begin at multiples of it, or end with the picture
const SQUARES = 2 ** 16; // of 16 x 16 pixels, that can be encoded

/** Corners of at most `count` places with most detail of RGBA pixels, best first: `left`, `top`, `width`, `height`. */
export function places({ width, height, data }, count) {
  const [w, h] = [Math.min(SHAPE[0], width), Math.min(SHAPE[1], height)];
  const columns = Math.ceil(width / CELL), rows = Math.ceil(height / CELL), detail = new Float64Array(columns * rows);
  for (let y = 0; y + 1 < height; ++y)
    for (let x = 0; x + 1 < width; ++x) {
      const at = 4 * (y * width + x) + 1, green = data[at];
      detail[Math.floor(y / CELL) * columns + Math.floor(x / CELL)] += Math.abs(data[at + 4] - green) + Math.abs(data[at + 4 * width] - green);
    }
  const found = [];
  for (const top of starts(height, h))
    for (const left of starts(width, w)) {
      let sum = 0;
      for (let row = Math.floor(top / CELL); row * CELL < top + h; ++row)
        for (let column = Math.floor(left / CELL); column * CELL < left + w; ++column) sum += detail[row * columns + column];
      found.push({ left, top, width: w, height: h, sum });
    }
  found.sort((one, other) => other.sum - one.sum);
  const chosen = [];
  for (const { sum, ...place } of found) {
    if (chosen.length === count) break;
    if (chosen.every((p) => Math.max(Math.abs(p.left - place.left), Math.abs(p.top - place.top)) >= APART)) chosen.push(place);
  }
  return chosen;
}

function starts(whole, part) {
  const found = [];
  for (let at = 0; at < whole - part; at += CELL) found.push(at);
  return [...found, whole - part];
}

/** The middle of a picture that is as large as can be encoded, in its shape; all of it if that is no larger. */
export function middle(width, height) {
  if (Math.ceil(width / 16) * Math.ceil(height / 16) <= SQUARES) return { left: 0, top: 0, width, height };
  const scale = Math.sqrt((256 * SQUARES) / (width * height)), columns = Math.max(1, Math.floor((width * scale) / 16));
  const rows = Math.min(Math.ceil(height / 16), Math.floor(SQUARES / columns));
  const [wide, high] = [Math.min(width, 16 * columns), Math.min(height, 16 * rows)];
  return { left: Math.floor((width - wide) / 2), top: Math.floor((height - high) / 2), width: wide, height: high };
}

/** A place of a picture on white, on a canvas of its own. */
function cut(bitmap, { left, top, width, height }) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, left, top, width, height, 0, 0, width, height);
  return canvas;
}

const pngs = (bitmap, some) => Promise.all(some.map((place) => cut(bitmap, place).convertToBlob({ type: "image/png" })));

/** `count`: how many places are looked for, of a photograph; `places`: those of a file that was made of it. */
async function run({ file, count, places: known }) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("it is no picture that this browser can show");
  });
  try {
    if (known) return { crops: await pngs(bitmap, known) };
    const box = middle(bitmap.width, bitmap.height), whole = box.width === bitmap.width && box.height === bitmap.height;
    const canvas = cut(bitmap, box), pixels = canvas.getContext("2d").getImageData(0, 0, box.width, box.height);
    const some = places(pixels, count);
    return { pixels, whole, places: some, crops: await pngs(canvas, some) };
  } finally {
    bitmap.close();
  }
}

// Tests read this module in pages, where there is nothing to answer.
if (typeof WorkerGlobalScope !== "undefined")
  addEventListener("message", async ({ data }) => {
    try {
      const { pixels, ...told } = await run(data);
      const given = pixels && { width: pixels.width, height: pixels.height, data: pixels.data };
      postMessage({ ...told, pixels: given }, given ? [given.data.buffer] : []);
    } catch (error) {
      const memory = error instanceof RangeError || error.name === "InvalidStateError";
      postMessage({ error: memory ? "there is not enough memory" : error.message });
    }
  });
