"""What decides a run's length and what it says of itself: time, rollbacks, live units, what is held out."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from calotype.lab.train import live, loop
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.optim import build_optimizer
from calotype.lab.train.report import Console, Reporter
from calotype.lab.train.resident import DevicePhotos
from calotype.lab.train.rollback import Diverged
from calotype.lab.train.state import State

Make = Callable[..., Trainer]


def test_a_schedule_goes_by_steps_or_time_whichever_is_further() -> None:
    config = TrainConfig(steps=100, minutes=2, lr=1.0, warmup=10, decay=0.5, final=0.1, hard=0.25)
    assert config.progress(20, 30.0) == 0.25
    assert config.progress(60, 30.0) == 0.6
    assert config.progress(1, 500.0) == 1
    assert config.learning_rate(0, 0.0) == pytest.approx(0.1)
    assert config.learning_rate(3, 6.0) == 1.0  # a twentieth of the time is over, so the warm-up is
    assert config.learning_rate(5, 90.0) == pytest.approx(0.55)
    assert not config.hardened(5, 80.0)
    assert config.hardened(5, 90.0)
    alone = TrainConfig(steps=0, minutes=2, lr=1.0, warmup=0, decay=1.0, final=0.01)
    assert alone.learning_rate(10**6, 0.0) == 1.0
    assert alone.learning_rate(0, 120.0) == pytest.approx(0.01)


@pytest.mark.slow
def test_minutes_alone_end_annealed(trainer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a number of steps plans with the time it gets; its plan is part of its state."""
    rates = []
    clock = itertools.count(0.0, 0.3)  # a look at it takes a third of a second, and nothing else does
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    class Rates(Reporter):
        def advance(self, step: int) -> None:
            group = run.optimizer.param_groups[0]
            rates.append(group["lr"] / group["factor"])

    run = trainer(steps=0, decay=1.0, warmup=0, batch=2, reporter=Rates())
    with pytest.raises(ValueError, match="nothing says when"):
        run.run()
    run.run(6.0)
    planned = run.config.minutes
    assert 0 < 60 * planned < 6.0
    assert len(rates) > 2
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < rates[0] <= run.config.lr
    state = State.load(tmp_path / "run")
    assert state.config["minutes"] == planned
    # A machine that falls behind stops a little before its plan ends, so that the validation fits.
    assert run.config.progress(state.step, state.seconds) > 0.8
    again = trainer("again", **{**state.config, "minutes": 2 * planned})
    again.resume(state)
    assert again.config.progress(again.step, again.seconds) == pytest.approx(state.seconds / (120 * planned))
    assert again.state().seen == state.seen == state.step * 2 * 64**2


def poison(run: Trainer, steps: set[int]) -> list[Tensor]:
    """Make the loss of some steps not a number; returns where the weights before each step will be."""
    healthy, seen = run.objective.training_loss, list[Tensor]()

    def poisoned(x: Tensor, generator: Any, hard: bool) -> tuple[Tensor, dict[str, Any]]:
        loss, figures = healthy(x, generator, hard)
        seen.append(run.model.state_dict()["latents.mean.wide.weight"].clone())
        return (loss * math.nan if run.step in steps else loss), figures

    run.objective.training_loss = poisoned  # type: ignore[method-assign]
    return seen


@pytest.mark.slow
def test_a_broken_run_goes_back_to_its_last_good_weights(trainer: Make, tmp_path: Path) -> None:
    run = trainer(steps=8, batch=2, rollbacks=1, log_every=2, save_every=100, lr=1e-3, warmup=0)
    seen = poison(run, {3, 4})
    run.run()
    assert run.config.lr == pytest.approx(5e-4)
    state = State.load(tmp_path / "run")
    assert state.step == 8
    assert all(v.isfinite().all() for v in [*state.weights.values(), *state.ema.values()])
    assert torch.equal(seen[4], seen[3])  # a step that is broken changes nothing
    assert torch.equal(seen[5], seen[3])
    assert not torch.equal(seen[7], seen[5])


def test_going_back_has_an_end(trainer: Make) -> None:
    run = trainer(steps=8, batch=2, rollbacks=1, log_every=2, save_every=100)
    poison(run, {2, 3, 4, 5, 6, 7})
    with pytest.raises(Diverged, match="after going back 1 times"):
        run.run()


@pytest.mark.slow
def test_a_loss_that_explodes_is_broken_too(trainer: Make) -> None:
    run = trainer(steps=6, batch=2, rollbacks=2, log_every=2, save_every=100)
    healthy = run.objective.training_loss

    def exploding(x: Tensor, generator: Any, hard: bool) -> tuple[Tensor, dict[str, Any]]:
        loss, figures = healthy(x, generator, hard)
        return loss * (100 if run.step == 2 else 1), figures

    run.objective.training_loss = exploding  # type: ignore[method-assign]
    run.run()
    assert run.config.lr == pytest.approx(5e-4)


def test_live_units_are_counted(trainer: Make) -> None:
    run = trainer()
    conv = run.model.analysis.blocks8[0].conv  # type: ignore[union-attr, index]
    with torch.no_grad():
        conv.weight[:2] = 0  # type: ignore[index, operator]
        conv.bias[:2] = torch.tensor([-1.0, 1.0])  # type: ignore[index, operator]
    x = run._crops(0)[0].float() / 255
    with live.watched(run.model.eval()) as watch:
        run.model(x, torch.zeros(4))
    units = watch.units()
    some, of = units["analysis.blocks8.0.conv"]
    assert 0 < some <= of - 2
    assert "hidden units live" in live.told(units)
    assert not conv._forward_hooks  # type: ignore[union-attr]


def test_the_log_says_what_a_gigapixel_costs(trainer: Make, tmp_path: Path) -> None:
    with Console(tmp_path / "run", quiet=True) as console:
        trainer(reporter=console, crop=128, steps=3).run()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    last = [entry for entry in lines if "loss" in entry][-1]
    assert last["gigapixels"] == pytest.approx(2 * 4 * 128**2 / 1e9, abs=1e-5)
    assert last["megapixels/s"] > 0
    assert lines[-1]["live"]["synthesis.blocks8.0.conv"][1] == 8


def test_what_was_held_out_stays_so(trainer: Make, photos: Photos, tmp_path: Path) -> None:
    run = trainer(steps=1)
    run.run()
    state = State.load(tmp_path / "run")
    assert state.data["held out"] == photos.held_out(run.valid_set)
    state.data["held out"] = ["0", "4"]
    new = trainer("new", held_out=3)
    new.start_from(state, averaged=True)
    assert [photos.names[i] for i in new.valid_set] == ["0.png", "4.png"]
    assert set(new.train_set) == set(range(6)) - set(new.valid_set)
    assert new.inherited == state.seen == 4 * 64**2
    assert photos.split(2, ["nowhere"]) == photos.split(2)


@pytest.mark.slow
def test_what_a_gpu_computes_is_the_same(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam as one kernel, with rates and the switch for a broken gradient as tensors, here on the CPU."""
    plain = trainer("plain", steps=5)
    plain.run()
    monkeypatch.setattr(loop, "build_optimizer", functools.partial(build_optimizer, capturable=True))
    fused = trainer("fused", steps=5, rollbacks=1, log_every=100)
    assert fused.one.fused
    fused.run()
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(fused.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fused.ema[name], plain.ema[name], rtol=1e-4, atol=1e-5)
    broken = trainer("broken", steps=4, rollbacks=1, log_every=100)
    seen = poison(broken, {2})
    broken.run()
    assert torch.equal(seen[3], seen[2])
    assert not torch.equal(seen[2], seen[1])


def test_a_step_needs_no_value_on_the_host(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, gradients and crops on tensors without values: on a GPU, each look at one would wait for it."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows no such device
    run = trainer(crop=64)
    resident = DevicePhotos(run.photos, torch.device("cpu"), 64)
    resident.pixels, resident.along, resident.channels = (
        t.to("meta") for t in (resident.pixels, resident.along, resident.channels)
    )
    model = run.model.to("meta").train()
    run.objective.model = model
    run.one.resident, run.one.parameters = resident, list(model.parameters())
    for name in ("broken", "skipped", "losses", "bad", "controls"):
        setattr(run.one, name, getattr(run.one, name).to("meta"))
    figures = run.one._gradients([torch.zeros(4, 3, dtype=torch.int64, device="meta")], (), True)
    assert {v.device.type for v in figures.values()} == {"meta"}
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.synthesis.parameters())  # type: ignore[union-attr, operator]
