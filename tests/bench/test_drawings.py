"""Drawings beside AVIF, pictures without loss beside WebP: what is measured, and the page of the results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.bench.scripts import script

import calotype

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "drawings"


drawings = script("drawings")


def test_page_holds_what_the_results_give(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text((RESULTS / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    assert drawings.main(["table", str(RESULTS), str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == (RESULTS / "README.md").read_text(encoding="utf-8")


def test_lossless_counts_real_files() -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 80, 3))
    row = drawings.lossless(pixels, "")
    assert row["pixels"] == 64 * 80
    assert row["bytes"][0] == len(calotype.encode(pixels, lossless=True))
    lines = drawings.lossless_table([{"set": "a", **row}, {"set": "a", **row, "bytes": [50, 100, 200]}])
    assert lines[-1].startswith("| a, 2 |")
    ours, webp = row["bytes"][0] + 50, row["bytes"][1] + 100
    assert f"{ours / webp - 1:+.1%}" in lines[-1]


def test_psnr() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert drawings.psnr(black, black) == float("inf")
    assert drawings.psnr(black, black + 255) == pytest.approx(0)
