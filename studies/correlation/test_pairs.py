"""Pairs of trainings: what a gain is, which runs make a pair, the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calotype.lab import registry
from calotype.lab.checkpoint import save_checkpoint
from calotype.records.provenance import provenance
from studies.correlation import pairs, runs
from studies.correlation.plan import BUDGETS, plan
from studies.correlation.runs import PAIRS, PAIRS_PAGE

FOLDER = Path(__file__).parent


def measured(bpp: float, psnr: float, around: float = 0.2) -> dict[str, Any]:
    return {
        "mean": {"bpp": bpp, "psnr": psnr},
        "pictures": [{"bpp": bpp, "psnr": psnr}, {"bpp": bpp, "psnr": psnr}],
        "correlation": {"off_centre": around, "centre": 1.0},
        "provenance": provenance(["measure"]),
    }


def test_cost_by_hand() -> None:
    """An MSE of 100 at lambda 0.01 is one bit."""
    psnr = 28.130803608679102  # 10 log10(255^2 / 100)
    assert pairs.cost(measured(0.5, psnr), 0.01) == pytest.approx(1.5)


def test_only_whole_pairs_count(tmp_path: Path) -> None:
    """Rows of one seed, with and without the loss; what was measured alone, and ablations, are left out."""
    budget = replace(BUDGETS["smoke"], seeds=3, ablate="mean-scale", lambdas=(0.01,))
    model = registry.build("balle2017", n=8)
    psnr = 28.130803608679102
    for row in plan(budget):
        if row.system != "mean-scale" or (row.seed == 2 and row.correlation):
            continue
        here = runs.folder(tmp_path, row, 0.01)
        save_checkpoint(here / "model.safetensors", model, {"steps": 3})
        if row.seed < 2 and row.key == "mean-scale":
            assert pairs.collect(budget, tmp_path) is None
        bpp = (0.5 if row.correlation else 0.8) if row.seed else (0.4 if row.correlation else 0.5)
        (here / "measures.json").write_text(json.dumps(measured(bpp, psnr, 0.1 if row.correlation else 0.2)))
    found = pairs.collect(budget, tmp_path)
    assert found is not None
    assert [(p["system"], p["seed"]) for p in found["pairs"]] == [("mean-scale", 0), ("mean-scale", 1)]
    assert [p["gain"] for p in found["pairs"]] == pytest.approx([20, 37.5])
    text = " ".join(pairs.page(json.loads(json.dumps(found))).split())
    assert "Gain +28.75 % (-82.43 .. +139.93)" in text  # 28.75 +- 12.706 x 8.75
    assert "*cannot be told at this budget*" in text
    assert "lowered by +50.0 % (+50.0 .. +50.0): *seen*" in text


@pytest.mark.parametrize(
    "folder", [FOLDER, FOLDER / "cheng", FOLDER / "cheng-early"], ids=lambda folder: folder.name
)
def test_the_page_is_what_the_results_give(folder: Path) -> None:
    record = json.loads((folder / PAIRS).read_text())
    assert (folder / PAIRS_PAGE).read_text() == pairs.page(record)
    assert record["budget"]["seeds"] >= len(record["pairs"]) >= 5
    for p in record["pairs"]:
        assert p["gain"] == pytest.approx(
            100 * (p["without"]["cost"] - p["with"]["cost"]) / p["without"]["bpp"]
        )
