// node conformance.mjs MODULE WASM PACKS FILE...: the hashes of what each file decodes to, a line of JSON with a name for each. PACKS: JSON.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

const [modulePath, wasm, packs, ...files] = process.argv.slice(2);
const { open } = await import(pathToFileURL(modulePath));
const decoder = await open({ wasm: pathToFileURL(wasm), packs: JSON.parse(packs).map((path) => pathToFileURL(path)) });

/** Of its colours, three bytes a pixel; all is opaque. */
function digest({ data }) {
  const colours = data.filter((_, at) => at % 4 < 3);
  if (data.some((value, at) => at % 4 === 3 && value !== 255)) throw new Error("a pixel is not opaque");
  return createHash("sha256").update(colours).digest("hex");
}

const found = {};
for (const file of files) {
  const bytes = readFileSync(file);
  found[basename(file, ".calo")] = {
    pixels: digest(await decoder.decode(bytes)),
    preview: digest(await decoder.decode(bytes, { preview: true })),
  };
}
console.log(JSON.stringify(found));
