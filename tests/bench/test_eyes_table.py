"""The page of the perceptual metrics is the one that its stored results give."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from tests.bench import scripts

from calotype.bench import tables

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "eyes"


@pytest.fixture(scope="module")
def eyes() -> ModuleType:
    return scripts.script("eyes")


@pytest.mark.parametrize("name", ["kodak", "large"])
def test_page_holds_what_the_results_give(eyes: ModuleType, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((RESULTS / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    changed = tables.insert(copy, f"eyes-{name}", eyes.text(RESULTS / name), "benchmark")
    assert not changed, "run: python benchmarks/eyes.py FOLDER... README.md"


def test_disagreement_names_both_sides(eyes: ModuleType) -> None:
    rates = {("avif-444", "x", "ssimulacra2"): -5.0, ("avif-444", "x", "cvvdp"): 3.0}
    told = eyes._disagreement(rates)
    assert "x against AVIF: fewer bits by SSIMULACRA2, more by ColorVideoVDP" in told
    assert "agree" in eyes._disagreement({("jxl", "x", "ssimulacra2"): -5.0, ("jxl", "x", "cvvdp"): -3.0})
