"""The loop: exact resume, divergence, averages, mixed precision, signals."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from calotype.lab import registry
from calotype.lab.checkpoint import CheckpointError
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_objective import MS_SSIM_WEIGHT, AllQualities
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.process import computes_bf16
from calotype.lab.train.report import Console, Reporter, table
from calotype.lab.train.rollback import Diverged
from calotype.lab.train.state import State, find, split
from calotype.lab.train.subject import Subject

Make = Callable[..., Trainer]


class At(Reporter):
    """Calls ``act`` when a step is done."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.step, self.act = step, act

    def advance(self, step: int) -> None:
        if step == self.step:
            self.act()


def same(a: State, b: State) -> None:
    """Every tensor and number of two states, bit for bit."""
    assert (a.step, a.config, a.model, a.data) == (b.step, b.config, b.model, b.data)
    for x, y in ((a.weights, b.weights), (a.ema, b.ema)):
        assert x.keys() == y.keys()
        assert all(torch.equal(x[k], y[k]) for k in x)
    assert a.optimizer.keys() == b.optimizer.keys()
    for name in a.optimizer:
        assert a.optimizer[name].keys() == b.optimizer[name].keys()
        for key, value in a.optimizer[name].items():
            other = b.optimizer[name][key]
            assert torch.equal(value, other) if isinstance(value, Tensor) else value == other, (name, key)


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        pytest.param({}, None, id="adam", marks=pytest.mark.slow),
        pytest.param({"optimizer": "soap", "lr": 1e-4}, None, id="soap", marks=pytest.mark.slow),
        pytest.param({"optimizer": "muon", "lr": 1e-4}, None, id="muon", marks=pytest.mark.slow),
        pytest.param(
            {"bf16": True, "parts": 2, "hard": 0.5, "decay": 0.5},
            None,
            id="bf16, two parts, hard from the third step",
        ),
        pytest.param(
            {}, Subject("minnen2018-mean-scale", {"n": 8, "m": 12}, lam=0.01), id="a published system"
        ),
    ],
)
def test_a_resumed_run_equals_one_that_was_not_interrupted(
    trainer: Make, tmp_path: Path, fields: dict[str, Any], subject: Subject | None
) -> None:
    def keep() -> None:
        shutil.copytree(tmp_path / "whole", tmp_path / "second")

    fields = {"steps": 4, "save_every": 2, **fields}
    trainer("whole", reporter=At(3, keep), subject=subject, **fields).run()
    assert State.load(tmp_path / "second").step == 2
    second = trainer("second", subject=subject, **fields)
    torch.rand(7)  # whatever else the process does
    second.resume(State.load(tmp_path / "second"))
    second.run()
    whole, resumed = State.load(tmp_path / "whole"), State.load(tmp_path / "second")
    assert whole.step == 4
    same(whole, resumed)


def test_the_seed_decides_the_run(trainer: Make, tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(folder, seed=seed, steps=1, batch=1).run()
    a, b, c = (State.load(tmp_path / folder) for folder in "abc")
    same(a, b)
    assert not torch.equal(a.weights["latents.mean.wide.weight"], c.weights["latents.mean.wide.weight"])


@pytest.mark.parametrize("log_every", [pytest.param(1, marks=pytest.mark.slow), 100])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    trainer: Make, tmp_path: Path, log_every: int
) -> None:
    run = trainer(save_every=1, log_every=log_every, batch=2)
    healthy = run.objective.training_loss

    def poisoned(x: Tensor, generator: torch.Generator, hard: bool) -> tuple[Tensor, dict[str, Any]]:
        loss, figures = healthy(x, generator, hard)
        return (loss * math.nan if run.step == 2 else loss), figures

    run.objective.training_loss = poisoned  # type: ignore[method-assign]
    with pytest.raises(Diverged, match=r"step 2; last good checkpoint: .*checkpoint\.safetensors"):
        run.run()
    state = State.load(tmp_path / "run")
    assert state.step == 2
    assert all(v.isfinite().all() for v in [*state.weights.values(), *state.ema.values()])


def test_a_broken_gradient_is_noticed_even_with_a_finite_loss(trainer: Make) -> None:
    run = trainer()
    next(run.model.parameters()).register_hook(lambda grad: grad / 0)
    with pytest.raises(Diverged, match="step 0; last good checkpoint: there is none"):
        run.run()


def test_convolutions_over_volumes_train(trainer: Make) -> None:
    subject = Subject("mentzer2018", registry.entry("mentzer2018").thin, lam=0.01)
    run = trainer(subject=subject, steps=1, batch=2)
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.run()
    over_volumes = [name for name, p in before.items() if p.dim() == 5]
    assert over_volumes
    assert any((run.model.get_parameter(name) != before[name]).any() for name in over_volumes)


def test_the_moving_average(trainer: Make) -> None:
    run = trainer(steps=2, ema=0.5)
    name = "latents.mean.wide.weight"
    weights = [run.model.state_dict()[name].clone()]
    run.reporter = At(1, lambda: weights.append(run.model.state_dict()[name].clone()))
    run.run()
    weights.append(run.model.state_dict()[name])
    expected = weights[0]
    for step in (1, 2):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights[step]
    assert not torch.equal(weights[1], weights[2])
    torch.testing.assert_close(run.ema[name], expected)


def test_a_validation_scores_the_average_and_leaves_the_weights(trainer: Make) -> None:
    run = trainer()
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    plain = run.validate()
    for v in run.ema.values():
        v.mul_(0.5)
    assert run.validate()["psnr"] != plain["psnr"]
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    assert run.model.training
    assert "psnr" in table(plain)


def test_bf16_is_for_machines_that_compute_in_it(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without instructions for it would take ten times as long, so it stays at float32."""
    known: dict[str, Any] = {}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    cpu = torch.device("cpu")
    for found, wanted in (
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({}, True),  # another architecture: it cannot be told
    ):
        known.clear()
        known.update(found)
        assert computes_bf16(cpu) is wanted
        run = trainer(bf16=True)
        assert isinstance(run.model, Calotype)
        assert run.model.synthesis.render.bf16 is wanted
    known.update(avx512_bf16=False)
    assert computes_bf16(torch.device("cuda"))


def test_bf16_changes_little_and_stays_in_the_transforms(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.lab.train.process.computes_bf16", lambda device: True)
    losses = {}
    for bf16 in (False, True):
        run = trainer(bf16=bf16)
        x = run._crops(0)[0]
        loss, _ = run.objective.training_loss(x, torch.Generator().manual_seed(0), False)
        losses[bf16] = float(loss.detach())
    assert losses[True] == pytest.approx(losses[False], rel=0.03)
    subject = Subject("balle2018-hyperprior", {"n": 8, "m": 12}, lam=0.01)
    run = trainer(bf16=True, subject=subject)
    model = run.model
    seen = []
    model.g_a[0].register_forward_hook(lambda layer, args, out: seen.append(out.dtype))  # type: ignore[index]
    out = model.g_a(torch.rand(1, 3, 64, 64))  # type: ignore[operator]
    assert seen == [torch.bfloat16]
    assert out.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_frozen_parameters_stay(trainer: Make) -> None:
    run = trainer(steps=1, freeze="analysis.*, levels.high_log_gain")
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.run()
    after = run.model.state_dict()
    for name in ("analysis.patch.weight", "levels.high_log_gain"):
        assert torch.equal(after[name], before[name])
    for name in ("synthesis.patch.weight", "levels.high_bias"):
        assert not torch.equal(after[name], before[name])
    with pytest.raises(ValueError, match="nothing is left"):
        trainer(freeze="*")


def test_paces_come_before_those_of_the_model(trainer: Make) -> None:
    run = trainer(paces="synthesis.patch.*=0.5, synthesis.*=2")
    pace = {
        id(p): group["factor"] for group in run.optimizer.param_groups for p in group["params"]
    }  # fmt: skip
    names = dict(run.model.named_parameters())
    assert pace[id(names["synthesis.patch.weight"])] == 0.5
    assert pace[id(names["synthesis.split.weight"])] == 2
    assert pace[id(names["analysis.patch.weight"])] == 0.1


@pytest.mark.slow
def test_all_qualities_can_be_tuned_for_ms_ssim(photos: Photos) -> None:
    subject = Subject(
        options={"latents": 48, "width": 48, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8},
        distortion="ms-ssim",
    )
    objective = subject.build()
    x = photos.crops([0, 1], (3,), 2, 176)
    objective.model.train()
    loss, figures = objective.training_loss(x, torch.Generator().manual_seed(0), True)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in objective.model.parameters() if p.grad is not None)
    assert 0 < figures["bpp"] < 50
    objective.model.eval()
    curve, plain = objective.validate(x), AllQualities(objective.model).validate(x)
    assert (curve["bpp"], curve["psnr"]) == (plain["bpp"], plain["psnr"])
    for level, lam in enumerate(objective.model.config.lambdas):
        distance = MS_SSIM_WEIGHT * 10 ** (-curve["ms_ssim"][level] / 10)
        # The mean of dB is not quite the dB of the mean.
        expected = (curve["bpp"][level] + lam * distance) / lam**0.5
        assert curve["loss"][level] == pytest.approx(expected, rel=0.1)


def test_a_signal_ends_the_run_after_a_whole_step(trainer: Make, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = trainer(reporter=At(2, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    run.run()
    assert run.stopped
    assert State.load(tmp_path / "run").step == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_time_leaves_a_checkpoint_at_once(trainer: Make, tmp_path: Path) -> None:
    trainer().run(seconds=0.0)
    assert State.load(tmp_path / "run").step == 0


@pytest.mark.slow
def test_the_log_has_each_step_once_after_a_crash(trainer: Make, tmp_path: Path) -> None:
    def crash() -> None:
        raise OSError("the disk is full")

    class Crashing(Console):
        def advance(self, step: int) -> None:
            if step == 3:
                crash()

    fields = {"steps": 4, "save_every": 2, "validate_every": 2, "batch": 2}
    with pytest.raises(OSError, match="full"):
        trainer(reporter=Crashing(tmp_path / "run", quiet=True), **fields).run()
    assert State.load(tmp_path / "run").step == 2  # not one that a crash cut short
    run = trainer(reporter=Console(tmp_path / "run", quiet=True), **fields)
    run.resume(State.load(tmp_path / "run"))
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in lines if "loss" in e] == [0, 1, 2, 3]
    assert [e["step"] for e in lines if "validation" in e] == [2, 4]
    seconds = [e["seconds"] for e in lines]
    assert seconds == sorted(seconds)


def test_learning_rates() -> None:
    config = TrainConfig(steps=100, lr=1.0, warmup=10, decay=0.5, final=0.1)
    assert config.learning_rate(0) == pytest.approx(0.1)
    assert config.learning_rate(9) == config.learning_rate(50) == 1.0
    assert config.learning_rate(75) == pytest.approx(0.55)
    assert config.learning_rate(100) == pytest.approx(0.1)
    step = TrainConfig(steps=100, lr=1.0, warmup=0, decay=0.08, final=0.1, shape="step")
    assert [step.learning_rate(k) for k in (92, 93, 99)] == pytest.approx([1.0, 0.1, 0.1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepps": 3}, "stepps"),
        ({"steps": "many"}, "steps must be a whole number"),
        ({"steps": 1.5}, "whole"),
        ({"lr": "nan"}, "lr must be a number"),
        ({"bf16": 2}, "true or false"),
        ({"crop": 100}, "multiple of 16"),
        ({"scale": 1.5}, "within 0..1"),
        ({"optimizer": "sgd"}, "adam, soap, muon"),
        ({"batch": 6, "parts": 4}, "equal parts"),
        ({"decay": 1.2}, "within 0..1"),
        ({"seed": -1}, "negative"),
    ],
)
def test_bad_configurations_are_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict(values)


def test_configurations_take_text() -> None:
    config = TrainConfig.from_dict({"steps": "1e5", "lr": "3e-4", "bf16": "true"})
    assert (config.steps, config.lr, config.bf16) == (100_000, 3e-4, True)
    assert TrainConfig.from_dict(config.to_dict()) == config


def test_pieces_make_the_whole(trainer: Make, tmp_path: Path) -> None:
    run = trainer(steps=1)
    run.run()
    pieces = split(run.checkpoint.read_bytes(), tmp_path / "pieces", limit=3_000_000)
    assert all(p.stat().st_size <= 3_000_000 for p in pieces)
    assert len(pieces) > 2
    assert find(tmp_path / "pieces") == run.checkpoint.read_bytes()
    same(State.load(tmp_path / "pieces"), State.load(tmp_path / "run"))
    split(run.checkpoint.read_bytes(), tmp_path / "pieces", limit=9_000_000)
    assert find(tmp_path / "pieces") == run.checkpoint.read_bytes()
    victim = sorted((tmp_path / "pieces").iterdir())[-1]
    victim.write_bytes(victim.read_bytes()[:-1] + b"\x55")
    with pytest.raises(CheckpointError, match="damaged"):
        find(tmp_path / "pieces")
    victim.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        find(tmp_path / "pieces")


def test_bad_checkpoints_are_clear_errors(trainer: Make, tmp_path: Path) -> None:
    run = trainer(steps=1)
    run.run()
    good = run.checkpoint.read_bytes()
    for name, data in {
        "empty": b"",
        "cut": good[:-9],
        "text": b"hello there, world",
        "pickle": b"\x80\x02}q",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=name):
            State.load(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        State.load(tmp_path / "nowhere")
    other = trainer(
        "other",
        subject=Subject(options={"latents": 64, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}),
    )
    with pytest.raises(CheckpointError, match="another model"):
        other.resume(State.load(run.checkpoint))


@pytest.mark.slow  # that every parameter learns, test_calotype.py shows in one step
def test_training_lowers_the_loss(trainer: Make) -> None:
    run = trainer(steps=8, lr=2e-2, batch=2, save_every=1000)
    before = run.validate()
    run.run()
    after = run.objective.validate(run.photos.centres(run.valid_set, 256))
    assert isinstance(run.objective, AllQualities)
    assert after["mean_loss"] < 0.8 * before["mean_loss"]
