"""calotype decode --preview, probe --bits and probe --map, on files of the tiny pack."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.cli.heat import COLOURS, coloured, draw

Run = Callable[..., Any]
TINY = Path(__file__).parents[1] / "data" / "tiny"

pytestmark = pytest.mark.usefixtures("tiny_found")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(TINY / "tiles.calo", tmp_path / "photo.calo"))


def test_decode_preview(run: Run, file: Path) -> None:
    done = run("decode", file, "--preview", "--json")
    assert (done.status, done.err) == (0, "")
    (record,) = done.records
    assert (record["width"], record["height"], record["damaged_tiles"]) == (38, 25, [])
    with Image.open(file.with_suffix(".png")) as image:
        assert np.array_equal(np.asarray(image), np.asarray(calotype.preview(file.read_bytes())))


def test_decode_preview_of_a_cut_file(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:2000])
    assert "truncated" in run("decode", file, "--preview").complaint
    assert not file.with_suffix(".png").exists()
    done = run("decode", file, "--preview", "--keep-damaged", "--json")
    assert done.status == 0
    (record,) = done.records
    assert record["damaged_tiles"] == list(range(record["damaged_tiles"][0], 6))
    assert "not whole" in record["notes"][0]


def test_a_thumbnail_of_a_file_that_is_cut_off(run: Run, file: Path) -> None:
    """It shows all that the preview does: of the tile in which the file ends, too."""
    file.write_bytes(file.read_bytes()[:2000])
    small = file.with_name("small.png")
    assert "truncated" in run("decode", file, small, "--size", 16).complaint
    whole = run("decode", file, "--preview", "--keep-damaged", "--json")
    done = run("decode", file, small, "--size", 16, "--keep-damaged", "--json")
    assert done.status == 0
    assert done.records[0]["damaged_tiles"] == whole.records[0]["damaged_tiles"]
    with Image.open(file.with_suffix(".png")) as preview, Image.open(small) as thumbnail:
        preview.thumbnail((16, 16))
        assert thumbnail.tobytes() == preview.tobytes()


def test_a_file_cut_in_its_first_tile_says_what_helps(run: Run, file: Path) -> None:
    """No tile is whole, so there is no picture of its size; what there is is a preview."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8))
    one_tile = calotype.encode(noise.resize((160, 200), Image.Resampling.BICUBIC), quality=50)
    file.write_bytes(one_tile[: len(one_tile) * 2 // 3])
    for arguments in ((), ("--size", 100)):
        done = run("decode", file, "--keep-damaged", *arguments)
        assert "truncated" in done.complaint
        assert "--preview shows what is left" in done.complaint
    assert "--preview" not in run("decode", file).complaint
    assert run("decode", file, "--preview", "--keep-damaged").status == 0
    file.write_bytes(one_tile[:10])  # not even that
    assert "--preview" not in run("decode", file, "--keep-damaged").complaint


def test_preview_and_region_exclude_each_other(run: Run, file: Path) -> None:
    assert run("decode", file, "--preview", "--region", "0,0,8,8").status == 2


def test_bits(run: Run, file: Path) -> None:
    (record,) = run("probe", file, "--bits", "--json").records
    bits = record["bits"]
    assert bits == calotype.probe(file, bits=True)["bits"]
    assert "bits" not in run("probe", file, "--json").records[0]
    lines = run("probe", file, "--bits").out.splitlines()
    assert sum(line.split()[:1] == ["low"] for line in lines) == 10
    assert f"{bits['skipped']} of {bits['latents']}" in lines[-1]


@pytest.mark.parametrize("part", ["all", "z", "low", "high"])
def test_map(run: Run, file: Path, tmp_path: Path, part: str) -> None:
    target = tmp_path / "bits.png"
    assert run("probe", file, "--map", target, "--map-of", part).status == 0
    with Image.open(target) as image:
        assert image.width >= 19
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_bits_and_map_of_pixels(run: Run, tmp_path: Path) -> None:
    pixels = np.full((64, 80, 3), 200, np.uint8)
    # More colours than a palette has.
    pixels[16:40, 16:32] = np.random.default_rng(1).integers(0, 256, (24, 16, 3))
    calotype.save(Image.fromarray(pixels), tmp_path / "a.calo", lossless=True)
    drawn = ("--map", tmp_path / "bits.png", "--map-of", "pixels")
    lines = run("probe", tmp_path / "a.calo", "--bits", *drawn).out
    assert "tiles of pixels" in lines
    assert "100.0%" in lines
    with Image.open(tmp_path / "bits.png") as image:
        shown = np.asarray(image.convert("RGB"))
    assert tuple(shown[8 + 3, 8 + 3]) == COLOURS[-1]
    assert shown[8 * 3 + 3, 8 * 4 + 3].sum() < 100


def test_bits_without_the_pack(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALOTYPE_PACKS")
    assert "is needed" in run("probe", file, "--bits").complaint
    assert run("probe", file, "--bits", "--pack", TINY).status == 0
    assert run("probe", file).status == 0
    assert "is needed" in run("probe", file, "--map", tmp_path / "bits.png").complaint
    assert not (tmp_path / "bits.png").exists()


def test_maps_that_cannot_be(run: Run, file: Path, tmp_path: Path) -> None:
    assert "bits.calo" in run("probe", file, "--map", tmp_path / "bits.calo").complaint
    assert "nowhere" in run("probe", file, "--map", tmp_path / "nowhere" / "bits.png").complaint
    assert run("probe", file, file, "--map", tmp_path / "bits.png").status == 2


def test_of_a_damaged_file_the_whole_tiles_are_counted(run: Run, file: Path, tmp_path: Path) -> None:
    whole = calotype.probe(file, bits=True)["bits"]
    assert whole["damaged_tiles"] == []
    data, target = file.read_bytes(), tmp_path / "bits.png"
    file.write_bytes(data[:2000])
    done = run("probe", file, "--bits", "--json")
    assert done.status == 1
    assert done.records[0]["error"] is not None
    bits = done.records[0]["bits"]
    assert 0 < len(bits["damaged_tiles"]) < 6
    assert 0 < sum(bits["low"]) < sum(whole["low"])
    done = run("probe", file, "--map", target)
    assert (done.status, target.exists()) == (1, True)
    note = f"{len(bits['damaged_tiles'])} tiles are damaged or not there, and not counted: "
    assert note + ", ".join(map(str, bits["damaged_tiles"])) in done.out
    assert done.complaint.count("truncated") == 1
    with pytest.raises(calotype.FormatError, match="truncated"):
        calotype.probe(file, bits=True)
    file.write_bytes(data[:60])  # no tile is whole
    done = run("probe", file, "--bits", "--json")
    assert (done.status, "bits" in done.records[0]) == (1, False)


def test_colours_get_lighter() -> None:
    ramp = coloured(np.linspace(0, 1, 100)).astype(int) @ (299, 587, 114)
    assert (np.diff(ramp) >= 0).all()
    assert tuple(coloured(np.array(2.0))) == COLOURS[-1]


def test_every_value_is_drawn_in_its_place() -> None:
    values = np.zeros((3, 5))
    values[1, 4] = 7
    image = np.asarray(draw(values, "bits"))
    assert tuple(image[8 + 3, 8 * 4 + 3]) == COLOURS[-1]
    assert tuple(image[3, 3]) == COLOURS[0]
    assert draw(np.zeros((1, 1)), "bits").width > 0
    assert draw(np.ones((2000, 3)), "bits").height > 2000


def test_a_part_of_a_map_needs_a_map(run: Run, file: Path) -> None:
    done = run("probe", file, "--map-of", "z")
    assert done.status == 2
    assert "--map-of draws nothing without --map" in done.err
