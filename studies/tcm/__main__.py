"""Does SWAtten lower the latents' deviation, and how far do mixed blocks see?  Claims of Liu et al. (CVPR
2023).

    python -m studies.tcm train --data photos --out runs/tcm          pairs of trainings, resumable
    (--minutes) python -m studies.tcm measure --pictures kodak --out runs/tcm     results.json
    python -m studies.tcm report --out studies/tcm                    results.md of a folder's results.json

A pair: the same system with and without SWAtten, from the same first weights where both have them, on the
same crops in the same order.  Receptive fields are those of fresh weights at published widths.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, save_checkpoint
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, usable
from studies.tcm.page import page

SYSTEM = "liu2023-tcm-small"
OPTIONS = {"n": 16, "m": 48, "z": 16, "slices": 3, "inner": 32, "widths": [48, 32]}
LAMBDA = 0.013
TRAIN = {
    "steps": 80, "batch": 2, "crop": 128, "lr": 1e-3, "warmup": 10, "decay": 0.5, "hard": 0.0, "ema": 0.95,
    "held_out": 2, "save_every": 40, "validate_every": 10_000, "log_every": 20,
}  # fmt: skip
SEEDS = 3
KINDS = {"with": True, "without": False}
BLOCKS = ("conv", "swin", "tcm")
SIDE = 512
"""Of the pictures that receptive fields are measured on."""
MODEL, RESULTS, PAGE = "model.safetensors", "results.json", "results.md"


def build(seed: int, *, attention: bool, **options: Any) -> Any:
    """A system with the first weights of ``seed``; without SWAtten those of the one that has it."""
    torch.manual_seed(seed)
    whole = registry.build(SYSTEM, **options, attention=True)
    if attention:
        return whole
    model = registry.build(SYSTEM, **options, attention=False)
    weights = whole.state_dict()
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model


def train(
    data: Sequence[Path], out: Path, deadline: float, *, options: Any = OPTIONS, steps: int = 0
) -> bool:
    """Train every pair until ``deadline`` (`time.monotonic`); returns whether all is there."""
    from calotype.lab.train.config import TrainConfig
    from calotype.lab.train.data import Photos
    from calotype.lab.train.loop import Trainer
    from calotype.lab.train.report import Console
    from calotype.lab.train.state import NAME, State
    from calotype.lab.train.subject import Subject

    photos = Photos.open(*data)
    for seed in range(SEEDS):
        for kind, attention in KINDS.items():
            here = out / f"{kind}-{seed}"
            if (here / MODEL).is_file():
                continue
            if time.monotonic() > deadline:
                return False
            config = TrainConfig.from_dict({**TRAIN, "seed": seed, **({"steps": steps} if steps else {})})
            subject = Subject(SYSTEM, {**options, "attention": attention}, lam=LAMBDA)
            with Console(here, quiet=True) as reporter:
                trainer = Trainer(subject, photos, config, here, reporter=reporter)
                if (here / NAME).is_file():
                    trainer.resume(State.load(here))
                else:
                    start = build(seed, attention=attention, **options)
                    trainer.model.load_state_dict(start.state_dict())
                    trainer.restart_average()
                trainer.run(max(0.0, deadline - time.monotonic()))
                if trainer.step < config.steps:
                    return False
                with trainer.averaged() as model:
                    save_checkpoint(here / MODEL, model, {"steps": trainer.step, "lambda": LAMBDA})  # type: ignore[arg-type]
            (here / NAME).unlink(missing_ok=True)
    return True


def measure(out: Path, shown: Sequence[Path], limit: int) -> dict[str, Any]:
    """Deviations and rates of the trained pairs, receptive fields of fresh weights."""
    from calotype.lab.analysis import deviation, erf
    from calotype.lab.analysis.specimens import Specimen, pictures
    from calotype.lab.evaluate import evaluate
    from calotype.lab.train.stores import SUFFIXES

    paths = [f for p in shown for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    paths = [f for f in paths if f.suffix.lower() in SUFFIXES][:limit]
    read = list(pictures(paths))
    runs = []
    for seed in range(SEEDS):
        for kind in KINDS:
            file = out / f"{kind}-{seed}" / MODEL
            if not file.is_file():
                continue
            specimen = Specimen(f"{kind} {seed}", load_checkpoint(file))
            found = deviation.summary([deviation.measure(specimen, name, x) for name, x in read])
            mean = list(evaluate(file, paths))[-1]
            keys = ("epsilon", "gamma", "epsilon_s", "after_residual_prediction")
            runs.append({"seed": seed, "kind": kind, **{k: found[k] for k in keys},
                         "bpp": mean["bpp"], "psnr": mean["psnr"]})  # fmt: skip
    fields = []
    for blocks in BLOCKS:
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            specimen = Specimen(blocks, registry.build(SYSTEM, blocks=blocks))
            field = erf.effective_field(specimen, read[:1], size=SIDE)
            fields.append({"blocks": blocks, "seed": seed, **field.numbers()})
    about = {"options": OPTIONS, "train": TRAIN, "lambda": LAMBDA, "seeds": SEEDS, "side": SIDE}
    return {**about, "pictures": [p.name for p in paths], "runs": runs, "fields": fields}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(
        prog="python -m studies.tcm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=("train", "measure", "report"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--pictures", nargs="+", type=Path, default=[], metavar="PATH")
    parser.add_argument(
        "--limit", type=int, default=6, metavar="N", help="pictures to measure on; default: 6"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, metavar="N", help="stop training after so long"
    )
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "train":
        if not given.data:
            parser.error("--data is needed for training")
        if not train(given.data, given.out, begun + 60 * given.minutes):
            print("stopped before the end; the same command goes on", flush=True)
        return
    if given.part == "measure":
        if not given.pictures:
            parser.error("--pictures is needed for measuring")
        command = ["python", "-m", "studies.tcm", *(sys.argv[1:] if arguments is None else arguments)]
        record = provenance(command) | measure(given.out, given.pictures, given.limit)
        (given.out / RESULTS).write_text(json.dumps(record, indent=1) + "\n")
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))
    print((given.out / PAGE).read_text())


if __name__ == "__main__":
    sys.exit(main())
