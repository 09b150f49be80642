// The orientation of EXIF data: a file's pixels are stored as the camera read them, and this says how to turn them.

/** 1 (as they are) to 8, from EXIF data that begins with its TIFF header; 1 for anything that cannot be read. */
export function orientation(exif) {
  if (!exif || exif.length < 14) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const little = order === 0x4949, start = view.getUint32(4, little);
  if (view.getUint16(2, little) !== 42 || start > exif.length - 2) return 1;
  const count = view.getUint16(start, little);
  for (let at = start + 2, n = 0; n < count && at + 12 <= exif.length; ++n, at += 12) {
    if (view.getUint16(at, little) !== 0x0112 || view.getUint16(at + 2, little) !== 3) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Width and height of a picture once it is turned. */
export function turnedSize(width, height, how) {
  return how < 5 ? [width, height] : [height, width];
}

/** Where a part of a picture of this size is once the picture is turned. */
export function turnedBox(part, width, height, how) {
  const { left, top } = part, right = width - left - part.width, bottom = height - top - part.height;
  const places = [[left, top], [right, top], [right, bottom], [left, bottom], [top, left], [bottom, left], [bottom, right], [top, right]];
  const [x, y] = places[how - 1], [w, h] = turnedSize(part.width, part.height, how);
  return { left: x, top: y, width: w, height: h };
}

/** RGBA pixels, turned. */
export function turned(data, width, height, how) {
  if (how === 1) return data;
  // The turned place of a pixel is start + column * across + row * down.
  const [w, h] = turnedSize(width, height, how);
  const [start, across, down] = [
    [0, 1, w],
    [w - 1, -1, w],
    [w * h - 1, -1, -w],
    [w * (h - 1), 1, -w],
    [0, w, 1],
    [w - 1, w, -1],
    [w * h - 1, -w, -1],
    [w * (h - 1), -w, 1],
  ][how - 1];
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height), to = new Uint32Array(width * height);
  for (let y = 0, i = 0; y < height; ++y)
    for (let x = 0, at = start + y * down; x < width; ++x, at += across) to[at] = from[i++];
  return new Uint8ClampedArray(to.buffer);
}
