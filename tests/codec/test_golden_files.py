"""Files written once by the tiny pack, and what they hold: every release and every kernel reads the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from calotype.bitstream import parse, tile_box, write
from calotype.codec import phases, tensors, tiles
from calotype.codec.decoder import decode
from calotype.codec.networks import Networks
from calotype.codec.pack import Pack
from calotype.coder import LatentCoder
from calotype.coder.latents import kernels

FOLDER = Path(__file__).parents[1] / "data" / "tiny"
KNOWN = json.loads((FOLDER / "known.json").read_text(encoding="utf-8"))


def digest(integers: np.ndarray) -> str:
    return hashlib.sha256(integers.astype("<i4").tobytes()).hexdigest()


@pytest.fixture(scope="module", params=kernels())
def coder(request: pytest.FixtureRequest, tiny: Pack) -> LatentCoder:
    arrays = tensors.load(tiny.file("tables.safetensors"))
    return LatentCoder(arrays, tiny.z_tables, tiny.r_tables, kernel=request.param)


def test_there_are_such_files() -> None:
    assert sorted(KNOWN) == sorted(path.stem for path in FOLDER.glob("*.calo"))
    assert {"one-pixel", "odd", "tiles", "grey"} <= set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_integers_are_those_that_were_written(tiny: Pack, coder: LatentCoder, name: str) -> None:
    """z and r of each tile by their hashes, and back to the same bytes."""
    file = parse((FOLDER / f"{name}.calo").read_bytes())
    assert file.header.pack_id == tiny.key
    level = phases.integers(Networks(tiny, tiny.level(file.header.level)))
    assert len(file.tiles) == len(KNOWN[name])
    for number, (payload, known) in enumerate(zip(file.tiles, KNOWN[name])):
        box = tiles.latent_box(tile_box(file.header, number))
        z, r = coder.read(level, payload, box.height, box.width)
        assert {"z": digest(z), "r": digest(r)} == known
        assert coder.write(level, z, r) == payload
        low = coder.read(level, payload, box.height, box.width, low_only=True)[1]
        assert np.array_equal(low, r[: coder.low_channels])


@pytest.mark.parametrize("name", KNOWN)
def test_they_decode(tiny: Pack, name: str) -> None:
    data = (FOLDER / f"{name}.calo").read_bytes()
    file = parse(data)
    picture = decode(data, pack=tiny).picture
    assert (picture.width, picture.height, picture.grey) == (
        file.header.width,
        file.header.height,
        file.header.grey,
    )
    assert write(file.header, file.tiles) == data
