"""What is written is read back; the writer refuses what a reader would refuse."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bitstream import (
    Header,
    Limits,
    StreamWriter,
    alpha_grid,
    is_calo,
    parse,
    probe,
    tile_count,
    write,
)
from calotype.errors import FormatError, LimitError

NO_LIMITS = Limits(max_pixels=2**62, max_tile_pixels=2**62, max_tiles=2**30, max_metadata=2**30)


def alpha_of(header: Header) -> list[bytes]:
    """Parts of alpha as far as the container looks at them, some longer than one byte of length tells."""
    return [bytes([i % 256]) * (37 * i % 200) for i in range(tile_count(alpha_grid(header)))]


headers = st.builds(
    Header,
    width=st.integers(1, 2**31 - 1),
    height=st.integers(1, 2**31 - 1),
    level=st.integers(0, 65535),
    pack_id=st.binary(min_size=4, max_size=4),
    tile=st.integers(6, 21).map(lambda n: 1 << n),
    grey=st.booleans(),
    lab=st.booleans(),
)
small_headers = st.builds(
    Header,
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    level=st.integers(0, 65535),
    pack_id=st.binary(min_size=4, max_size=4),
    tile=st.sampled_from([64, 128, 1024]),
    grey=st.booleans(),
    lab=st.booleans(),
)
metadata = st.none() | st.binary(min_size=1, max_size=300)


@given(headers)
def test_every_header(header: Header) -> None:
    if tile_count(header) > 100:
        header = Header(header.width, header.height, header.level, header.pack_id, grey=header.grey, lab=True)
    tiles = [b"t"] * tile_count(header)
    file = parse(write(header, tiles, limits=NO_LIMITS), limits=NO_LIMITS)
    assert file.header == header
    assert [bytes(tile) for tile in file.tiles] == tiles


@given(small_headers, metadata, metadata, metadata, st.booleans(), st.data())
def test_every_chunk(
    header: Header,
    icc: bytes | None,
    exif: bytes | None,
    xmp: bytes | None,
    has_alpha: bool,
    data: st.DataObject,
) -> None:
    count = tile_count(header)
    tiles = data.draw(st.lists(st.binary(max_size=200), min_size=count, max_size=count))
    alpha = alpha_of(header) if has_alpha else None
    written = write(header, tiles, icc, exif, xmp, alpha)
    file = parse(written)
    assert file.header == header
    assert (file.icc, file.exif, file.xmp, file.alpha) == (icc, exif, xmp, alpha)
    assert [bytes(tile) for tile in file.tiles] == tiles
    assert file.tile_ok == [True] * count
    assert file.error is None

    # The chunks account for every byte of the file.
    end = len(header.to_bytes())
    for chunk in file.chunks:
        assert chunk.offset == end
        assert chunk.crc_ok
        payload_start = written.index(bytes(chunk.payload), chunk.offset + 2)
        assert payload_start - chunk.offset in (2, 3)
        end = chunk.offset + (2 if chunk.length < 128 else 3) + chunk.length + 4
    assert end == len(written)
    assert parse(written, damaged="keep") == file


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_tiles_are_views_of_the_input(kind: type) -> None:
    written = write(Header(10, 10, 0, b"PACK"), [b"payload"])
    data = kind(written)
    (tile,) = parse(data).tiles
    assert tile.obj is (written if kind is memoryview else data)
    assert tile.readonly


@pytest.mark.parametrize("size", [(1, 1), (128, 127), (768, 512), (16383, 16383)])
@pytest.mark.parametrize("payload", [0, 1, 127, 128, 16384, 2**21, 2**24])
def test_overhead_of_a_plain_picture_of_one_tile(size: tuple[int, int], payload: int) -> None:
    header = Header(*size, level=65535, pack_id=b"\xff" * 4, tile=16384, grey=True)
    data = write(header, [bytes(payload)], limits=NO_LIMITS)
    assert len(data) - payload <= 24
    assert probe(data, limits=NO_LIMITS)["overhead"] == len(data) - payload


def test_the_longest_length_that_keeps_the_overhead() -> None:
    # 15 bytes of header, type, length, crc; 2**28 - 1 needs 4 bytes of length.
    from calotype.bitstream.fields import varint

    assert len(Header(16383, 16383, 0, b"PACK").to_bytes()) + 1 + len(varint(2**28 - 1)) + 4 == 24


class Dribble:
    """An unbuffered file that takes at most three bytes at a time."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes | memoryview, /) -> int:
        self.data += bytes(data[:3])
        return len(data[:3])


def test_stream_writer_writes_the_same_at_once(tmp_path: Path) -> None:
    header = Header(130, 65, 100, b"PACK", 64)
    tiles = [bytes([i]) * 50 for i in range(6)]
    whole = write(header, tiles, icc=b"icc", alpha=alpha_of(header))
    with (tmp_path / "x.calo").open("wb") as file:
        with StreamWriter(file, header, icc=b"icc", alpha=alpha_of(header)) as writer:
            for i, tile in enumerate(tiles):
                writer.tile(memoryview(tile))
                file.flush()
                # Nothing is held back: all that was given is in the file by now.
                assert (tmp_path / "x.calo").stat().st_size == writer.bytes_written
                assert whole.startswith((tmp_path / "x.calo").read_bytes()), i
        assert not file.closed
    assert (tmp_path / "x.calo").read_bytes() == whole

    dribble = Dribble()
    with StreamWriter(dribble, header, icc=b"icc", alpha=alpha_of(header)) as writer:
        for tile in tiles:
            writer.tile(tile)
    assert dribble.data == whole


def test_output_that_takes_nothing() -> None:
    class Full:
        def write(self, data: bytes | memoryview, /) -> int:
            return 0

    with pytest.raises(BlockingIOError):
        StreamWriter(Full(), Header(1, 1, 0, b"PACK"))


def test_metadata_has_a_name() -> None:
    header = Header(10, 10, 0, b"PACK")
    assert parse(write(header, [b"t"], icc=b"a", xmp=b"b")).metadata == {"icc": b"a", "xmp": b"b"}
    with pytest.raises(ValueError, match="no place for 'nothing'; it has icc, exif, xmp"):
        write(header, [b"t"], nothing=b"c")


def test_empty_metadata_is_left_out() -> None:
    header = Header(10, 10, 0, b"PACK")
    assert write(header, [b"t"], icc=b"", exif=b"", xmp=b"") == write(header, [b"t"])


def test_number_of_tiles() -> None:
    header = Header(65, 64, 0, b"PACK", 64)
    with pytest.raises(ValueError, match="1 of 2 tiles were written"):
        write(header, [b"a"])
    with pytest.raises(ValueError, match="all of its 2 tiles"):
        write(header, [b"a", b"b", b"c"])
    with pytest.raises(KeyError), StreamWriter(io.BytesIO(), header):  # the cause is not hidden
        raise KeyError


def test_writer_keeps_to_the_limits() -> None:
    big = Header(2**16, 2**15, 0, b"PACK")
    with pytest.raises(LimitError, match=r"2147483648 pixels.*max_pixels"):
        write(big, [])
    header = Header(10, 10, 0, b"PACK")
    with pytest.raises(LimitError, match="max_metadata"):
        write(header, [b"t"], icc=b"1234", xmp=b"1234", limits=Limits(max_metadata=7))
    out = io.BytesIO()
    with pytest.raises(LimitError):
        StreamWriter(out, big)
    assert out.getvalue() == b""


def test_alpha_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="alpha has 2 tiles, and the grid has 1"):
        write(Header(10, 10, 0, b"PACK"), [b"t"], alpha=[b"", b""])


@given(small_headers, st.data())
def test_tiles_of_both_kinds(header: Header, data: st.DataObject) -> None:
    header = header.replace(lab=False)
    kinds = data.draw(st.lists(st.booleans(), min_size=tile_count(header), max_size=tile_count(header)))
    out = io.BytesIO()
    with StreamWriter(out, header) as writer:
        for i, pixels in enumerate(kinds):
            writer.tile(bytes([i]), pixels=pixels)
    file = parse(out.getvalue())
    assert file.pixels == kinds
    assert [bytes(tile) for tile in file.tiles] == [bytes([i]) for i in range(len(kinds))]
    names = [chunk["name"] for chunk in probe(out.getvalue())["chunks"]]
    assert names == ["pixels" if pixels else "tile" for pixels in kinds]


def test_a_lab_file_has_no_pixels() -> None:
    out = io.BytesIO()
    with StreamWriter(out, Header(10, 10, 0, b"PACK", lab=True)) as writer:
        writer.tile(b"t", pixels=True)
    with pytest.raises(FormatError, match="a pixels chunk, in a file of the kind that holds latents"):
        parse(out.getvalue())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 0}, "width must be 1"),
        ({"height": 2**31}, "height must be 1"),
        ({"level": -1}, "level must be 0"),
        ({"level": 65536}, "level must be 0"),
        ({"pack_id": b"abc"}, "pack_id must be 4 bytes"),
        ({"pack_id": "abcd"}, "pack_id must be 4 bytes"),
        ({"tile": 32}, "power of two"),
        ({"tile": 1000}, "power of two"),
        ({"tile": 2**22}, "power of two"),
        ({"tile": 0}, "power of two"),
    ],
)
def test_header_values(change: dict[str, object], reason: str) -> None:
    good: dict[str, object] = {"width": 1, "height": 1, "level": 0, "pack_id": b"PACK"}
    with pytest.raises(ValueError, match=reason):
        Header(**{**good, **change})  # type: ignore[arg-type]


def test_is_calo() -> None:
    data = write(Header(1, 1, 0, b"PACK"), [b""])
    assert is_calo(data)
    assert is_calo(memoryview(data)[:3])
    assert not is_calo(data[:2])
    assert not is_calo(b"")
    assert not is_calo(b"\x89PNG")


def test_no_way_leads_around_the_checks_of_a_header() -> None:
    header = Header(10, 20, 256, b"abcd")
    assert header._replace(width=11) == header.replace(width=11)
    with pytest.raises(ValueError, match="width"):
        header._replace(width=0)
    with pytest.raises(ValueError, match="width"):
        Header._make([0, 20, 256, b"abcd"])
