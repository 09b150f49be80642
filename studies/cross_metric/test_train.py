"""One start, both losses: what is trained, that it goes on, what is told of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, save_checkpoint
from calotype.lab.objective import LAMBDAS
from studies.cross_metric import train as study


@pytest.mark.slow
def test_both_begin_with_the_start(
    photographs: Callable[[int, int, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "LEVELS", {"mse": (4,), "ms-ssim": (1,)})
    data, out, start = photographs(2, 200, 210), tmp_path / "out", tmp_path / "start.safetensors"
    torch.manual_seed(0)
    save_checkpoint(start, registry.build("balle2018-factorized", n=8, m=8), {"lambda": 0.1, "steps": 9})
    given = {"steps": 2, "cache": tmp_path / "cache"}
    assert not study.train(start, [data], out, time.monotonic() - 1, **given)
    assert study.train(start, [data], out, math.inf, **given)
    files = sorted((out / study.WEIGHTS).rglob("*.safetensors"))
    assert [f.stem for f in files] == [
        f"{LAMBDAS[kind][level]:g}" for kind, level in (("ms-ssim", 1), ("mse", 4))
    ]
    stamps = [f.stat().st_mtime_ns for f in files]
    assert study.train(start, [data], out, math.inf, **given)
    assert stamps == [f.stat().st_mtime_ns for f in files]
    one, other = (load_checkpoint(f).state_dict() for f in files)
    assert any(not torch.equal(one[key], other[key]) for key in one)
    told = study.about(out)
    assert [(r["kind"], r["steps"], r["start steps"]) for r in told["runs"]] == [
        ("mse", 2, 9),
        ("ms-ssim", 2, 9),
    ]
