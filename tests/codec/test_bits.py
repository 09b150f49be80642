"""Where the bits went: counts that agree with the file, by stage and by place."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from calotype import api
from calotype.bitstream import Header, parse, write
from calotype.codec import latents
from calotype.codec.bits import count, stages
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.errors import FormatError, PackError

Scene = Callable[..., np.ndarray]


@pytest.mark.parametrize(("height", "width", "tile"), [(400, 600, 1024), (333, 271, 128)])
@pytest.mark.parametrize("quality", [5, 60, 95])
def test_the_sum_is_the_size(
    tiny: Pack, scene: Scene, height: int, width: int, tile: int, quality: int
) -> None:
    data = encode(Picture(scene(height, width)), quality=quality, pack=tiny, tile=tile).data
    file, bits = parse(data), count(data, pack=tiny)
    assert bits.payload == 8 * sum(map(len, file.tiles))
    total = sum(float(part.sum()) for part in (bits.z, bits.low, bits.high))
    # A stream has at most 16 bytes beside its symbols.
    assert 0.999 * total <= bits.payload <= 1.01 * total + 128 * len(file.tiles)
    assert bits.of("all").shape == (-(-height // 16), -(-width // 16))
    for part in ("z", "low", "high"):
        assert bits.of(part).sum() == pytest.approx(getattr(bits, part).sum())
    assert bits.of("all").sum() == pytest.approx(total)
    assert bits.latents == bits.of("all").size * tiny.manifest.latents
    assert 0 <= bits.skipped < bits.latents


def test_skipped_latents_cost_nothing(tiny: Pack, scene: Scene) -> None:
    """Against the sum over the coded integers alone."""
    data = encode(Picture(scene(64, 96)), quality=0, pack=tiny).data
    file, bits = parse(data), count(data, pack=tiny)
    level = tiny.level(file.header.level).parser
    z, r = tiny.coder.read(level, file.tiles[0], 4, 6)
    found = tiny.coder.classes(level, z, r)
    high, tables = found.index[latents.LOW :], latents.tables_of(found.index, found.second)[latents.LOW :]
    coded = high > 0
    assert bits.skipped == int((~coded).sum()) > 0
    numbers = latents.numbers(r, found.second)[latents.LOW :]
    expected = tiny.r_tables.bits(numbers[coded], tables[coded]).sum()
    assert bits.high.sum() == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_bits_are_where_the_picture_is(tiny: Pack, scene: Scene) -> None:
    pixels = scene(256, 512)
    pixels[:, :256] = 120 + pixels[:, :256] // 32  # much flatter, and still no drawing
    bits = count(encode(Picture(pixels), quality=60, pack=tiny, tile=256).data, pack=tiny)
    for part in ("low", "high", "all"):
        assert bits.of(part)[:, 16:].sum() > 2 * bits.of(part)[:, :16].sum()


def test_tiles_of_pixels_are_in_the_map(tiny: Pack, scene: Scene) -> None:
    """Beside latents, alone and grey: each in its place, and the sum is their payloads'."""
    pixels = scene(500, 500)
    pixels[:256, :256] = 255
    pixels[98:106, 20:236] = 80 * np.random.default_rng(1).integers(0, 3, (8, 216, 1))
    data = encode(Picture(pixels), quality=60, pack=tiny, tile=256).data
    file, bits = parse(data), count(data, pack=tiny)
    assert file.pixels == [True, False, False, False]
    drawn = bits.of("pixels")
    assert bits.pixels == 8 * len(file.tiles[0])
    assert bits.pixels - 64 <= drawn.sum() <= bits.pixels
    assert drawn[6, 1:15].sum() > 0.8 * drawn.sum()
    assert not drawn[16:].any()
    assert not drawn[:, 16:].any()
    assert bits.of("all").sum() == pytest.approx(
        drawn.sum() + sum(bits.of(part).sum() for part in ("z", "low", "high"))
    )
    for picture in (Picture(pixels), Picture(np.repeat(pixels[:, :, :1], 3, axis=2), grey=True)):
        data = encode(picture, lossless=True, tile=128).data
        bits = count(data)
        assert bits.payload == bits.pixels
        assert bits.of("pixels").shape == (32, 32)
        assert bits.of("pixels").sum() == pytest.approx(bits.pixels, abs=64 * 16)
        assert bits.latents == bits.skipped == 0


def test_stages_are_a_partition() -> None:
    for octaves in (0, 2, 3):
        for shape in ((1, 1), (5, 13), (16, 24)):
            seen = np.zeros(shape, int)
            for sites in stages(octaves):
                seen[sites] += 1
            assert (seen == 1).all()
    assert len(list(stages(3))) == 10


def test_api(tiny: Pack, scene: Scene) -> None:
    data = encode(Picture(scene(70, 90)), quality=60, pack=tiny).data
    fields = api.probe(data, bits=True, pack=tiny)
    assert "bits" not in api.probe(data)
    assert json.loads(json.dumps(fields["bits"])) == fields["bits"]
    assert [len(fields["bits"][part]) for part in ("z", "low", "high")] == [7, 10, 4]


def test_what_cannot_be_counted(tiny: Pack, pack: Pack, scene: Scene) -> None:
    data = encode(Picture(scene(70, 90)), quality=60, pack=tiny).data
    with pytest.raises(FormatError, match="checksum"):
        count(data[:-1] + bytes([data[-1] ^ 1]), pack=tiny)
    with pytest.raises(FormatError, match="tile 0"):
        count(write(parse(data).header, [b"x" * 40]), pack=tiny)
    with pytest.raises(FormatError, match="laboratory"):
        count(write(Header(16, 16, 0, tiny.key, lab=True), [b"1"]), pack=tiny)
    with pytest.raises(PackError, match="is needed"):
        count(write(Header(16, 16, 0, b"none"), [b"1"]), pack=tiny)
