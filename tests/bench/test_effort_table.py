"""The table of encoder effort in the guide is the one that its stored results give."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.bench import scripts

from calotype.bench import tables

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def effort() -> ModuleType:
    return scripts.script("effort")


@pytest.mark.parametrize("name", ["effort", "effort-eyes", "effort-rounding"])
def test_guide_holds_what_the_results_give(effort: ModuleType, tmp_path: Path, name: str) -> None:
    stored = json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    copy = tmp_path / "guide.md"
    copy.write_text(guide, encoding="utf-8")
    table = effort.rounding if name == effort.ROUNDING else effort.table
    changed = tables.insert(copy, name, table(stored), "benchmark")
    assert not changed, "run: python benchmarks/effort.py table ..."


def _stored(gain: float) -> dict[str, Any]:
    files = [
        {"picture": p, "quality": q, "effort": e, "bpp": 0.01 * q * (1 - gain * (e > 0)), "psnr": 20.0 + q,
         "cpu": 2.0 + e, "wall": 1.0}
        for p in ("a", "b") for q in (10.0, 20.0, 30.0, 40.0) for e in (0, 3)
    ]  # fmt: skip
    hardware = {"processor": "P", "cores": 2}
    rest = {"pack": "x 1", "threads": 2, "finished": "2026-01-01T", "commit": "abc"}
    return {"files": files, "hardware": hardware, **rest}


def test_gain_is_a_bd_rate(effort: ModuleType) -> None:
    text = effort.table(_stored(0.05))
    assert "| 3 | -5.00 % | 1 | 5 |" in text
    assert "| 0 |  | 1 | 2 |" in text
    assert "2 pictures at 4 qualities" in text


def test_a_step_along_a_curve_is_no_gain(effort: ModuleType) -> None:
    """Not even where one picture alone makes it, and the other has twice the bits."""
    stored = _stored(0.0)
    for row in stored["files"]:
        row["bpp"] *= 1 + (row["picture"] == "b")
        if row["picture"] == "a" and row["effort"]:
            row["bpp"] *= 1.05
            row["psnr"] = 20.0 + row["bpp"] / 0.01
    assert abs(float(effort.table(stored).split("| 3 | ")[1].split(" %")[0])) < 0.05


def test_a_pack_for_eyes_is_measured_by_its_look(effort: ModuleType) -> None:
    stored = _stored(0.05) | {"measure": "ssimulacra2"}
    for row in stored["files"]:
        row["ssimulacra2"] = row["psnr"] + 2 * (row["effort"] > 0)
    text = effort.table(stored)
    assert "BD-rate (SSIMULACRA2)" in text
    assert "| 3 | -5.00 %" not in text


def test_clock_times_may_be_missing(effort: ModuleType) -> None:
    stored = _stored(0.05)
    for row in stored["files"]:
        del row["wall"]
    assert "| 3 | -5.00 % |  | 5 |" in effort.table(stored)


def test_unfinished_efforts_are_left_out(effort: ModuleType) -> None:
    stored = _stored(0.05)
    del stored["files"][-1]
    assert "| 3 |" not in effort.table(stored)


def test_measures_and_goes_on(effort: ModuleType, tmp_path: Path, capsys: Any) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96]
    pixels = np.clip(
        120 + 60 * np.sin(x / 9)[..., None] + rng.normal(0, 20, (64, 96, 3)) + y[..., None], 0, 255
    )
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "one.png")
    out = tmp_path / "effort.json"
    told = ["measure", str(tmp_path), "--efforts", "1", "--qualities", "20", "40", "60", "--threads", "1"]
    effort.main([*told, "--out", str(out)])
    first = json.loads(out.read_text())
    assert {(row["quality"], row["effort"]) for row in first["files"]} == {
        (q, e) for q in (20.0, 40.0, 60.0) for e in (0, 1)
    }
    printed = capsys.readouterr().out
    assert "| 1 |" in printed
    effort.main([*told, "--out", str(out)])
    assert json.loads(out.read_text())["files"] == first["files"]
