// node corpus.mjs MODULE WASM PACK MOST-PIXELS FILE...: what each file decodes to, a line of JSON with a name for each.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

const [modulePath, wasm, pack, most, ...files] = process.argv.slice(2);
const { open, CalotypeError } = await import(pathToFileURL(modulePath));
const decoder = await open({ wasm: pathToFileURL(wasm), packs: [pathToFileURL(pack)] });
const found = {};
for (const file of files) {
  try {
    const { data } = await decoder.decode(readFileSync(file), { keepDamaged: true, maxPixels: Number(most) });
    found[basename(file)] = createHash("sha256").update(data).digest("hex");
    await decoder.bits(readFileSync(file), { keepDamaged: true, maxPixels: Number(most) }); // does not fail where the picture does not
  } catch (error) {
    if (!(error instanceof CalotypeError)) throw error;
    found[basename(file)] = error.kind;
  }
}
console.log(JSON.stringify(found));
