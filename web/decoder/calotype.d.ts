/** An 8-bit RGBA picture, ready for `new ImageData(data, width, height)`. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8ClampedArray;
  /** Whether damaged tiles were filled with a plain grey; only with `keepDamaged`. */
  damaged: boolean;
}

export interface Info {
  width: number;
  height: number;
  /** Side of a tile in pixels. */
  tile: number;
  /** Quality level, in 256ths of the pack's trained levels. */
  level: number;
  /** Eight hexadecimal digits: the pack that decodes the file ... */
  packId: string;
  /** ... if it needs one; pictures of pixels alone do not. */
  needsPack: boolean;
  grey: boolean;
  alpha: boolean;
  damaged: boolean;
}

export interface FileOptions {
  /** Take what is left of a damaged file instead of refusing it. */
  keepDamaged?: boolean;
  /** Largest width times height; 2^30 by default. */
  maxPixels?: number;
  /** Most bytes of ICC profile, EXIF and XMP together; 2^24 by default. */
  maxMetadata?: number;
}

export interface DecodeOptions extends FileOptions {
  /** Left, top, right, bottom in pixels; only the tiles that it needs are decoded. */
  region?: [number, number, number, number];
  /** The picture at an eighth of its size, many times faster. */
  preview?: boolean;
}

/** A part of a picture: where it is, and its pixels as RGBA. */
export interface Part {
  left: number;
  top: number;
  width: number;
  height: number;
  data: Uint8ClampedArray;
}

export interface Decoder {
  /** Throws CalotypeError. Packs are fetched when a file first needs them. */
  decode(bytes: Uint8Array | ArrayBuffer, options?: DecodeOptions): Promise<Picture>;
  /**
   * The same in parts of about a megapixel, each given to `onPart` while the others are still to come. Parts lie in the
   * picture, do not overlap but where tiles of pixels are, and there the later one holds.
   */
  develop(
    bytes: Uint8Array | ArrayBuffer,
    onPart: (part: Part) => void,
    options?: Omit<DecodeOptions, "preview">,
  ): Promise<{ width: number; height: number; damaged: boolean }>;
  /**
   * Where the bits of the file went: how many each place of 16 x 16 pixels took, row after row, in `height` rows of `width`. The same
   * map as that of `calotype probe --map`; with `keepDamaged` tiles that are damaged have 0.
   */
  bits(bytes: Uint8Array | ArrayBuffer, options?: FileOptions): Promise<{ width: number; height: number; data: Float32Array }>;
  info(bytes: Uint8Array | ArrayBuffer, options?: FileOptions): Info;
  metadata(bytes: Uint8Array | ArrayBuffer, name: "icc" | "exif" | "xmp", options?: FileOptions): Uint8Array | undefined;
  addPack(manifest: Uint8Array, tables: Uint8Array, networks: Uint8Array): string;
}

export interface OpenOptions {
  /** Addresses of packs' folders, in which manifest.json lies. */
  packs?: string | URL | (string | URL)[];
  /** Whether packs are kept in the browser's Cache API; true by default. */
  keep?: boolean;
  /** Hears of a pack that is being fetched: how many bytes are there, of how many (0: not known), and when it is over. */
  onFetch?: (fetched: { done: number; total: number } | { over: true }) => void;
  /** Where calotype.wasm is, or the compiled module; beside calotype.js by default. */
  wasm?: string | URL | WebAssembly.Module;
  /** How addresses are read; `fetch`, and files in Node, by default. */
  read?: (url: string | URL) => Promise<Uint8Array>;
}

export function open(options?: OpenOptions): Promise<Decoder>;

export class CalotypeError extends Error {
  kind: "format" | "limit" | "pack" | "argument" | "memory";
}
