/** 8-bit RGBA pixels in sRGB, not premultiplied; an ImageData is one. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

export interface EncodeOptions {
  /** 0 to 95, as `calotype encode -q` has it, or 100 for no loss; 80 by default. */
  quality?: number;
  /** The pack's own scale, instead of a quality. */
  level?: number;
  /** The name of a pack, or its id, from the first eight digits on; by default the first of `packs`. */
  pack?: string;
  /** Addresses of packs' folders, or that of a JSON list of them; `packs.json` beside the module by default. */
  packs?: string | (string | URL)[];
  /** Ends it with the reason of the signal. What was analysed until then is kept for the next time. */
  signal?: AbortSignal;
  /** Hears what share is done, 0 to 1. */
  onProgress?: (share: number) => void;
  /** Hears of a pack that is being fetched, as `onFetch` of calotype.d.ts. */
  onFetch?: (fetched: { done: number; total: number } | { over: true }) => void;
  /** Hears a sentence, before the bytes are there, when the program `calotype encode` may make a better file of this picture. */
  onNote?: (sentence: string) => void;
}

/** What is taken without a quality: 80. */
export const QUALITY: number;

/** Throws CalotypeError, of the kind "limit", for a picture that `encode` would refuse: before its pixels are made. */
export function checkSize(size: { width: number; height: number }): void;

/**
 * The bytes of a .calo file, made by a worker. The last picture stays analysed: the same object given again takes a fraction
 * of the time, so its pixels must not change. A picture without colour becomes a grey one; alpha is kept where there is any.
 * Files have no metadata. Graphics, such as screenshots, are without loss at any quality where that takes no more. Throws CalotypeError, for a picture of more than 16 megapixels with the kind "limit".
 */
export function encode(image: Pixels, options?: EncodeOptions): Promise<Uint8Array>;

/** Gives back the memory that the last picture takes, and ends what is being encoded with an AbortError. */
export function forget(): void;

export class CalotypeError extends Error {
  kind: "format" | "limit" | "pack" | "argument" | "memory" | "other";
}
