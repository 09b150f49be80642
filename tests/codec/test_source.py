"""Parsers of what files say beside their pixels take any bytes: they find nothing, or what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calotype.codec import boxes, exif, icc, mend, source, xmp
from calotype.codec.image import Picture

from . import files

PIXELS = np.full((8, 8, 3), 77, np.uint8)


def fields() -> bytes:
    data = Image.Exif()
    data[0x010F] = "Calotype"
    data[282] = 72.0
    return data.tobytes()[6:]


SEEDS = [
    fields(),
    b"\0\0\0\x18ftypavif\0\0\0\0mif1avif\0\0\0\x0cmeta\0\0\0\0",
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/' xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'>"
    b"<a hdrgm:Version='1'/></x:xmpmeta>",
    icc.matrix_profile("p", icc.SRGB, icc.SRGB_CURVE),
    files.png(PIXELS, 8, 2),
]


@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_any_bytes(seed: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(seed)
    for place, value in changes:
        data[place % len(data)] = value
    broken = bytes(data[: max(1, len(data) - cut)])
    boxes.primary(broken)
    boxes.brands(broken)
    icc.space(broken)
    mend.mended(broken)
    xmp.without_promises(broken)
    exif.resolution(broken)
    changed = exif.with_resolution(broken, (300.0, 300.0))
    assert changed is None or exif.resolution(changed) == (300, 300)
    image = Image.fromarray(PIXELS)
    image.info.update({"exif": broken, "xmp": broken, "icc_profile": broken, "dpi": (10, 10)})
    assert np.array_equal(Picture.from_pil(image).pixels, PIXELS)


@pytest.mark.parametrize("size", [1_000_000])
def test_long_runs_of_blanks_in_xmp_are_no_work(size: int) -> None:
    packet = SEEDS[2].replace(b"<a", b" " * size + b"<a")
    kept, notes = xmp.without_promises(packet)
    assert kept is not None
    assert len(notes) == 1


def test_the_place_in_a_stream_stays(tmp_path: object) -> None:
    """Images read from streams, from names, and from streams that are gone."""
    import io

    data = files.png(PIXELS, 8, 2, files.cicp(12, 13))
    stream = io.BytesIO(data)
    image = Image.open(stream)
    place = stream.tell()
    assert source.head(image) == data
    assert stream.tell() == place
    stream.close()
    assert source.whole(image) is None
    path = f"{tmp_path}/a.png"
    with io.FileIO(path, "w") as file:
        file.write(data)
    with Image.open(path) as image:
        image.load()
        assert source.whole(image) == data
    assert source.whole(Image.fromarray(PIXELS)) is None
