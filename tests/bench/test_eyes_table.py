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


def test_a_picture_that_loses_is_told_from_one_that_wins(eyes: ModuleType) -> None:
    """Curves straight in log(rate): of one picture ours takes half of AVIF's bytes, of the other twice as
    much from 60 up, and no metric but one was measured.
    """
    rows = [
        {"codec": codec, "image": f"{image}.png", "quality": q, "bpp": bpp, "metrics": {"ssimulacra2": score}}
        for image, worse in (("good", 0.5), ("bad", 2.0))
        for q, score in enumerate((20.0, 40.0, 60.0, 80.0, 90.0))
        for codec, factor in (("avif-444", 1.0), ("calotype", 0.5 if score < 60 else worse))
        for bpp in [factor * 2 ** (score / 20)]
    ]
    images = [{"name": f"{image}.png"} for image in ("good", "bad")]
    found = {"metrics": ["ssimulacra2"], "codecs": ["calotype", "avif-444"], "images": images}
    good, bad = eyes.by_picture(eyes.Table(found | {"measurements": rows}))
    assert good == ["good", "-50.0 %", "-50.0 %", "-50.0 %", "", ""]
    assert bad[0] == "bad"
    every, from_60, from_75 = (float(cell.split()[0]) for cell in bad[1:4])
    assert from_60 == pytest.approx(100, abs=6)  # curves are smooth, too, where they part
    assert from_75 == pytest.approx(100, abs=2)
    assert -50 < every < 90
