"""Shares of autoregression's gain: a start that is the hyperprior's, what is measured, the page."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, save_checkpoint
from studies.correlation import runs, share
from studies.correlation.plan import BUDGETS, CONTEXTS, HYPERPRIORS, Budget, plan
from studies.correlation.share_page import gains, page
from studies.training import MODEL

FOLDER = Path(__file__).parent
SYSTEM = HYPERPRIORS["cheng"]


def test_the_page_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / share.RESULTS).read_text())
    assert (FOLDER / share.PAGE).read_text() == page(record)
    assert len(gains(record, share.AUTOREGRESSIVE)) >= 3
    assert len(gains(record, share.LOSS)) >= 5


def pairs_in(folder: Path) -> Budget:
    """A folder of pairs with a start that nothing was trained for."""
    train = {**BUDGETS["smoke"].train, "steps": 2, "held_out": 1}
    budget = replace(BUDGETS["smoke"], base=3, seeds=2, lambdas=(0.01,), train=train)
    torch.manual_seed(5)
    model = registry.build(SYSTEM, n=budget.n)
    save_checkpoint(folder / runs.BASE / "cheng" / MODEL, model, {"steps": 3})
    (folder / runs.BUDGET).write_text(json.dumps(budget.to_dict()))
    return budget


def test_a_context_model_begins_with_all_of_the_hyperprior(tmp_path: Path) -> None:
    budget = pairs_in(tmp_path)
    start = tmp_path / runs.BASE / "cheng" / MODEL
    for key in (*share.ROWS, *share.CONTROLS):
        row = share.rows(budget, key)[0]
        control = row.system == share.CONTROL
        assert row.model == (SYSTEM if control else CONTEXTS[row.system])
        assert bool(row.correlation) == key.endswith("+loss")
        found = share.begun(row, start).state_dict()
        before = load_checkpoint(start).state_dict()
        assert all(torch.equal(found[name], value) for name, value in before.items())
        own = {name for name in found if name not in before}
        nets = set() if control else {"mean", "scale", "lrp"} if "charm" in key else {"context", "joint"}
        assert {name.split(".")[0] for name in own} == nets
    (tmp_path / runs.BUDGET).write_text(json.dumps({**budget.to_dict(), "ablate": "swin"}))
    with pytest.raises(ValueError, match="pairs of cheng"):
        share.read(tmp_path)


def record(loss: list[float], all_: list[float], **more: list[float]) -> dict[str, Any]:
    """Results where these are gains in percent; ``more``: of further systems."""
    runs_ = [
        {
            "seed": k,
            "cheng": {"bpp": 0.5, "psnr": 30.0, "cost": 2.0},
            "cheng+loss": {"bpp": 0.5, "psnr": 30.0, "cost": 2.0 - 0.005 * a},
            "cheng-autoregressive": {"bpp": 0.4, "psnr": 30.0, "cost": 2.0 - 0.005 * b},
        }
        for k, (a, b) in enumerate(zip(loss, all_, strict=True))
    ]
    for name, found in more.items():
        for run, gain in zip(runs_, found, strict=True):
            run[name] = {"bpp": 0.5, "psnr": 30.0, "cost": 2.0 - 0.005 * gain}
    made = {"command": "run", "commit": "abc", "finished": "2026-01-01T00:00:00", "libraries": {"torch": "2"}}
    starts = {key: {"steps": 9, "commit": "abc"} for key in ("cheng-autoregressive", *more)}
    return {
        **made, "hardware": {"processor": "P"}, "budget": BUDGETS["pairs"].to_dict(), "start": share.START,
        "starts": starts, "pictures": ["a"], "seeds": runs_,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ([5.0, 5.2, 4.9], "seen"),
        ([0.1, -0.1, 0.0], "not seen"),
        ([9.0, 0.0, 3.0], "cannot be told at this budget"),
        ([2.0, 2.1, 2.2], "seen, smaller than published"),
    ],
)
def test_what_a_page_says(loss: list[float], told: str) -> None:
    """Nothing of the loss without the control; with it, by what both gain over that."""
    whole, untold = [10.0, 10.1, 9.9], "cannot be told at this budget"
    given = record(loss, whole)
    assert gains(given, "cheng+loss") == pytest.approx(loss)
    text = page(given)
    assert f"| 50 % | {untold} |" in text
    assert "Not run: the control, " in text
    assert "| cheng-autoregressive | 3 | +10.0 % (+9.8 .. +10.2) |  | 100 % |  |  |" in text
    control = {"cheng-control": [2.0] * 3, "cheng-control+loss": [2 + g for g in loss]}
    fair = record(loss, [g + 2 for g in whole], **control)
    assert gains(fair, "cheng-autoregressive", "cheng-control") == pytest.approx(whole)
    text = page(fair)
    assert f"| 50 % | {told} |" in text
    assert "Not run: the control" not in text
    assert f"| 50 % | {untold} |" in page(record(loss, [10.0, -10.0, 1.0], **control))


def test_slices_need_a_run_without_the_loss() -> None:
    many = {"cheng-charm+loss": [9.9, 9.7, 9.8], "cheng-control": [0.0, 0.1, -0.1]}
    many["cheng-control+loss"] = many["cheng-control"]
    given = record([0.0, 0.1, 0.2], [10.0, 10.1, 9.9], **many)
    row = "| cheng-charm+loss | 3 | +9.8 % (+9.6 .. +10.0) |"
    assert f"{row} - | +98 % (+93 .. +103) | 98 % | cannot be told at this budget |" in page(given)
    without = {"cheng-charm": [9.9 - 0.5, 9.7 - 0.5, 9.8 - 0.5]}
    text = page(record([0.0, 0.1, 0.2], [10.0, 10.1, 9.9], **many, **without))
    assert f"{row} +0.5 % (+0.5 .. +0.5) | +98 % (+93 .. +103) | 98 % | seen |" in text


def test_not_every_pair_has_to_have_all() -> None:
    given = record([5.0, 5.2, 4.9], [10.0, 10.1, 9.9])
    del given["seeds"][0]["cheng+loss"]
    assert "| cheng+loss | 2 |" in page(given)
    del given["seeds"][1]["cheng+loss"]
    assert "| cheng+loss | 1 | +4.9 % | +4.9 % | - | 50 % | cannot be told at this budget |" in page(given)


@pytest.mark.slow
def test_runs_go_on_and_are_measured(
    photographs: Callable[[int, int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "START", {**share.START, "steps": 2})
    data, pairs, out = photographs(3, 96, 128), tmp_path / "pairs", tmp_path / "out"
    budget, cache = pairs_in(pairs), tmp_path / "cache"
    assert not share.train([data], out, time.monotonic() - 1, pairs=pairs, cache=cache)
    assert share.train([data], out, math.inf, pairs=pairs, cache=cache)
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob(MODEL)}
    assert len(stamps) == len(share.ROWS) * (1 + budget.seeds)
    assert share.train([data], out, math.inf, pairs=pairs, cache=cache)
    assert stamps == {p: p.stat().st_mtime_ns for p in out.rglob(MODEL)}
    before = load_checkpoint(pairs / runs.BASE / "cheng" / MODEL).state_dict()
    begun = load_checkpoint(out / runs.BASE / "cheng-autoregressive" / MODEL).state_dict()
    assert all(torch.equal(begun[name], value) for name, value in before.items())  # frozen
    assert any(not torch.equal(begun[name], v) for name, v in share.begun(
        share.rows(budget, share.AUTOREGRESSIVE)[0], pairs / runs.BASE / "cheng" / MODEL
    ).state_dict().items())  # fmt: skip
    with pytest.raises(ValueError, match="found 0"):
        share.measure(pairs, [data], out, ["measure"])
    rows = [row for row in plan(budget) if row.key.split(" seed")[0] in ("cheng", "cheng+loss")]
    for row in rows:
        save_checkpoint(runs.folder(pairs, row, 0.01) / MODEL, registry.build(SYSTEM, n=8), {"steps": 2})
    assert len(list(runs.measure(budget, rows, [data], pairs, ["m"]))) == 4
    found = share.measure(pairs, [data], out, ["measure"])
    assert [set(s) for s in found["seeds"]] == [{"seed", "cheng", "cheng+loss", *share.ROWS}] * 2
    assert "cheng-checkerboard+loss" in page(json.loads(json.dumps(found)))
    # of the control the layers that its probabilities come from learn alone
    assert share.train([data], out, math.inf, pairs=pairs, only=share.CONTROLS[:2], cache=cache)
    control = load_checkpoint(out / runs.BASE / share.CONTROL / MODEL).state_dict()
    moved = {name.split(".")[0] for name, value in control.items() if not torch.equal(value, before[name])}
    assert moved == {"h_s"}
    found = share.measure(pairs, [data], out, ["measure"])
    assert {share.CONTROL, share.CONTROL + "+loss"} < set(found["seeds"][1])
    text = page(json.loads(json.dumps(found)))
    assert "| cheng-control | 2 |" in text
    assert "Not run: the checkerboard without the loss; slices without the loss." in " ".join(text.split())
