// node preview.mjs MODULE WASM PACK FILE: the hash of the preview of a file, and what decoding all of it says.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modulePath, wasm, pack, file] = process.argv.slice(2);
const { open } = await import(pathToFileURL(modulePath));
const decoder = await open({ wasm: pathToFileURL(wasm), packs: [pathToFileURL(pack)] }), bytes = readFileSync(file);
const outcome = (work) => work.then(({ data }) => createHash("sha256").update(data).digest("hex"), (error) => error.kind ?? "unread");
console.log(await outcome(decoder.decode(bytes, { preview: true })), await outcome(decoder.decode(bytes)));
