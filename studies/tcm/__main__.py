"""Does SWAtten lower the latents' deviation, and how far do mixed blocks see?  Claims of Liu et al. (CVPR
2023).

    python -m studies.tcm train --data photos --out runs/tcm          pairs of trainings, resumable
    (--minutes) python -m studies.tcm measure --pictures kodak --out runs/tcm     results.json
    python -m studies.tcm report --out studies/tcm                    results.md of a folder's results.json

A pair: the same system with and without SWAtten, from the same first weights where both have them, on the
same crops in the same order.  Receptive fields are those of fresh weights at published widths.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.tcm.page import page
from studies.training import MODEL, train_part, trained

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
PART = 256
"""Of the pictures that deviations are measured on: their middles."""
RESULTS, PAGE = "results.json", "results.md"


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
            first = partial(build, seed, attention=attention, **options)
            if not trained(subject, photos, config, here, deadline, first=first, notes={"lambda": LAMBDA}):
                return False
    return True


def measure(out: Path, shown: Sequence[Path], limit: int, deadline: float) -> dict[str, Any]:
    """Deviations and rates of the trained pairs, receptive fields of fresh weights; what was measured before
    is kept in ``out``, and what ``deadline`` (`time.monotonic`) leaves out can be had by the same command.
    """
    from studies.inside.specimens import pictures

    read = list(pictures(list(shown), limit))
    jobs = [(f"{kind}-{seed}", _deviations) for seed in range(SEEDS) for kind in KINDS]
    jobs += [(f"field-{blocks}-{seed}", _field) for seed in range(SEEDS) for blocks in BLOCKS]
    found: dict[Any, list[Any]] = {_deviations: [], _field: []}
    for name, job in jobs:
        file = out / f"{name}.json"
        if not file.is_file() and time.monotonic() < deadline:
            record = job(out, name, read)
            if record is not None:
                file.write_text(json.dumps(record))
        if file.is_file():
            found[job].append(json.loads(file.read_text()))
    about = {"options": OPTIONS, "train": TRAIN, "lambda": LAMBDA, "seeds": SEEDS, "side": SIDE, "part": PART}
    names = [name for name, _ in read]
    return {**about, "pictures": names, "runs": found[_deviations], "fields": found[_field]}


@torch.no_grad()
def _deviations(out: Path, name: str, read: list[tuple[str, torch.Tensor]]) -> dict[str, Any] | None:
    """Of one trained model: means over the middles of the pictures."""
    from calotype.lab.entropy import Estimate
    from studies.inside.deviation import epsilon
    from studies.inside.erf import middle

    file = out / name / MODEL
    if not file.is_file():
        return None
    model: Any = load_checkpoint(file)
    rows = []
    for _, picture in read:
        x = middle(picture, PART)
        seen = model(x, coder=Estimate("round"))
        error = (x - seen.x_hat.clamp(0, 1)).square().mean()
        rows.append((epsilon(seen.y, seen.y - seen.mu), float(seen.bpp), -10 * math.log10(float(error))))
    means = (statistics.fmean(column) for column in zip(*rows))
    kind, _, seed = name.partition("-")
    return {"seed": int(seed), "kind": kind, **dict(zip(("epsilon_s", "bpp", "psnr"), means))}


def _field(out: Path, name: str, read: list[tuple[str, torch.Tensor]]) -> dict[str, Any]:
    """Of fresh weights at published widths, on the first picture."""
    from studies.inside import erf
    from studies.inside.specimens import Specimen

    _, blocks, seed = name.split("-")
    torch.manual_seed(int(seed))
    model = registry.build(SYSTEM, blocks=blocks).requires_grad_(False)
    field = erf.effective_field(Specimen(blocks, model), read[:1], size=SIDE)
    return {"blocks": blocks, "seed": int(seed), **field.numbers()}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    parser.add_argument("part", choices=("train", "measure", "report"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--pictures", nargs="+", type=Path, default=[], metavar="PATH")
    parser.add_argument(
        "--limit", type=int, default=6, metavar="N", help="pictures to measure on; default: 6"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="N", help="stop after so long")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "train":
        train_part(parser, given, begun, train)
        return
    if given.part == "measure":
        if not given.pictures:
            parser.error("--pictures is needed for measuring")
        record = provenance(run_as(__file__, arguments)) | measure(
            given.out, given.pictures, given.limit, begun + 60 * given.minutes
        )
        (given.out / RESULTS).write_text(json.dumps(record, indent=1) + "\n")
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))
    print((given.out / PAGE).read_text())


if __name__ == "__main__":
    sys.exit(main())
