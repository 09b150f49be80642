"""Short trials of ideas in the shipped model, from its own checkpoint, at equal steps.

    python -m studies.product.trials --data PHOTOS --out runs/trials [--only NAME ...] [--steps 1000]
    python -m studies.product.page             writes the page from what ``--store`` put beside it

Trials of the decoder train the synthesis alone, so that rates are equal and PSNR tells everything; those of
the encoder train the analysis, or what is added to it, alone; joint ones train everything.  Each compares
with the run of its kind that is called "as it is".  Every new part begins as the identity.
"distilled encoder" learns from the encoder that "TCM encoder" left in the same ``--out``, which it trains
first where there is none.
``--store studies/product/ideas.json`` adds the validation curves to the stored runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.objective import Objective
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.state import NAME, State
from calotype.lab.train.subject import Subject
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.product import parts

CHECKPOINT = Path(__file__).parents[2] / "training" / "photo" / "checkpoint.safetensors"
DECODER = "analysis.*,latents.*,levels.*_gain,levels.*_bias,levels.log_z_step,levels.z_*"
ENCODER = "synthesis.*,latents.*,levels.*"
ADDED = f"{ENCODER},analysis.own.*"
"""What stays as it is in a trial of the decoder, of the encoder, and of what is added to the encoder."""

SHOWN = 8
"""Held-out photographs whose latents' correlation is looked at after joint trials."""


def _paces(transform: str, reduce: float, conv: float, expand: float) -> str:
    layers = {"reduce": reduce, "conv": conv, "expand": expand}
    return ",".join(f"{transform}.blocks*.{layer}.*={pace:g}" for layer, pace in layers.items())


SYNTHESIS, ANALYSIS = _paces("synthesis", 1.0, 0.6, 1.0), _paces("analysis", 0.3, 0.2, 0.3)
JOINT = f"{SYNTHESIS},{ANALYSIS},latents.scales.*=0.2,latents.*=0.3,levels.*=1,*patch*=0.1"
"""Paces of the shipped weights' own training (docs/results/training/packs.md)."""


@dataclass(frozen=True)
class Trial:
    """What differs from the decoder's training as it is."""

    change: Callable[[Calotype], None] = parts.as_it_is
    frozen: str = DECODER
    paces: str = SYNTHESIS
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of the training configuration."""
    correlation: Mapping[str, Any] = field(default_factory=dict)
    """Of the correlation loss."""
    teacher: str = ""
    """The trial whose encoder teaches."""


TRIALS = {
    "decoder, as it is": Trial(),
    "decoder, other crops": Trial(fields={"seed": 1}),
    "SOAP": Trial(fields={"optimizer": "soap"}),
    "Muon": Trial(fields={"optimizer": "muon"}),
    "transposed convolution": Trial(parts.transposed),
    "gated activation": Trial(parts.gated),
    "channel gate": Trial(parts.channel_gate),
    "finishing filter": Trial(parts.finish),
    "TCM encoder": Trial(parts.tcm, ADDED, ""),
    "encoder, as it is": Trial(frozen=ENCODER, paces=ANALYSIS),
    "distilled encoder": Trial(frozen=ENCODER, paces=ANALYSIS, teacher="TCM encoder"),
    "joint, as it is": Trial(frozen="", paces=JOINT),
    "joint, other crops": Trial(frozen="", paces=JOINT, fields={"seed": 1}),
    "correlation loss": Trial(frozen="", paces=JOINT, correlation={"alpha": 5.0}),
}


class Changed(Subject):
    """The product's model with the weights of a checkpoint, and what a trial changes."""

    def __init__(self, state: State, trial: Trial, teacher: torch.nn.Module | None = None) -> None:
        super().__init__(**{**state.model, "correlation": dict(trial.correlation)})
        self.state, self.trial, self.teacher = state, trial, teacher

    def build(self) -> Objective:
        """The objective around the changed model."""
        objective = super().build()
        objective.model.load_state_dict(self.state.ema)
        self.trial.change(objective.model)
        return objective if self.teacher is None else parts.Distilled(objective, self.teacher)


def folder(name: str, given: argparse.Namespace) -> Path:
    """Where a trial leaves its weights."""
    return Path(given.out / name.replace(" ", "_"))


def configuration(trial: Trial, steps: int) -> TrainConfig:
    """How a trial is trained."""
    config = TrainConfig(
        steps=max(steps, 1), batch=4, crop=192, lr=1e-3, warmup=100, decay=1.0, hard=1.0, ema=0.995,
        bf16=True, freeze=trial.frozen, paces=trial.paces, validate_every=10**9, save_every=10**9,
    )  # fmt: skip
    return replace(config, **trial.fields)


def run(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train one trial; its record for ``ideas.json``."""
    trial, photos = TRIALS[name], Photos.open(*given.data)
    subject = Changed(State.load(given.checkpoint), trial, teacher_of(trial, given))
    trainer = Trainer(subject, photos, configuration(trial, given.steps), folder(name, given))
    begun = time.process_time()
    found = trainer.run() if given.steps else trainer.validate()
    curve = {key: found[key] for key in ("bpp", "psnr", "mean_loss")}
    record = {"steps": given.steps, "cpu_seconds": round(time.process_time() - begun, 1), "validation": curve}
    if not trial.frozen:
        trainer.model.load_state_dict(trainer.ema)
        shown = photos.centres(photos.split(trainer.config.held_out)[1][:SHOWN], 256)
        record["neighbours"] = parts.neighbours(trainer.model.eval(), shown)
    if trial.change is not parts.as_it_is:
        record["transform_time"] = transform_time(trial, given)
    return record


def teacher_of(trial: Trial, given: argparse.Namespace) -> torch.nn.Module | None:
    """The encoder that a trial learns from, trained first where it is missing."""
    if not trial.teacher:
        return None
    kept = folder(trial.teacher, given) / NAME
    if not kept.is_file():
        run(trial.teacher, given)
    model = Changed(State.load(given.checkpoint), TRIALS[trial.teacher]).build().model
    model.load_state_dict(State.load(kept).ema)
    encoder: torch.nn.Module = model.analysis.requires_grad_(False).to(memory_format=torch.channels_last)
    return encoder


def transform_time(trial: Trial, given: argparse.Namespace) -> float:
    """CPU time of the changed transform as a multiple of that of the unchanged one: PyTorch, float32, one
    thread, 768 x 512 pixels, the median of turns.
    """
    state = State.load(given.checkpoint)
    models = [
        Changed(state, one).build().model.eval().to(memory_format=torch.channels_last)
        for one in (Trial(), trial)
    ]
    m = models[0].config.latents
    pixels, latents, level = torch.rand(1, 3, 512, 768), torch.randn(1, m, 32, 48), torch.zeros(1, m, 1, 1)
    ratios = []
    with torch.inference_mode():
        for _ in range(given.turns):
            seconds = []
            for model in models:
                begun = time.process_time()
                model.analysis(pixels) if trial.frozen == ADDED else model.synthesis(latents, level)
                seconds.append(time.process_time() - begun)
            ratios.append(seconds[1] / seconds[0])
    return round(statistics.median(ratios), 2)


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("--data", nargs="+", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    options.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS), metavar="NAME")
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--turns", type=int, default=9, help="of measuring a transform's time")
    options.add_argument("--store", type=Path)
    given = options.parse_args(arguments)
    usable(given.out)
    if given.store:
        made_of(given.store, lambda stored: dict(stored["runs"]))  # before hours of training
    torch.set_num_threads(1)
    command = run_as(__file__, arguments)
    for name in given.only:
        record = run(name, given)
        print(json.dumps({name: record}), flush=True)
        if given.store:
            stored = json.loads(given.store.read_text(encoding="utf-8"))
            stored["runs"][name] = record | {"made": provenance(command)}
            given.store.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
