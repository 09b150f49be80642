"""What was tried in the product's model: parts begin as the identity, trials train what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.state import NAME, State
from studies.product import parts, trials

Thin = Callable[..., Calotype]


@pytest.mark.parametrize(
    "change",
    [parts.transposed, parts.gated, parts.channel_gate, parts.finish, parts.tcm],
    ids=lambda f: f.__name__,
)
def test_parts_begin_as_the_identity(change: Callable[[Calotype], None], thin: Thin) -> None:
    """And have something to learn: other weights of their own give another picture."""
    model, x, level = thin(), torch.rand(1, 3, 64, 128), torch.tensor([1.3])
    own = {id(p) for p in model.parameters()}
    with torch.no_grad():
        before = model(x, level, hard=True).x_hat
        change(model)
        torch.testing.assert_close(model(x, level, hard=True).x_hat, before, atol=2e-5, rtol=0)
        for p in model.parameters():
            if id(p) not in own:
                p += 0.05 * torch.randn_like(p)
        assert float((model(x, level, hard=True).x_hat - before).abs().max()) > 2e-4


def test_a_distance_costs_what_a_step_costs(thin: Thin) -> None:
    """A teacher that is one step away in one latent of one crop adds 6.75 bits, over sqrt(lambda)."""
    model = thin().train()
    x = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    bare, values = AllQualities(model).training_loss(x, torch.Generator().manual_seed(1), True)

    def taught(teacher: torch.nn.Module) -> torch.Tensor:
        objective = parts.Distilled(AllQualities(model), teacher)
        loss, found = objective.training_loss(x, torch.Generator().manual_seed(1), True)
        assert {k: v for k, v in found.items() if k != "distance"} == values
        return loss - bare

    assert float(taught(thin().analysis).detach()) == pytest.approx(0, abs=1e-4)

    class Away(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            y = model.analysis.forward(pixels).clone()
            y[1, 3, 2, 1] += 1 / seen[-1][1][1, 3, 0, 0]
            return y

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    model.levels.register_forward_hook(lambda _, level, k: seen.append((level[0], k.gain)))
    extra = taught(Away())
    expected = 6.75 / (64 * 64) / model.lam(seen[-1][0])[1].sqrt() / 2
    assert float(extra.detach()) == pytest.approx(float(expected), rel=1e-3)


def test_trials_train_what_they_say(thin: Thin, photos: Photos, tmp_path: Path) -> None:
    """No weight moves but those of the part, or of the transform that is not frozen."""
    model = thin()
    state = State(
        0, 0.0, {}, {"model": "calotype", "options": model.config.to_dict()}, {}, model.state_dict()
    )
    moving = {
        "decoder, as it is": {"synthesis", "levels"},
        "channel gate": {"synthesis", "levels"},
        "TCM encoder": {"analysis.tcm"},
        "encoder, as it is": {"analysis"},
        "distilled encoder": {"analysis"},
        "joint, as it is": {"analysis", "synthesis", "latents", "levels"},
        "correlation loss": {"analysis", "synthesis", "latents", "levels"},
    }
    for name, wanted in moving.items():
        trial = trials.TRIALS[name]
        trainer = Trainer(trials.Changed(state, trial), photos, trials.configuration(trial, 1), tmp_path)
        free = {n for n, p in trainer.model.named_parameters() if p.requires_grad}
        assert {next(w for w in sorted(wanted) if n.startswith(w)) for n in free} == wanted, name
    same = trials.configuration(trials.TRIALS["joint, as it is"], 9)
    assert trials.configuration(trials.TRIALS["correlation loss"], 9) == same  # they differ by the loss alone
    assert trials.TRIALS["correlation loss"].change is trials.TRIALS["joint, as it is"].change


@pytest.mark.slow
def test_a_student_learns_from_the_encoder_that_was_trained_before(
    thin: Thin,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = thin()
    weights = model.state_dict()
    options = {"model": "calotype", "options": model.config.to_dict()}
    State(0, 0.0, {}, options, {}, weights).save(tmp_path / NAME)
    (tmp_path / "ideas.json").write_text('{"runs": {}}')
    given = ["--data", str(folder), "--checkpoint", str(tmp_path / NAME), "--out", str(tmp_path / "out")]
    given += ["--store", str(tmp_path / "ideas.json"), "--turns", "1", "--steps", "1", "--only"]
    assert trials.main([*given, "distilled encoder"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])["distilled encoder"]
    assert record["steps"] == 1
    assert len(record["validation"]["bpp"]) == 3
    stored = json.loads((tmp_path / "ideas.json").read_text())["runs"]["distilled encoder"]
    assert stored["made"]["hardware"]
    assert stored["validation"] == record["validation"]
    teacher, student = (State.load(tmp_path / "out" / n).ema for n in ("TCM_encoder", "distilled_encoder"))
    assert any(name.startswith("analysis.tcm.") for name in teacher)
    assert student.keys() == weights.keys()
    assert trials.main([*given[:-3], "--steps", "1", "--store", str(tmp_path / "none.json")]) == 1
    assert "none.json: no such file" in capsys.readouterr().err
