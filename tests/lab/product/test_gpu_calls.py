"""The two calls of ``training/gpu``, without a GPU: what travels, what is chosen, what is tried before."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.report import Reporter
from calotype.lab.train.rollback import Diverged
from calotype.lab.train.state import NAME, State

FOLDER = Path(__file__).resolve().parents[3] / "training" / "gpu"
Make = Callable[..., Trainer]
Picture = Callable[..., np.ndarray]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """script(name): a script of the folder, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = [path.stem for path in FOLDER.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def avif(pixels: np.ndarray, quality: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "AVIF", quality=quality, subsampling="4:4:4", speed=8)
    return data.getvalue()


def test_photographs_are_recompressed_as_far_as_it_takes(
    script: Callable[[str], Any], picture: Picture, tmp_path: Path
) -> None:
    prepare = script("prepare")
    for k in range(4):
        (tmp_path / f"p{k}.avif").write_bytes(avif(picture(96, 128, k), 97 - k))
    files = prepare.photographs(tmp_path)
    assert list(files) == ["p0.avif", "p1.avif", "p2.avif", "p3.avif"]  # most bits per pixel first
    total, cache = sum(map(len, files.values())), tmp_path / "cache"
    cache.mkdir()
    assert prepare.squeezed(files, set(), total, cache) == files
    less = prepare.squeezed(files, {"p0"}, total - 10, cache)
    assert [name for name in files if less[name] != files[name]] == ["p1.avif"]
    assert len(list(cache.iterdir())) == 1
    with pytest.raises(ValueError, match="do not fit"):
        prepare.squeezed(files, {"p0", "p1", "p2"}, total // 10, None)


def test_portions_leave_as_much_room(script: Callable[[str], Any]) -> None:
    files = {f"{k}.avif": bytes(100 + 7 * k) for k in range(40)}
    first, second = script("prepare").portions(files, {"3", "4"}, [6000, 5500])
    assert {"3.avif", "4.avif"} <= set(second)
    assert {**first, **second} == files
    assert not set(first) & set(second)
    left = [room - sum(map(len, part.values())) for room, part in ((6000, first), (5500, second))]
    assert abs(left[0] - left[1]) <= 120


def part(check: ModuleType, what: str, *found: dict[str, Any], **fields: Any) -> Any:
    return check.Part(what, fields, None, Path(what), True, 0, list(found))


def test_what_is_fastest_is_chosen_and_a_smaller_batch_before_it(script: Callable[[str], Any]) -> None:
    check = script("check")

    def timed(batch: int, compiled: str, speed: float, finite: bool = True) -> Any:
        found = {"megapixels/s": speed, "steps/s": speed / batch, "finite": finite}
        return part(check, "time", found, batch=batch, compile=compiled, bf16=True, graph=True)

    parts = [timed(64, "no", 300), timed(64, "loss", 640), timed(128, "loss", 700)]
    assert check.fastest(parts) is parts[1]
    assert check.fastest([*parts, timed(128, "transforms", 720)]).fields["batch"] == 128
    assert check.fastest([*parts, timed(128, "transforms", 900, finite=False)]) is parts[1]
    assert check.choice([part(check, "time", batch=64)]) == {}
    right = {"float32 ok": True, "bfloat16 ok": False, "graph ok": True}
    chosen = check.choice([*parts, part(check, "compare", right)])
    assert chosen == {"batch": 64, "compile": "loss", "bf16": False, "graph": True, "warmup": 50}
    rates: list[dict[str, Any]] = [{"rate": 1e-3, "loss": 5.0}, {"rate": 2e-3, "loss": None}]
    assert "lr" not in check.choice([*parts, part(check, "rates", *rates)])
    rates += [{"rate": 4e-3, "loss": 4.9}]
    assert check.choice([*parts, part(check, "rates", *rates)])["lr"] == 4e-3


def test_notes_are_read_without_tensors(script: Callable[[str], Any], trainer: Make, tmp_path: Path) -> None:
    run = trainer(steps=1, paces="levels.*=2")
    run.run()
    state, notes = State.load(tmp_path / "run"), script("common").notes(tmp_path / "run" / NAME)
    assert notes["data"]["held out"] == state.data["held out"] != []
    assert (notes["config"], notes["seconds"]) == (state.config, state.seconds)
    assert script("common").notes(tmp_path / "nothing") == {}


def test_an_attempt_that_keeps_silent_is_given_up(
    script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, log, copy = script("train"), tmp_path / "log.jsonl", tmp_path / "copy.jsonl"
    code = "import sys, time; open(sys.argv[1], 'w').write('{}'); time.sleep(float(sys.argv[2])); sys.exit(3)"

    def followed(seconds: float) -> int:
        process = subprocess.Popen([sys.executable, "-c", code, str(log), str(seconds)])
        try:
            return int(train.followed(process, log, copy, time.monotonic() + 50))
        finally:
            process.kill()

    assert followed(0.1) == 3
    assert copy.read_text() == "{}"
    monkeypatch.setattr(train, "HANGS", 2.0)
    assert followed(60) == 124


@pytest.mark.slow
def test_compiling_changes_nothing_and_may_fail(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled runs once before the schedule begins; here nothing is, really."""
    calls, said = [], list[str]()

    class Told(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    def compiles(function: Any, **_: Any) -> Any:
        def run(*given: Any) -> Any:
            calls.append(len(calls))
            return function(*given)

        return run

    def fails(function: Any, **_: Any) -> Any:
        def run(*_: Any) -> Any:
            raise RuntimeError("no compiler\nand much more")

        return run

    plain = trainer("plain", steps=3)
    plain.run()
    monkeypatch.setattr(torch, "compile", compiles)
    compiled = trainer("compiled", steps=3, compile="loss")
    compiled.run()
    assert len(calls) == 3 + 1
    monkeypatch.setattr(torch, "compile", fails)
    broken = trainer("broken", steps=3, compile="loss", reporter=Told())
    broken.run()
    assert "cannot be compiled, going on without: no compiler" in said
    for run in (compiled, broken):
        for name, value in plain.model.state_dict().items():
            assert torch.equal(run.model.state_dict()[name], value)


@pytest.mark.slow
def test_rates_are_tried_from_the_same_weights(
    script: Callable[[str], Any],
    trainer: Make,
    folder: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    selftest = script("selftest")
    trainer(steps=1).run()
    Photos.open(folder, cache=cache)
    packed = next(cache.glob("*.json")).with_suffix("")
    run, breaks = Trainer.run, 1e-2

    def may_break(self: Trainer) -> dict[str, Any]:
        found = run(self)
        if self.config.lr == breaks:
            raise Diverged("not finite")
        return found

    monkeypatch.setattr(Trainer, "run", may_break)
    rates, fields = [1e-3, breaks, 1e-9, 1e-9], {"crop": 64, "batch": 2, "held_out": 2}
    found = list(selftest.tried(tmp_path / "run", "cpu", [packed], rates, 1.0, tmp_path / "turn", **fields))
    assert [one["rate"] for one in found] == rates
    assert all(one["steps"] >= 1 for one in found)
    losses = [one["loss"] for one in found]
    assert losses[1] is None
    assert losses[2] == pytest.approx(losses[3], rel=1e-4)
    assert losses[0] != pytest.approx(losses[2], rel=1e-4)
