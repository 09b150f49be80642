"""Tiles cover the picture exactly once, and regions find the tiles that they touch."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calotype.bitstream import Box, Header, grid_size, tile_box, tile_count, tiles_in

headers = st.builds(
    Header,
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    level=st.just(0),
    pack_id=st.just(b"PACK"),
    tile=st.sampled_from([64, 128, 256, 1024]),
    lab=st.booleans(),
)


def overlap(a: Box, b: tuple[int, int, int, int]) -> bool:
    return a.left < b[2] and b[0] < a.right and a.top < b[3] and b[1] < a.bottom


@given(headers)
def test_tiles_cover_the_picture_once(header: Header) -> None:
    boxes = [tile_box(header, i) for i in range(tile_count(header))]
    assert sum(box.width * box.height for box in boxes) == header.width * header.height
    assert not any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(0 <= box.left < box.right <= header.width for box in boxes)
    assert all(0 <= box.top < box.bottom <= header.height for box in boxes)
    assert boxes == sorted(boxes, key=lambda box: (box.top, box.left))
    if not header.lab:
        assert all(max(box.width, box.height) <= header.tile for box in boxes)
        assert all(box.left % header.tile == box.top % header.tile == 0 for box in boxes)


@given(headers, st.data())
def test_region_touches_those_tiles(header: Header, data: st.DataObject) -> None:
    left, right = sorted(data.draw(st.tuples(st.integers(0, header.width), st.integers(0, header.width))))
    top, bottom = sorted(data.draw(st.tuples(st.integers(0, header.height), st.integers(0, header.height))))
    assume(left < right and top < bottom)
    region = (left, top, right, bottom)
    touched = [i for i in range(tile_count(header)) if overlap(tile_box(header, i), region)]
    assert tiles_in(header, region) == touched


def test_known_grid() -> None:
    header = Header(2500, 1025, 0, b"PACK")
    assert grid_size(header) == (3, 2)
    assert tile_box(header, 0) == (0, 0, 1024, 1024)
    assert tile_box(header, 5) == (2048, 1024, 2500, 1025)
    assert tiles_in(header, (1023, 0, 1025, 1024)) == [0, 1]
    assert tiles_in(header, (0, 0, 2500, 1025)) == [0, 1, 2, 3, 4, 5]


def test_outside() -> None:
    header = Header(100, 50, 0, b"PACK", 64)
    for index in (-1, 2):
        with pytest.raises(IndexError, match="grid of 2 x 1"):
            tile_box(header, index)
    for region in [(0, 0, 0, 1), (5, 5, 4, 6), (-1, 0, 5, 5), (0, 0, 101, 50), (0, 0, 100, 51)]:
        with pytest.raises(ValueError, match="not inside the picture, which is 100 x 50"):
            tiles_in(header, region)
