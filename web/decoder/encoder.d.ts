import type { OpenOptions } from "./calotype.js";
import type { EncodeOptions, Pixels } from "./encode.js";

export { CalotypeError } from "./encode.js";

/** An encoder that works where it is called: for workers and Node. Throws CalotypeError. */
export function openEncoder(options?: OpenOptions & Pick<EncodeOptions, "pack">): Promise<Encoder>;

export interface Encoder {
  /** Eight hexadecimal digits, as files name the pack. */
  packId: string;
  packName: string;
  /** Takes a copy of a picture. Throws CalotypeError. */
  expose(image: Pixels): Exposure;
}

/** One picture, which is analysed once, when the first file of it is made. */
export interface Exposure {
  /** A sentence when the program `calotype encode` may have made a better file than the last one, or "". */
  note: string;
  /** The bytes of a file; one at a time. Throws CalotypeError, and the reason of the signal. */
  encode(options?: Pick<EncodeOptions, "quality" | "level" | "signal" | "onProgress">): Promise<Uint8Array>;
  /** Gives its memory back; it must not be used any more. */
  close(): void;
}
