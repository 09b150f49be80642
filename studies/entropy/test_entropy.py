"""The study of the entropy model: what is counted, fitted and searched; the page is that of its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calotype.codec import library
from calotype.codec.pack import Pack
from studies.entropy import __main__ as command
from studies.entropy import hyper, laws
from studies.entropy.crops import Crop, by_cell, middle

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def pack() -> Pack:
    return library.load("photo-psnr")


@pytest.fixture
def crop(pack: Pack, photographs: Callable[[int, int, int], Path]) -> Crop:
    return Crop(pack, middle(photographs(1, 100, 130) / "0.png", 64), 40)


def test_page_holds_what_the_results_give(tmp_path: Path) -> None:
    for path in HERE.iterdir():
        if path.suffix in (".json", ".md"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert command.main(["page", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_bytes() == (HERE / "README.md").read_bytes()


def test_counts_are_all_symbols_and_all_bits(crop: Crop) -> None:
    """But for residuals of the second quantiser."""
    counts = laws.Counts(crop)
    found = crop.classes(crop.z, crop.r)
    assert counts.r.sum() == counts.kinds.sum() == (found.second == 0).sum()
    assert counts.z.sum() == crop.z.size
    left = float(crop.r_bits(found)[found.second == 1].sum())
    assert 8 * crop.cost(crop.z, crop.r).size == pytest.approx(counts.bits + left, abs=8 * 20)
    assert 0 <= counts.wide < counts.bits


def test_cells_are_sums() -> None:
    assert by_cell(np.arange(16).reshape(4, 4), 2).tolist() == [[10, 18], [42, 50]]


def test_what_was_fitted_to_a_tile_saves_on_it(pack: Pack, crop: Crop) -> None:
    counts = laws.Counts(crop)
    found = laws.gains(laws.Fits(pack, [counts] * 16), [counts])
    for idea in ("z: tables fitted anew", "r: tables fitted anew", "r: tables for 8 kinds instead of 3"):
        assert found[idea] < 0
    with pytest.raises(ValueError, match="need as many tiles, there are 1"):
        laws.gains(laws.Fits(pack, [counts]), [counts])


def test_hard_em_tells_two_kinds_of_tiles_apart() -> None:
    base = np.full((1, 4), 2.0)
    left, right = np.array([[90.0, 8, 1, 1]]), np.array([[1.0, 1, 8, 90]])
    bank = laws.hard_em([left, right] * 4, base, 6, lambda counts, law: laws._fit(counts, law, 1.0))
    assert (bank[0] == base).all()
    best = [min(float((tile * law).sum()) for law in bank) for tile in (left, right)]
    assert max(best) < 0.5 * 200


def test_the_search_never_loses_and_the_rule_moves_towards_the_law(crop: Crop) -> None:
    found = hyper.measure(crop.pack, crop.pixels, 40)
    assert found["searched"] <= 0
    z = hyper.cheaper(crop, 1.0)
    shift = crop.classes(crop.z, crop.r).z_shift
    moved = z != crop.z
    assert (np.abs(z - crop.z) <= 1).all()
    assert (np.abs(z - shift)[moved] < np.abs(crop.z - shift)[moved]).all()


def test_skips_that_leave_much(pack: Pack, crop: Crop) -> None:
    found = hyper.skips(pack, crop.pixels, 40)
    assert 0 < found["far"] < 100
    assert 0 < found["few"] <= 100
    assert abs(found["error"]) > 0
