// What `calotype probe` says of a .calo file (docs/FORMAT.md): every field of the header and every chunk, as far as
// the file can be read. It looks at no pixel, and needs neither WebAssembly nor a pack.

const NAMES = { 0x01: "tile", 0x02: "alpha", 0x03: "latents", 0x04: "pixels", 0x05: "layer", 0x07: "taps", 0x81: "icc", 0x82: "exif", 0x83: "xmp" };
const MOST_CHUNKS = 1 << 17;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; ++bit) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** The CRC-32 of zlib and PNG, of bytes that follow those that gave `crc`. */
export function crc32(bytes, crc = 0) {
  crc = ~crc;
  for (let i = 0; i < bytes.length; ++i) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

class End extends Error {}

/**
 * The fields of a file's header, and `chunks`: for each its `type`, `name`, `index`, `offset`, `length` and `crc_ok`.
 * `error` is why the file could be read no further, or null. Throws a RangeError when there is no header at all.
 */
export function probe(bytes) {
  let at = 0;
  const number = (size) => {
    if (bytes.length - at < size) throw new End("the file ends here; it is truncated");
    let value = 0;
    for (let i = size; i-- > 0; ) value = value * 256 + bytes[at + i];
    at += size;
    return value;
  };
  const varint = () => {
    for (let value = 0, shift = 1, size = 1; ; shift *= 128, ++size) {
      const byte = number(1);
      value += (byte & 127) * shift;
      if (byte < 128) {
        if (value > 0x7fffffff || (byte === 0 && size > 1)) throw new End("a number that cannot be");
        return value;
      }
      if (size === 5) throw new End("a number that cannot be");
    }
  };

  const found = {};
  try {
    if (number(3) !== 0x4f4cca) throw new End("not a .calo file: it starts with other bytes");
    found.version = number(1);
    if (found.version !== 1) throw new End(`version ${found.version}, and this reader knows 1`);
    const flags = number(1);
    if (flags & 0x0c) throw new End("reserved bits are set in flags");
    found.grey = (flags & 1) !== 0;
    found.lab = (flags & 2) !== 0;
    found.tile = 2 ** ((flags >> 4) + 6);
    found.pack_id = Array.from({ length: 4 }, () => number(1).toString(16).padStart(2, "0")).join("");
    found.level = number(2);
    found.width = varint();
    found.height = varint();
    if (found.width < 1 || found.height < 1) throw new End("a picture without pixels");
  } catch (error) {
    if (!(error instanceof End)) throw error;
    throw new RangeError(error.message);
  }
  Object.assign(found, { chunks: [], file_size: bytes.length, header_size: at, overhead: bytes.length });
  found.tile_columns = found.lab ? 1 : Math.ceil(found.width / found.tile);
  found.tile_rows = found.lab ? 1 : Math.ceil(found.height / found.tile);
  found.tile_count = found.tile_columns * found.tile_rows;
  found.bpp = (8 * bytes.length) / (found.width * found.height);
  found.error = null;

  const header = crc32(bytes.subarray(0, at));
  let tiles = 0;
  try {
    while (at < bytes.length) {
      if (tiles === found.tile_count || found.chunks.length === MOST_CHUNKS)
        throw new End(`${bytes.length - at} bytes follow the last tile`);
      const offset = at, type = number(1), length = varint(), start = at;
      const tile = type === 1 || type === 3 || type === 4, index = tile ? tiles : 0;
      if (length + 4 > bytes.length - at) throw new End("a chunk goes beyond the end; the file is truncated or damaged");
      const place = Uint8Array.of(index, index >> 8, index >> 16, index >> 24);
      const crc = crc32(bytes.subarray(start, start + length), crc32(place, crc32(bytes.subarray(offset, start), header)));
      at += length;
      const crc_ok = number(4) === crc;
      found.chunks.push({ type, name: NAMES[type] ?? "unknown", index, offset, length, crc_ok });
      found.overhead -= length;
      tiles += tile ? 1 : 0;
      if (!crc_ok) found.error ??= "a checksum is wrong: the file is damaged";
    }
    if (tiles < found.tile_count) throw new End(`the file ends after ${tiles} of ${found.tile_count} tiles`);
  } catch (error) {
    if (!(error instanceof End)) throw error;
    found.error ??= error.message;
  }
  return found;
}
