"""The correlation-loss experiment at its smallest: every row can be built, parts go on, results become
tables.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab import registry
from calotype.lab.checkpoint import read_info
from calotype.lab.entropy.coders import FileDecoder
from calotype.lab.layers import quick_conv
from calotype.lab.losses import CorrelationLoss
from calotype.records.provenance import provenance
from studies.correlation import __main__ as experiment
from studies.correlation.plan import BUDGETS, PAPER, WITH, Budget, plan
from studies.correlation.report import PAGE, markdown, saving, tables
from studies.correlation.speed import page as speed_page
from studies.correlation.speed import speeds

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, photographs: Callable[[int, int, int], Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on four small pictures, with its cache kept inside the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    photos = str(photographs(4, 96, 128))

    def start(part: str, *arguments: str) -> int:
        given = ["--budget", "smoke", "--data", photos, "--pictures", photos, "--quiet", "--device", "cpu"]
        return experiment.main([part, "--out", str(tmp_path / "out"), *given, *arguments])

    return start


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "smoke" else [pytest.mark.slow]) for name in BUDGETS],
)
def test_every_row_of_every_budget_can_be_built(name: str) -> None:
    budget = BUDGETS[name]
    assert Budget.from_dict(json.loads(json.dumps(budget.to_dict()))) == budget
    rows = plan(budget)
    assert len({r.key for r in rows}) == len(rows)
    for row in rows:
        with torch.device("meta"):
            registry.build(row.model, **row.options)
        assert bool(row.correlation) == (WITH in row.key)
        CorrelationLoss(**row.correlation)
    assert {r.key for r in rows} > {*PAPER["gain"], *PAPER["share"], *PAPER["speed"]}
    assert budget.config(False).steps <= budget.config(True).steps


def test_budgets_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="no 'step'"):
        Budget.from_dict({"note": "", "step": 3})
    with pytest.raises(ValueError, match="multiple of 8"):
        Budget("", n=12)
    with pytest.raises(ValueError, match="crop"):
        Budget("", train={"crop": 100})


@pytest.mark.slow
def test_from_training_to_the_table(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    only = ["--only", "mean-scale*"]
    assert run("train", "--minutes", "0", *only) == 0
    assert "goes on" in capsys.readouterr().out
    assert not list(out.rglob("*.safetensors"))
    assert run("report") == 1
    assert "nothing was measured" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    assert run("all", *only) == 0
    for row in ("mean-scale", "mean-scale+loss"):
        for lam in ("0.05", "0.01"):
            notes = read_info(out / row / lam / "model.safetensors").training
            assert notes["steps"] == 3
            assert bool(notes["correlation"]) == row.endswith(WITH)
            measured = json.loads((out / row / lam / "measures.json").read_text())
            assert measured["mean"]["bpp"] > 0
            assert np.array(measured["correlation"]["map"]).shape == (5, 5)
            assert len(measured["pictures"]) == 1  # as the budget says
    found = json.loads((out / "results.json").read_text())
    assert set(found["rows"]) == {"mean-scale", "mean-scale+loss"}
    assert found["hardware"]["processor"]
    assert found["libraries"]["torch"] == torch.__version__
    (session,) = found["sessions"]
    assert found["command"] == session["command"]
    assert found["command"].startswith("python -m studies.correlation all --out out --budget smoke")
    assert "| mean-scale |" in (out / PAGE).read_text()
    with Image.open(out / "maps.png") as image:
        assert image.format == "PNG"
    # nothing is trained or measured twice
    stamps = {
        p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name in ("model.safetensors", "measures.json")
    }
    assert run("all", *only) == 0
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    # what is stored counts, and a change of it is not passed over
    for part in ("measure", "report"):
        assert run(part, "--set", "pictures=2", *only) == 1
        assert "budget.json, which --set does not change" in capsys.readouterr().err
    # another budget needs another folder
    assert run("train", "--set", "train.steps=4", *only) == 1
    assert "another budget" in capsys.readouterr().err
    (out / "budget.json").unlink()
    assert run("report", "--set", "pictures=2") == 1
    assert "results.json, which --set does not change" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_run_goes_on_from_its_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it had not been stopped: the same weights."""
    only = ["--only", "cheng+loss"]
    assert run("train", *only) == 0
    whole = (tmp_path / "out" / "cheng+loss" / "0.05" / "model.safetensors").read_bytes()
    (tmp_path / "out").rename(tmp_path / "whole")
    # a clock that jumps past the deadline after some calls, that is within the first run
    calls = iter([0.0] * 8 + [1e9] * 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(experiment.time, "monotonic", lambda: next(calls))
        assert run("train", "--minutes", "1", *only) == 0
    here = tmp_path / "out" / "cheng+loss" / "0.05"
    assert not (here / "model.safetensors").exists()
    assert (here / "checkpoint.safetensors").exists()
    assert run("train", *only) == 0
    a, b = (_weights(data) for data in (whole, (here / "model.safetensors").read_bytes()))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not (here / "checkpoint.safetensors").exists()


def _weights(data: bytes) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return dict(load(data))


def row(group: str, points: list[tuple[float, float]], around: float) -> dict[str, Any]:
    return {
        "group": group,
        "points": [
            {
                "mean": {"bpp": r, "psnr": q},
                "pictures": [{"image": "a.png"}],
                "correlation": {"centre": 2.0, "off_centre": around, "channel_off_centre": 2 * around},
            }
            for r, q in points
        ],
    }


def test_tables_by_hand() -> None:
    """Curves that save 5 % and 20 % of the rate: gains, share; none where they hardly overlap."""
    base = [(0.2, 30.0), (0.4, 33.0), (0.8, 36.0)]

    def less(percent: float) -> list[tuple[float, float]]:
        return [(r * (1 - percent / 100), q) for r, q in base]

    rows = {
        "cheng": row("main", base, 0.3),
        "cheng+loss": row("main", less(5), 0.1),
        "cheng-autoregressive": row("context", less(20), 0.05),
        "cheng-checkerboard+loss": row("context", less(18), 0.06),
        "cheng+loss alpha x 10": row("ablation", less(6), 0.04),
    }
    found = tables(rows)
    (hyper,) = found["hyperpriors"]
    assert hyper["gain"] == pytest.approx(5)
    assert (hyper["correlation without"], hyper["correlation with"]) == pytest.approx((0.3, 0.1))
    assert (hyper["over centre without"], hyper["over centre with"]) == pytest.approx((0.15, 0.05))
    context = {r["system"]: r for r in found["contexts"]}
    assert context["cheng+loss"]["share of autoregression's"] == pytest.approx(25)
    assert context["cheng+loss"]["overlap, dB"] == pytest.approx(6)
    assert context["cheng-checkerboard+loss"]["share of autoregression's"] == pytest.approx(90)
    assert context["cheng-checkerboard+loss"]["published share"] == 90
    assert [r["gain"] for r in found["ablation"]] == pytest.approx([0, 5, 6])
    record = {
        "budget": BUDGETS["smoke"].to_dict(), **provenance(["measure"]), "rows": rows, "tables": found,
    }  # fmt: skip
    text = markdown(json.loads(json.dumps(record)))
    assert "| cheng | 5 | 9.5 |" in text
    for end, common in ((30.05, 0.05), (12.0, -18.0)):
        apart = {**rows, "cheng+loss": row("main", [(0.1, 10.0), (0.2, end)], 0.1)}
        (hyper,) = tables(apart)["hyperpriors"]
        assert hyper["gain"] is None
        assert hyper["overlap, dB"] == pytest.approx(common)
    assert saving(base, [(0.1, 10.0)]) is None


@pytest.mark.slow
def test_rows_of_a_system_share_their_start(run: Run, tmp_path: Path) -> None:
    """With a base, every row and lambda goes on from one checkpoint that was trained without the loss."""
    small = ["--set", "base=2", "--set", "seeds=2", "--set", 'ablate="mean-scale"', "--set", "train.steps=1"]
    assert run("train", *small, "--only", "mean-scale", "mean-scale+loss", "noise") == 0
    out = tmp_path / "out"
    base = read_info(out / "base" / "mean-scale" / "model.safetensors")
    assert base.training["steps"] == 2
    assert base.training["lambda"] == pytest.approx((0.05 * 0.01) ** 0.5)
    assert not base.training["correlation"]
    start = _weights((out / "base" / "mean-scale" / "model.safetensors").read_bytes())
    moved = {}
    for row in ("mean-scale", "mean-scale+loss", "mean-scale_seed_1", "mean-scale+loss_seed_1"):
        for lam in ("0.05", "0.01"):
            here = _weights((out / row / lam / "model.safetensors").read_bytes())
            # one step of Adam moves a weight by its rate at most, the average by less
            far = max(float((here[k] - start[k]).abs().max()) for k in here if here[k].is_floating_point())
            assert 0 < far < 0.01, (row, lam, far)
            moved[row, lam] = here["g_a.0.weight"]
    assert len({t.numpy().tobytes() for t in moved.values()}) == len(
        moved
    )  # loss, lambda and seed all matter


@pytest.mark.slow
def test_every_kind_of_decoding_is_timed(tmp_path: Path) -> None:
    """Position by position only where there is a raster scan, plain sums only where there are quicker ones;
    models and coders are as they were before.
    """
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    chosen = [("cheng-autoregressive", "cheng2020-anchor", {"n": 8}), ("b", "balle2017", {"n": 8})]
    code, least = FileDecoder.code, quick_conv.LEAST
    raster, plain = speeds(chosen, tmp_path / "a.png", 2)
    assert (FileDecoder.code, quick_conv.LEAST) == (code, least)
    kinds = {"latents", "synthesis", "float32"}
    assert {k for k, v in plain.items() if isinstance(v, dict) and "all" in v} == kinds
    assert {k for k, v in raster.items() if isinstance(v, dict) and "all" in v} == kinds | {
        "one by one",
        "plain sums",
    }
    assert (raster["steps"], plain["steps"]) == (17, 1)  # 4 x 4 positions and z; one map
    read, whole = raster["one by one"]["reading"], raster["one by one"]["all"]
    assert len(read) == len(whole) == 2
    assert all(0 < a < b for a, b in zip(read, whole, strict=True))
    assert raster["kmacs"] > 0


def test_the_page_of_times(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    record = json.loads((folder / "speed.json").read_text())
    text = (folder / "speed.md").read_text()
    assert text == speed_page(record)
    charm = next(s for s in record["systems"] if s["system"] == "cheng-charm")
    full = next(s for s in record["systems"] if s["system"] == "cheng-autoregressive")
    told = copy.deepcopy(record) | {"share": 0.98}
    for s in told["systems"]:
        for kind in (k for k, v in s.items() if isinstance(v, dict) and "all" in v):
            s[kind] = {"all": [3.0, 1.0, 2.0], "reading": [0.1, 0.1, 0.1]}
        if s["system"] == "cheng-autoregressive":
            s["one by one"]["all"] = [6.0, 6.0, 6.0]
    lines = speed_page(told).splitlines()
    assert "the process had 98% of a core" in " ".join(lines)
    assert sum("| 2 (1 .. 3) |" in line for line in lines) == len(record["systems"])
    # ratios are those of the rounds: 6 by 3, by 1, by 2
    assert any(line.startswith("| cheng-charm | 3 (2 .. 6) | 3 (2 .. 6) | 1 (1 .. 1) |") for line in lines)
    ratio = np.median(np.atleast_1d(full["one by one"]["all"]) / np.atleast_1d(charm["latents"]["all"]))
    assert f"| {ratio:.3g}" in text
    (tmp_path / "speed.json").write_text(json.dumps(record))
    (tmp_path / "results.json").write_text((folder / "results.json").read_text())
    assert experiment.main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "speed.md").read_text() == text


def test_the_page_is_what_the_results_give(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    record = json.loads((folder / "results.json").read_text())
    assert (folder / PAGE).read_text() == markdown(record)
    assert tables(record["rows"]) == record["tables"]
    (tmp_path / "results.json").write_text(json.dumps(record))
    assert experiment.main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / PAGE).read_text() == markdown(record)


def test_chained_multipliers_begin_where_the_one_before_ended() -> None:
    budget = replace(BUDGETS["smoke"], chain=0.34)
    assert budget.config(True).steps == 3
    assert budget.config(False).steps == 1


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--out", "x", "--budget", "huge"], 1, "no budget is called 'huge'"),
        (["train", "--out", "x", "--budget", "smoke"], 1, "--data FOLDER is needed"),
        (
            ["train", "--out", "x", "--budget", "smoke", "--only", "y"],
            1,
            "no row is called 'y'",
        ),
        (["train", "--out", "x", "--set", "steps=3"], 1, "a budget has no 'steps'"),
        (["train", "--out", "file"], 1, "correlation: file: is a file, not a folder"),
    ],
)
def test_mistakes(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert experiment.main(arguments) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("n", "--set takes FIELD=JSON, got 'n'"),
        ("n=abc", "n must be a whole number of at least 1, got 'abc'"),
        ('n="abc"', "n must be a whole number of at least 1, got 'abc'"),
        ("n.x=1", "n of a budget is one value, so there is no 'n.x'"),
        ("note=3", "note must be text"),
        ("lambdas=3", "lambdas must be a list of numbers"),
        ("lambdas=[0.1, NaN]", "lambdas must be a list of numbers"),
        ("alpha=Infinity", "alpha must be a finite number"),
        ("windows=[4]", "window must be an odd whole number"),
        ("swin=[8]", "swin must be an object"),
        ("swin.widths=3", "widths must be a list of numbers"),
        ("charm.foo=3", "has no size 'foo'"),
        ("train.steps=x", "steps must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_kept(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    assert run("train", "--set", setting) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be a JSON object"),
        ("{}", "needs a note"),
        ('{"note": "", "n": "x"}', "n must be a whole number"),
        ('{"note": ""', "no budget can be read"),
    ],
)
def test_a_wrong_budget_file_is_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "mine.json").write_text(text)
    assert run("train", "--budget", str(tmp_path / "mine.json")) == 1
    error = capsys.readouterr().err
    assert "mine.json: " in error
    assert message in error
    assert error.count("\n") == 1


def test_a_command_that_failed_can_be_corrected(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder takes a budget only once the photographs are open; words need no quotes."""
    assert run("train", "--set", "seeds=2", "--data", str(tmp_path / "nowhere")) == 1
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("train", "--minutes", "0", "--set", "ablate=swin") == 0
    assert json.loads((tmp_path / "out" / "budget.json").read_text())["ablate"] == "swin"


def test_speed_takes_settings(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("speed", "--only", "mean-scale", "--set", "m=16", "--rounds", "1") == 0
    stored = json.loads((tmp_path / "out" / "speed.json").read_text())
    (record,) = stored["systems"]
    assert record["options"] == {"n": 8, "m": 16}
    assert stored["rounds"] == 1
    assert "| mean-scale | 2 |" in (tmp_path / "out" / "speed.md").read_text()
