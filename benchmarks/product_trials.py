"""Short trials of ideas in the shipped model, from its own checkpoint, at equal steps.

    python benchmarks/product_trials.py --data PHOTOS --out runs/trials [--only NAME ...] [--steps 1000]
    python benchmarks/product_ideas.py          writes the page from what ``--store`` put beside it

Trials of the decoder train the synthesis alone, so that rates are equal and PSNR tells everything; those of
the encoder train the new part alone, against the checkpoint as it is. Every new part begins as the identity.
``--store docs/results/product-ideas/ideas.json`` adds the validation curves to the stored runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import Bottleneck, Pointwise
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.state import State
from calotype.lab.train.subject import Objective, Subject

CHECKPOINT = Path(__file__).parents[1] / "training" / "photo" / "checkpoint.safetensors"
DECODER = "analysis.*,hyper.*,scales.*,mean.*,levels.log_gain,levels.bias,levels.log_z_step,levels.z_*"
ENCODER = "synthesis.*,hyper.*,scales.*,mean.*,levels.*,analysis.own.*"
"""What stays as it is in a trial of the decoder, and of the encoder."""
PACES = {
    "synthesis.blocks*.reduce.*": 1.0,
    "synthesis.blocks*.conv.*": 0.6,
    "synthesis.blocks*.expand.*": 1.0,
}


class Transposed(nn.Module):
    """A transposed convolution of 4x4 in place of 1x1 and shuffle by 2; gives what is shuffled afterwards."""

    def __init__(self, split: Pointwise) -> None:
        super().__init__()
        out, cin = split.weight.shape[:2]
        inner = split.weight.detach()[:, :, 0, 0].T.reshape(cin, out // 4, 2, 2)
        self.weight = nn.Parameter(F.pad(inner, (1, 1, 1, 1)).clone())
        self.bias = nn.Parameter(split.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        grown = F.conv_transpose2d(x, self.weight, stride=2, padding=1)
        return F.pixel_unshuffle(grown, 2) + self.bias[:, None, None]


class Gated(nn.Module):
    """``expand(x (1 + tanh(W x)))``: the gate of ResAU with tanh on the units behind the 3x3 layer."""

    def __init__(self, expand: Pointwise) -> None:
        super().__init__()
        self.expand, self.gate = expand, Pointwise(expand.in_channels, expand.in_channels)
        self.gate.silence()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.expand(x * (1 + torch.tanh(self.gate(x))))
        return out


class Finish(nn.Module):
    """A small residual network on the decoded pixels, at half their resolution, after the last layer."""

    def __init__(self, patch: Pointwise, latents: int, width: int = 16) -> None:
        super().__init__()
        self.patch, self.level = patch, nn.Linear(latents, 2 * width)
        self.first, self.second = nn.Conv2d(12, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 12, 3, padding=1)
        self.vector: Tensor | None = None
        for layer in (self.first, self.second):
            nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(self.level.weight)
        nn.init.zeros_(self.last.weight)

    def forward(self, t: Tensor) -> Tensor:
        assert self.vector is not None
        x = F.pixel_unshuffle(F.pixel_shuffle(self.patch(t), 8), 2)
        a, b = self.level(self.vector.flatten(1))[:, :, None, None].chunk(2, 1)
        change = self.last(F.relu(self.second(F.relu(self.first(8 * x) + a)) + b)) / 32
        return F.pixel_unshuffle(F.pixel_shuffle(x + change, 2), 8)


class Teacher(nn.Module):
    """The analysis and, added to it, the analysis of a TCM of n = 32 whose last layer begins at zero."""

    def __init__(self, own: nn.Module, latents: int) -> None:
        super().__init__()
        self.own, self.tcm = own, registry.build("liu2023-tcm-small", n=32, m=latents, slices=1).g_a
        nn.init.zeros_(self.tcm[-1].weight)
        nn.init.zeros_(self.tcm[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.own(x) + self.tcm(x)
        return out


def transposed(model: Calotype) -> None:
    model.synthesis.split = Transposed(model.synthesis.split)  # type: ignore[assignment]


def gated(model: Calotype) -> None:
    for part in model.synthesis.modules():
        if isinstance(part, Bottleneck):
            part.expand = Gated(part.expand)  # type: ignore[assignment]


def finish(model: Calotype) -> None:
    part = Finish(model.synthesis.patch, model.config.latents)
    model.synthesis.patch = part  # type: ignore[assignment]
    model.synthesis.register_forward_pre_hook(lambda _, given: setattr(part, "vector", given[1]))


def teacher(model: Calotype) -> None:
    model.analysis = Teacher(model.analysis, model.config.latents)  # type: ignore[assignment]


@dataclass(frozen=True)
class Trial:
    """What differs from the decoder's training as it is."""

    change: Callable[[Calotype], None] = lambda model: None
    frozen: str = DECODER
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the training configuration."""


TRIALS = {
    "decoder, as it is": Trial(),
    "decoder, other crops": Trial(fields={"seed": 1}),
    "SOAP": Trial(fields={"optimizer": "soap"}),
    "Muon": Trial(fields={"optimizer": "muon"}),
    "transposed convolution": Trial(transposed),
    "gated activation": Trial(gated),
    "finishing filter": Trial(finish),
    "TCM encoder": Trial(teacher, ENCODER),
}


SAME = ("decoder, as it is", "decoder, other crops", "SOAP", "Muon")
"""What changes training alone."""


class Changed(Subject):
    """The product's model with the weights of a checkpoint and one change."""

    def __init__(self, state: State, change: Callable[[Calotype], None]) -> None:
        super().__init__()
        self.state, self.change = state, change

    def build(self) -> Objective:
        """The objective around the changed model."""
        objective = super().build()
        model: Calotype = objective.model
        model.load_state_dict(self.state.ema)
        paces = PACES | model.learning_rate_factors()  # the first pattern that fits counts
        model.learning_rate_factors = lambda: paces  # type: ignore[method-assign]
        self.change(model)
        return objective


def run(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train one trial; its record for ``ideas.json``."""
    trial = TRIALS[name]
    config = TrainConfig(
        steps=given.steps, batch=4, crop=192, lr=1e-3, warmup=100, decay=1.0, hard=1.0, ema=0.995, bf16=True,
        freeze=trial.frozen, validate_every=10**9, save_every=10**9,
    )  # fmt: skip
    config = replace(config, **trial.fields)
    trainer = Trainer(Changed(State.load(given.checkpoint), trial.change), Photos.open(*given.data), config,
                      given.out / name.replace(" ", "_"))  # fmt: skip
    begun = time.process_time()
    found = trainer.run() if given.steps else trainer.validate()
    curve = {key: found[key] for key in ("bpp", "psnr", "mean_loss")}
    return {"steps": given.steps, "cpu_seconds": round(time.process_time() - begun, 1), "validation": curve}


def transform_time(name: str, given: argparse.Namespace) -> float:
    """CPU time of the changed transform as a multiple of that of the unchanged one: PyTorch, float32, one
    thread, 768 x 512 pixels, the median of turns.
    """
    trial, state = TRIALS[name], State.load(given.checkpoint)
    models = [
        Changed(state, change).build().model.eval().to(memory_format=torch.channels_last)
        for change in (Trial().change, trial.change)
    ]
    m = models[0].config.latents
    pixels, latents, level = torch.rand(1, 3, 512, 768), torch.randn(1, m, 32, 48), torch.zeros(1, m, 1, 1)
    ratios = []
    with torch.inference_mode():
        for _ in range(given.turns):
            seconds = []
            for model in models:
                begun = time.process_time()
                model.analysis(pixels) if trial.frozen == ENCODER else model.synthesis(latents, level)
                seconds.append(time.process_time() - begun)
            ratios.append(seconds[1] / seconds[0])
    return round(statistics.median(ratios), 2)


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", nargs="+", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    options.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="NAME")
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--turns", type=int, default=9, help="of measuring a transform's time")
    options.add_argument("--store", type=Path)
    given = options.parse_args(arguments)
    torch.set_num_threads(1)
    for name in given.only:
        record = run(name, given)
        if name not in SAME:
            record["transform_time"] = transform_time(name, given)
        print(json.dumps({name: record}), flush=True)
        if given.store:
            stored = json.loads(given.store.read_text(encoding="utf-8"))
            stored["runs"][name] = record
            given.store.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
