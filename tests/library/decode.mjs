// node decode.mjs MODULE WASM PACK FILE...: one line of JSON for each file.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modulePath, wasm, pack, ...files] = process.argv.slice(2);
const { open, CalotypeError } = await import(pathToFileURL(modulePath));
const { probe } = await import(new URL("./probe.js", pathToFileURL(modulePath)));
const decoder = await open({ wasm: pathToFileURL(wasm), packs: [pathToFileURL(pack)] });
const lost = await open({ wasm: pathToFileURL(wasm) });

async function tried(work) {
  try {
    const { width, height, data, damaged } = await work();
    return { width, height, damaged, sha256: createHash("sha256").update(data).digest("hex") };
  } catch (error) {
    if (!(error instanceof CalotypeError)) throw error;
    return { error: error.kind, message: error.message };
  }
}

/** The picture from its parts. */
async function assembled(bytes) {
  const { width, height } = decoder.info(bytes, { keepDamaged: true }), data = new Uint8ClampedArray(4 * width * height);
  const { damaged } = await decoder.develop(bytes, (part) => {
    for (let y = 0; y < part.height; ++y)
      data.set(part.data.subarray(4 * y * part.width, 4 * (y + 1) * part.width), 4 * ((part.top + y) * width + part.left));
  }, { keepDamaged: true });
  return { width, height, data, damaged };
}

for (const file of files) {
  const bytes = readFileSync(file);
  const found = { whole: await tried(() => decoder.decode(bytes)) };
  found.preview = await tried(() => decoder.decode(bytes, { preview: true, keepDamaged: true }));
  found.kept = await tried(() => decoder.decode(bytes, { keepDamaged: true }));
  found.parts = await tried(() => assembled(bytes));
  found.region = await tried(() => decoder.decode(bytes, { region: [3, 5, 40, 30] }));
  found.lost = await tried(() => lost.decode(bytes));
  found.limit = await tried(() => decoder.decode(bytes, { maxPixels: 10 }));
  found.probe = probe(bytes);
  try {
    const { width, height, data } = await decoder.bits(bytes);
    found.bits = { width, height, data: [...data] };
  } catch (error) {
    found.bits = error.kind;
  }
  const { data } = await decoder.bits(bytes, { keepDamaged: true });
  found.keptBits = [...data];
  try {
    found.info = decoder.info(bytes);
    found.xmp = Buffer.from(decoder.metadata(bytes, "xmp") ?? []).toString();
  } catch (error) {
    found.info = error.kind;
  }
  console.log(JSON.stringify(found));
}
