// The facts of a file as `calotype probe` gives them (docs/FORMAT.md), as elements. Whatever comes from a file becomes text.

import { bytesText } from "./picture.js";

const MOST_CHUNKS = 200; // rows that are listed

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function table(rows) {
  const made = element("table");
  for (const row of rows) {
    const line = made.insertRow();
    line.append(...row);
  }
  return made;
}

function word(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(4) : String(value);
}

/** Elements for a picture of picture.js; of a file that cannot be shown, what can be read of it, and why. */
export function describe(picture) {
  const title = element("h2", picture.name), rows = [], { fields, error } = picture;
  const row = (name, value, className) => rows.push([element("th", name), element("td", value, className)]);
  if (error) row("not shown", error.message, "wrong");
  if (!fields) {
    if (picture.width > 0) row("size", `${picture.width} × ${picture.height}`);
    if (picture.size > 0) row("file_size", bytesText(picture.size));
    if (picture.width > 0) row("bpp", picture.bpp.toFixed(4));
    return [title, table(rows)];
  }
  for (const [name, value] of Object.entries(fields)) {
    if (name === "chunks" || (name === "error" && value === null)) continue;
    row(name, word(value), name === "error" ? "wrong" : "");
  }
  for (const [name, bytes] of Object.entries(picture.described?.metadata ?? {})) if (bytes) row(name, bytesText(bytes.length));
  const head = ["type", "index", "offset", "length", "crc"].map((name) => element("th", name));
  const chunks = fields.chunks.slice(0, MOST_CHUNKS).map(({ name, index, offset, length, crc_ok }) => [
    element("td", name),
    ...[index, offset, length].map((n) => element("td", n, "number")),
    element("td", crc_ok ? "ok" : "wrong", crc_ok ? "" : "wrong"),
  ]);
  const rest = fields.chunks.length - chunks.length;
  const more = rest > 0 ? [element("p", `and ${rest} more`)] : [];
  const bits = element("p", "“Bits” colours each place of 16 × 16 pixels by what it took. What its parts are, calotype probe --bits tells.", "small");
  return [title, table(rows), element("h2", "Chunks"), table([head, ...chunks]), ...more, bits];
}
