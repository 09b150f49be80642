// The same picture as JPEG or WebP of at most some bytes, as this browser's canvas writes them: to put beside a .calo file.

/** The kinds that a canvas may write; those that it does not write come out as PNG. */
export const KINDS = { JPEG: "image/jpeg", WebP: "image/webp" };

/** The file of the highest quality that has at most `most` bytes, of ImageData, as a File; null if none is so small. */
export async function rival(pixels, kind, most, name) {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height), type = KINDS[kind];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  let found = null;
  for (let low = 0, high = 100; low <= high; ) { // quality, in percent
    const quality = Math.floor((low + high) / 2), blob = await canvas.convertToBlob({ type, quality: quality / 100 });
    if (blob.type !== type) throw new Error(`this browser writes no ${kind}`);
    if (blob.size > most) high = quality - 1;
    else [found, low] = [{ blob, quality }, quality + 1];
  }
  return found && new File([found.blob], `${name} (${kind}, quality ${found.quality})`, { type });
}
