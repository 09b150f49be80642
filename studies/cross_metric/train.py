"""One small system trained for MSE and for MS-SSIM, for the cross-metric table.

    python -m studies.cross_metric.train --start CHECKPOINT --data PHOTOS --out RUN   resumable (--minutes)

Both begin with the weights of a system that was trained for MSE, and go on at four multipliers each, from it,
on the same crops and the same noise in as many steps: RUN/weights/mse and RUN/weights/ms-ssim, which
``calotype bench`` takes as ``lab:RUN/weights/mse``.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from calotype.lab.checkpoint import load_checkpoint, read_info, save_checkpoint
from calotype.lab.objective import LAMBDAS
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import commit
from calotype.records.script import guarded, parser_of, usable
from studies.training import MODEL, train_part, trained

WEIGHTS = "weights"
KINDS = ("mse", "ms-ssim")
LEVELS = {"mse": (4, 5, 6, 7), "ms-ssim": (4, 5, 6, 7, 1)}
"""Of the published multipliers: those of the higher rates; of MS-SSIM one more, to meet the rates of MSE."""
TRAIN = {
    "steps": 350, "batch": 2, "crop": 192, "lr": 1e-3, "warmup": 20, "decay": 0.5, "hard": 0.0, "ema": 0.99,
    "held_out": 1, "save_every": 400, "validate_every": 100_000, "log_every": 100,
}  # fmt: skip
"""MS-SSIM needs crops of more than 160 pixels."""


def train(
    start: Path,
    data: Sequence[Path],
    out: Path,
    deadline: float,
    *,
    seed: int = 0,
    steps: int = 0,
    cache: Path | None = None,
) -> bool:
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there."""
    torch.set_num_threads(1)
    photos, info = Photos.open(*data, cache=cache), read_info(start)
    config = TrainConfig.from_dict({**TRAIN, "seed": seed, **({"steps": steps} if steps else {})})
    for kind in KINDS:
        for level in LEVELS[kind]:
            lam = LAMBDAS[kind][level]
            kept = out / WEIGHTS / kind / f"{lam:g}.safetensors"
            if kept.is_file():
                continue
            if time.monotonic() > deadline:
                return False
            here = out / "runs" / kind / f"{lam:g}"
            subject = Subject(info.name, info.config, lam=lam, distortion=kind)
            notes = {"lambda": lam, "seed": seed, "commit": commit(), "start steps": info.training["steps"]}
            first = partial(load_checkpoint, start)
            if not trained(subject, photos, config, here, deadline, first=first, notes=notes):
                return False
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_checkpoint(kept, load_checkpoint(here / MODEL), read_info(here / MODEL).training)
            print(f"{kind}, lambda {lam:g}: {config.steps} steps", flush=True)
    return True


def about(out: Path) -> dict[str, Any]:
    """How what lies in a folder was trained, for the results."""
    keys, runs = ("lambda", "steps", "start steps", "commit"), []
    for kind in KINDS:
        infos = [read_info(file) for file in (out / WEIGHTS / kind).iterdir()]
        for info in sorted(infos, key=lambda i: i.training["lambda"]):
            runs.append({"kind": kind, **{key: info.training[key] for key in keys}})
    seed = info.training.get("seed", 0)
    return {"system": info.name, "config": info.config, "seed": seed, "train": TRAIN, "runs": runs}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Train."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("--start", type=Path, required=True, metavar="CHECKPOINT", help="a system trained for MSE")
    add("--data", nargs="+", type=Path, required=True, metavar="FOLDER", help="photographs to train on")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--seed", type=int, default=0, metavar="N", help="of crops and noise; the start has its own")
    add("--minutes", type=float, default=math.inf, metavar="N", help="stop training after so long")
    given = parser.parse_args(arguments)
    usable(given.out)
    train_part(parser, given, begun, partial(train, given.start, seed=given.seed))


if __name__ == "__main__":
    sys.exit(main())
