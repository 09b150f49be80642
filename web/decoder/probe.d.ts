/** What `calotype probe` says of a file; docs/FORMAT.md has the names. */
export interface Fields {
  version: number;
  grey: boolean;
  lab: boolean;
  tile: number;
  pack_id: string;
  level: number;
  width: number;
  height: number;
  chunks: { type: number; name: string; index: number; offset: number; length: number; crc_ok: boolean }[];
  file_size: number;
  header_size: number;
  overhead: number;
  tile_columns: number;
  tile_rows: number;
  tile_count: number;
  bpp: number;
  /** Why the file can be read no further, or that it is damaged; null for a good file. */
  error: string | null;
}

/** Throws RangeError when there is no header of a .calo file. */
export function probe(bytes: Uint8Array): Fields;

/** The CRC-32 of zlib and PNG, of bytes that follow those that gave `crc`. */
export function crc32(bytes: Uint8Array, crc?: number): number;
