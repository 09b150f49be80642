// What a picture file has beside its pixels, by a look at the parts of JPEG, PNG and WebP: to say what is left behind.

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/** Names among "EXIF", "XMP", "profile" and "16 bits" that are in the bytes of a file; null where it is not known. */
export function extras(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg(bytes, view);
    if (text(bytes, 1, 4) === "PNG") return png(bytes, view);
    if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP") return webp(bytes, view);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ends early
  }
  return null;
}

function jpeg(bytes, view) {
  const found = new Set();
  for (let at = 2; bytes[at] === 0xff && bytes[at + 1] !== 0xda; at += 2 + view.getUint16(at + 2)) {
    const kind = bytes[at + 1], name = text(bytes, at + 4, at + 33);
    if (kind === 0xe1) found.add(name.startsWith("Exif") ? "EXIF" : "XMP");
    if (kind === 0xe2 && name.startsWith("ICC_PROFILE")) found.add("profile");
  }
  return [...found];
}

function png(bytes, view) {
  const found = new Set(bytes[24] === 16 ? ["16 bits"] : []), names = { eXIf: "EXIF", iCCP: "profile", cICP: "profile" };
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const kind = text(bytes, at + 4, at + 8);
    if (names[kind]) found.add(names[kind]);
    if (kind === "iTXt" && text(bytes, at + 8, at + 25) === "XML:com.adobe.xmp") found.add("XMP");
  }
  return [...found];
}

function webp(bytes, view) {
  const found = new Set(), names = { "EXIF": "EXIF", "XMP ": "XMP", ICCP: "profile" };
  for (let at = 12; at + 8 <= bytes.length; at += 8 + 2 * Math.ceil(view.getUint32(at + 4, true) / 2)) {
    const name = names[text(bytes, at, at + 4)];
    if (name) found.add(name);
  }
  return [...found];
}

/** One sentence on what a file that is made of these bytes in the page does not keep, or "" if there is nothing. */
export function leftBehind(bytes) {
  const found = extras(bytes);
  if (!found) return "Not kept: metadata, more than 8 bits and HDR; colours become sRGB.";
  const kept = ["EXIF", "XMP", "16 bits"].filter((name) => found.includes(name)).map((name) => (name === "16 bits" ? "more than 8 bits" : name));
  const colours = found.includes("profile") ? "colours become sRGB" : "";
  const text = [kept.length > 0 ? `not kept: ${kept.join(", ")}` : "", colours].filter(Boolean).join("; ");
  return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
}
