"""Every damaged file is noticed, and told in one line; what is intact can be saved from it."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.bitstream import Header, StreamWriter, parse, probe, write
from calotype.bitstream.checks import chunk_crc
from calotype.bitstream.fields import PICTURE
from calotype.errors import CalotypeError, FormatError, LimitError

HEADER = Header(130, 65, 700, b"PACK", 64)
TILES = [bytes(range(10 * i, 11 * i + 1)) for i in range(6)]
ICC, XMP = b"a profile", b"a packet"
ALPHA = [bytes([i]) * 20 * i for i in range(6)]


def _unknown_optional_chunk() -> bytes:
    payload = b"from a later version"
    crc = chunk_crc(zlib.crc32(HEADER.to_bytes()), 0xC5, 0, payload)
    return bytes([0xC5, len(payload)]) + payload + struct.pack("<I", crc)


def _file() -> bytes:
    out = io.BytesIO()
    with StreamWriter(out, HEADER, icc=ICC, xmp=XMP, alpha=ALPHA) as writer:
        for i, tile in enumerate(TILES):
            writer.tile(tile, pixels=i % 2 == 1)
    plain = out.getvalue()
    start = len(HEADER.to_bytes())
    return plain[:start] + _unknown_optional_chunk() + plain[start:]


FILE = _file()
ONE_TILE = write(Header(768, 512, 700, b"PACK"), [b"payload of one tile"])
MANY = 4 * settings().max_examples  # what is cheap is tried oftener


def flips(data: bytes) -> Iterator[bytes]:
    for i in range(8 * len(data)):
        changed = bytearray(data)
        changed[i // 8] ^= 1 << i % 8
        yield bytes(changed)


def truncations(data: bytes) -> Iterator[bytes]:
    for size in range(len(data)):
        yield data[:size]


def check_refused(data: bytes) -> None:
    with pytest.raises(CalotypeError) as caught:
        parse(data)
    error = caught.value
    message = str(error)
    assert "\n" not in message
    assert len(message) < 200
    assert error.offset is not None
    assert 0 <= error.offset <= len(data)
    assert f"at offset {error.offset}: " in message
    try:
        report = probe(data)
    except FormatError:
        assert data[:3] != b"\xcaLO"
    else:
        json.dumps(report)
        assert report["error"] == {"message": message, "field": error.field, "offset": error.offset}


def check_salvage(data: bytes, header: Header, tiles: list[bytes]) -> list[bool] | None:
    """Nothing that ``damaged="keep"`` passes as good may differ from what was written."""
    try:
        file = parse(data, damaged="keep")
    except CalotypeError:
        return None
    assert file.header == header
    assert file.error is not None
    assert len(file.tiles) == len(file.tile_ok) == len(tiles)
    for tile, ok, original in zip(file.tiles, file.tile_ok, tiles, strict=True):
        assert not ok or bytes(tile) == original
    assert file.icc in (None, ICC)
    assert file.exif is None
    assert file.xmp in (None, XMP)
    assert file.alpha in (None, ALPHA)
    return file.tile_ok


@pytest.mark.parametrize("data", [FILE, ONE_TILE], ids=["everything", "one tile"])
def test_every_flipped_bit_is_noticed(data: bytes) -> None:
    for changed in flips(data):
        check_refused(changed)


@pytest.mark.parametrize("data", [FILE, ONE_TILE], ids=["everything", "one tile"])
def test_every_truncation_is_noticed(data: bytes) -> None:
    for changed in truncations(data):
        check_refused(changed)


def test_flipped_bits_spare_the_rest() -> None:
    first, second, *_ = parse(FILE).chunks
    for i, changed in enumerate(flips(FILE)):
        kept = check_salvage(changed, HEADER, TILES)
        if i // 8 < first.offset:
            assert kept is None, f"bit {i} of the header"
        elif i // 8 >= second.offset:  # one good chunk comes before, and proves the header
            assert kept is not None, f"bit {i}"


def test_a_flipped_bit_in_a_payload_loses_that_chunk_alone() -> None:
    for chunk in parse(FILE).chunks:
        if not chunk.length:
            continue
        at = FILE.index(bytes(chunk.payload), chunk.offset + 2)
        changed = bytearray(FILE)
        changed[at] ^= 0x10
        file = parse(bytes(changed), damaged="keep")
        assert file.tile_ok == [chunk.type not in PICTURE or chunk.index != i for i in range(6)]
        assert (file.icc is None) == (chunk.name == "icc")
        assert (file.xmp is None) == (chunk.name == "xmp")
        assert (file.alpha is None) == (chunk.name == "alpha")
        assert [c.crc_ok for c in file.chunks].count(False) == 1
        assert file.error is not None
        assert "checksum mismatch" in str(file.error)


def test_truncated_files_keep_the_tiles_that_are_whole() -> None:
    chunks = parse(FILE).chunks
    ends = [chunk.offset for chunk in chunks[1:]] + [len(FILE)]
    tile_ends = [end for end, chunk in zip(ends, chunks) if chunk.type in PICTURE]
    for size, changed in enumerate(truncations(FILE)):
        kept = check_salvage(changed, HEADER, TILES)
        if size < ends[0]:
            assert kept is None  # no chunk proves the header
        else:
            assert kept == [end <= size for end in tile_ends]


def test_a_header_that_no_chunk_proves_is_not_trusted() -> None:
    for changed in flips(ONE_TILE):
        with pytest.raises(CalotypeError):
            parse(changed, damaged="keep")


@pytest.mark.parametrize("type_", [0x06, 0x01 | 0x40])
def test_keep_does_not_accept_what_needs_a_newer_reader(type_: int) -> None:
    start = len(HEADER.to_bytes())
    crc = chunk_crc(zlib.crc32(FILE[:start]), type_, 0, b"")
    data = FILE[:start] + bytes([type_, 0]) + struct.pack("<I", crc) + FILE[start:]
    with pytest.raises(FormatError, match=f"type at offset {start}: required chunk of unknown type"):
        parse(data, damaged="keep")


@given(st.binary(max_size=200))
@settings(max_examples=MANY)
def test_noise(noise: bytes) -> None:
    check_refused(noise)
    check_refused(FILE[:11] + noise)  # sizes and chunks are noise
    check_refused(FILE[: len(HEADER.to_bytes())] + noise)  # chunks are noise


@given(st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=MANY)
def test_several_bytes_changed(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(FILE)
    for at, value in changes:
        changed[at] = value
    data = bytes(changed)
    if data != FILE:
        check_refused(data)
        check_salvage(data, HEADER, TILES)


@given(st.integers(0, len(FILE)), st.integers(0, len(FILE)), st.binary(max_size=8))
@settings(max_examples=MANY)
def test_bytes_cut_out_doubled_or_put_in(start: int, end: int, extra: bytes) -> None:
    data = FILE[:start] + extra + FILE[end:]
    if data != FILE:
        check_refused(data)
        check_salvage(data, HEADER, TILES)


def test_limit_errors_are_not_for_keeping() -> None:
    header = Header(2**15, 2**15, 0, b"PACK", 64)  # more tiles than max_tiles
    with pytest.raises(LimitError):
        parse(header.to_bytes(), damaged="keep")
