"""Squares of pictures, judged alone: counts, and the table of the stored ones."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.bench import scripts

from calotype.bench import tables

EYES = Path(__file__).parents[2] / "docs" / "results" / "eyes"


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(scripts.BENCHMARKS))  # it takes from a script beside it
    return scripts.script("squares")


def test_page_holds_what_the_results_give(squares: ModuleType, tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((EYES / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    stored = json.loads((EYES / "squares.json").read_text(encoding="utf-8"))
    changed = tables.insert(copy, squares.NAME, squares.table(stored), "benchmark")
    assert not changed, "run: python benchmarks/squares.py table ..."


def test_worse_is_lower_by_one_measure_and_higher_by_the_other(squares: ModuleType) -> None:
    pairs = ((70.0, 60.0, 1.0, 2.0), (60.0, 61.0, 1.2, 1.0), (50.0, 58.0, 2.0, 1.5))
    found = [{"ssimulacra2": [a, b], "butteraugli": [c, d]} for a, b, c, d in pairs]
    assert squares.worse(found, "ssimulacra2") == (2, 1)
    assert squares.worse(found, "butteraugli") == (2, 1)


def test_squares_overlap_by_half(squares: ModuleType) -> None:

    pixels = np.random.default_rng(0).integers(0, 256, (192, 300, 3), np.uint8)
    found = list(squares.judged(pixels, pixels, 255 - pixels))
    assert [square["at"] for square in found] == [[0, 0], [96, 0]]
    assert all(square["ssimulacra2"][0] == 100 > square["ssimulacra2"][1] for square in found)
    assert squares.worse(found, "ssimulacra2") == (0, 0)
