// Writes PNG files, exactly the pixels that it is given: a canvas would lose colours under alpha, and profiles.

import { crc32 } from "./probe.js";

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);

/**
 * A PNG as a Blob. `bands` are RGBA pixels, from the top, each whole rows of `width`.
 *
 * `kind`: "rgb", "rgba", "grey" or "greyAlpha", what is stored of them. `icc`, `exif`, `xmp`: bytes to keep, or nothing.
 * `fast`: do not compress, for pictures that are shown and thrown away.
 */
export async function writePng({ width, height, bands, kind, icc, exif, xmp, fast }) {
  const [channels, type] = { rgb: [[0, 1, 2], 2], rgba: [[0, 1, 2, 3], 6], grey: [[0], 0], greyAlpha: [[0, 3], 4] }[kind];
  const packed = fast || typeof CompressionStream === "undefined" ? stored : deflated;
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, type], 8);
  const parts = [SIGNATURE, ...chunk("IHDR", head)];
  if (icc) parts.push(...chunk("iCCP", text("ICC profile\0\0"), ...(await packed([icc]))));
  if (exif) parts.push(...chunk("eXIf", exif));
  if (xmp) parts.push(...chunk("iTXt", text("XML:com.adobe.xmp\0\0\0\0\0"), xmp));
  for (const bytes of await packed(filtered(bands, width, channels, fast))) parts.push(...chunk("IDAT", bytes));
  parts.push(...chunk("IEND"));
  return new Blob(parts, { type: "image/png" });
}

const text = (characters) => new TextEncoder().encode(characters);

/** The pieces of a chunk. */
function chunk(name, ...content) {
  const size = content.reduce((sum, bytes) => sum + bytes.length, 0);
  const start = new Uint8Array(8), end = new Uint8Array(4);
  new DataView(start.buffer).setUint32(0, size);
  start.set(text(name), 4);
  const crc = content.reduce((so, bytes) => crc32(bytes, so), crc32(start.subarray(4)));
  new DataView(end.buffer).setUint32(0, crc);
  return [start, ...content, end];
}

/** Filtered rows, some at a time. */
function* filtered(bands, width, channels, fast) {
  const n = channels.length, size = n * width, some = Math.max(1, Math.floor((1 << 18) / (size + 1)));
  let above = new Uint8Array(size);
  for (const band of bands) {
    const rows = band.length / (4 * width);
    for (let first = 0; first < rows; first += some) {
      const count = Math.min(some, rows - first), out = new Uint8Array(count * (size + 1));
      for (let k = 0; k < count; ++k) {
        const row = new Uint8Array(size), from = 4 * width * (first + k);
        for (let x = 0, i = 0; x < width; ++x) for (let c = 0; c < n; ++c) row[i++] = band[from + 4 * x + channels[c]];
        const [how, bytes] = fast ? [0, row] : best(row, above, n);
        out[k * (size + 1)] = how;
        out.set(bytes, k * (size + 1) + 1);
        above = row;
      }
      yield out;
    }
  }
}

/** The filter (left, above, Paeth) that leaves the least, and what it leaves: the rule of the PNG specification. */
function best(row, above, n) {
  const tries = [new Uint8Array(row.length), new Uint8Array(row.length), new Uint8Array(row.length)], sums = [0, 0, 0];
  for (let i = 0; i < row.length; ++i) {
    const left = i < n ? 0 : row[i - n], up = above[i], corner = i < n ? 0 : above[i - n];
    const a = Math.abs(up - corner), b = Math.abs(left - corner), c = Math.abs(left + up - 2 * corner);
    const guesses = [left, up, a <= b && a <= c ? left : b <= c ? up : corner];
    for (let k = 0; k < 3; ++k) {
      const rest = (row[i] - guesses[k]) & 255;
      tries[k][i] = rest;
      sums[k] += rest < 128 ? rest : 256 - rest;
    }
  }
  const least = sums.indexOf(Math.min(...sums));
  return [[1, 2, 4][least], tries[least]];
}

/** A zlib stream of the pieces, in pieces. */
async function deflated(pieces) {
  const source = pieces[Symbol.iterator]();
  const raw = new ReadableStream({
    pull(to) {
      const { value, done } = source.next();
      if (done) to.close();
      else to.enqueue(value);
    },
  });
  const found = [], reader = raw.pipeThrough(new CompressionStream("deflate")).getReader();
  for (let next; !(next = await reader.read()).done; ) found.push(next.value);
  return found;
}

/** A zlib stream that is not compressed. */
function stored(pieces) {
  const found = [Uint8Array.of(0x78, 0x01)];
  let a = 1, b = 0;
  for (const bytes of pieces) {
    for (let at = 0; at < bytes.length; at += 65535) {
      const block = bytes.subarray(at, at + 65535), size = block.length;
      found.push(Uint8Array.of(0, size, size >> 8, ~size, ~size >> 8), block);
    }
    for (let at = 0; at < bytes.length; at += 3800) { // as far as sums stay below 2^31
      for (const byte of bytes.subarray(at, at + 3800)) b += a += byte;
      a %= 65521;
      b %= 65521;
    }
  }
  found.push(Uint8Array.of(1, 0, 0, 255, 255, b >> 8, b, a >> 8, a));
  return [joined(found)];
}

/** Pieces of bytes as one. */
export function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, bytes) => sum + bytes.length, 0));
  let at = 0;
  for (const bytes of pieces) whole.set(bytes, at), (at += bytes.length);
  return whole;
}
