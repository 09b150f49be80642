// node encode.mjs MODULE WASM CASES: a line of JSON for each case of the JSON file: what the encoder makes of a picture at
// each wish, or the kind of its error; then whether giving up a file leaves the next one as it was.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modulePath, wasm, cases] = process.argv.slice(2);
const { openEncoder, CalotypeError } = await import(pathToFileURL(modulePath));
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function tried(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CalotypeError || error.name === "AbortError")) throw error;
    return { error: error.kind ?? error.name, message: error.message };
  }
}

for (const { packs, pack, width, height, raw, wishes } of JSON.parse(readFileSync(cases))) {
  const found = await tried(async () => {
    const encoder = await openEncoder({ wasm: pathToFileURL(wasm), packs: packs.map((place) => pathToFileURL(place)), pack });
    const picture = encoder.expose({ width, height, data: new Uint8ClampedArray(readFileSync(raw)) }), files = [];
    for (const wish of wishes) {
      const shares = [];
      files.push(await tried(async () => sha256(await picture.encode({ ...wish, onProgress: (share) => shares.push(share) }))));
      if (shares.some((share, k) => !(share > (shares[k - 1] ?? 0) && share <= 1))) throw new Error(`progress: ${shares}`);
    }
    const end = new AbortController();
    const given = await tried(() => picture.encode({ ...wishes[0], signal: end.signal, onProgress: () => end.abort() }));
    const again = await tried(async () => sha256(await picture.encode(wishes[0])));
    picture.close();
    return { packId: encoder.packId, note: picture.note, files, given: given.error, again };
  });
  console.log(JSON.stringify(found));
}
