"""Stored files decode to what they held when they were written: on every kernel, with any number of threads,
whole and in parts, and by a second reader that was written from docs/FORMAT.md alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import reader, reader_file, reader_pixels
from tests.conftest import every
from tests.golden import DATA, KNOWN, cases, digest

from calotype.bitstream import File, parse, tile_box, write
from calotype.codec import library, manifest, tensors, tiles
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.coder import DecoderNetworks, LatentCoder
from calotype.coder.latents import kernels
from calotype.errors import PackError

FILES = {
    path.stem: (path, json.loads((path.parent / KNOWN).read_text(encoding="utf-8"))[path.stem])
    for folder in ("tiny", "shipped")
    for path in sorted((DATA / folder).glob("*.calo"))
}
Known = dict[str, Any]


@pytest.fixture(params=FILES)
def stored(request: pytest.FixtureRequest, tiny: Pack) -> tuple[bytes, Known, Pack]:
    """A file, what is known of it, and its pack."""
    path, known = FILES[request.param]
    data = path.read_bytes()
    key = parse(data).header.pack_id
    if key == bytes(4):  # of pixels alone
        return data, known, tiny
    try:
        return data, known, tiny if key == tiny.key else library.find(key)
    except PackError:
        pytest.skip(
            f"{path.name} needs pack {key.hex()}, which is not here; python -m tests.golden writes anew"
        )


@pytest.fixture(params=kernels())
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def with_kernel(pack: Pack, kernel: str) -> Pack:
    """The same pack, all of whose native code runs on a kernel."""
    other = Pack(pack.path)
    arrays = tensors.load(pack.file(manifest.TABLES))
    other._coder = LatentCoder(arrays, other.z_tables, other.r_tables, kernel=kernel)
    other._decoder = DecoderNetworks(tensors.load(pack.file(manifest.NETWORKS)), kernel=kernel)
    return other


def sizes(file: File) -> list[tuple[int, int]]:
    boxes = (tiles.latent_box(tile_box(file.header, k)) for k in range(len(file.tiles)))
    return [(box.height, box.width) for box in boxes]


def test_every_stored_file_is_known_and_small() -> None:
    for folder in ("tiny", "shipped"):
        known = json.loads((DATA / folder / KNOWN).read_text(encoding="utf-8"))
        assert set(known) == {path.stem for path in (DATA / folder).glob("*.calo")}
    assert {"one-pixel", "odd", "tiles", "grey"} <= set(FILES)
    assert {f"{library.DEFAULT}-{name}" for name, *_ in cases()} <= set(FILES)
    assert all(path.stat().st_size < 20_000 for path, _ in FILES.values())


def test_integers_are_those_that_were_written(stored: tuple[bytes, Known, Pack], kernel: str) -> None:
    """z and r of each tile by their hashes, and back to the same bytes."""
    data, known, pack = stored
    file, coder = parse(data), with_kernel(pack, kernel).coder
    level = pack.level(file.header.level).parser
    assert len(file.tiles) == len(known["tiles"])
    for payload, (h, w), hashes in zip(file.tiles, sizes(file), known["tiles"]):
        if hashes is None:
            continue  # a tile of pixels
        z, r = coder.read(level, payload, h, w)
        assert {"z": digest(z), "r": digest(r)} == hashes
        assert coder.write(level, z, r) == payload
        low = coder.read(level, payload, h, w, low_only=True)[1]
        assert np.array_equal(low, r[: coder.low_channels])
    if not any(file.pixels):
        assert write(file.header, file.tiles, layer=file.layer, taps=file.taps) == data


def test_pixels_are_the_same_on_every_kernel_and_thread(
    stored: tuple[bytes, Known, Pack], kernel: str
) -> None:
    data, known, pack = stored
    pack = with_kernel(pack, kernel)
    for threads in (1, 2, 3, 4):
        picture = decode(data, pack=pack, threads=threads).picture
        assert digest(picture.pixels) == known["pixels"]
        assert digest(preview(data, pack=pack, threads=threads).picture.pixels) == known["preview"]
    header = parse(data).header
    assert (picture.width, picture.height, picture.grey) == (header.width, header.height, header.grey)


def test_tile_by_tile_is_the_same_as_whole(stored: tuple[bytes, Known, Pack], kernel: str) -> None:
    data, known, pack = stored
    pack, header = with_kernel(pack, kernel), parse(data).header
    whole = np.zeros((header.height, header.width, 3), np.uint8)
    for tile in range(len(known["tiles"])):
        box = tile_box(header, tile)
        part = decode(data, pack=pack, region=tuple(box)).picture.pixels
        whole[box.top : box.bottom, box.left : box.right] = part
    assert digest(whole) == known["pixels"]


@pytest.mark.parametrize("side", [1, 3])
def test_windows_of_any_size_give_the_same(
    stored: tuple[bytes, Known, Pack], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, known, pack = stored
    monkeypatch.setattr(tiles, "WINDOWS", ((1 << 62, side),))
    assert digest(decode(data, pack=pack, threads=2).picture.pixels) == known["pixels"]


@pytest.mark.parametrize("stored", every(3, FILES), indirect=True)
def test_a_reader_written_from_the_page_reads_the_same(stored: tuple[bytes, Known, Pack]) -> None:
    data, known, pack = stored
    integers, pixels, small = reader.read(data, pack.file(manifest.TABLES), pack.file(manifest.NETWORKS))
    found = [tile and {"z": digest(tile[0]), "r": digest(tile[1])} for tile in integers]
    assert found == known["tiles"]
    assert digest(pixels) == known["pixels"]
    assert digest(small) == known["preview"]


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
def test_a_reader_written_from_the_page_reads_every_level(
    tune: str, scene: Callable[..., np.ndarray]
) -> None:
    """Of the packs that come along: all trained levels, one between each two, on one thread and on two."""
    pack = library.load(library.tuned(tune))
    arrays = pack.file(manifest.TABLES), pack.file(manifest.NETWORKS)
    for number in range(0, pack.manifest.max_level + 1, 128):
        data = encode(Picture(scene(40, 72, seed=number)), level=number, pack=pack, threads=1).data
        assert encode(Picture(scene(40, 72, seed=number)), level=number, pack=pack, threads=2).data == data
        file = parse(data)
        assert not any(file.pixels)
        (found,), pixels, small = reader.read(data, *arrays)
        theirs = pack.coder.read(pack.level(number).parser, file.tiles[0], *sizes(file)[0])
        for mine, other in zip(found, theirs):
            np.testing.assert_array_equal(mine, other)
        for threads in (1, 2):
            np.testing.assert_array_equal(decode(data, pack=pack, threads=threads).picture.pixels, pixels)
            np.testing.assert_array_equal(preview(data, pack=pack, threads=threads).picture.pixels, small)


def test_the_second_reader_is_short_and_on_its_own() -> None:
    for part, lines in ((reader, 296), (reader_file, 190), (reader_pixels, 310)):
        text = Path(part.__file__).read_text(encoding="utf-8").splitlines()
        assert sum(bool(line.strip()) for line in text) <= lines
        used = {line.split()[1].partition(".")[0] for line in text if line.startswith(("from ", "import "))}
        assert used <= {*sys.stdlib_module_names, "numpy", "tests"}
        assert "calotype." not in "".join(line for line in text if "import" in line)
