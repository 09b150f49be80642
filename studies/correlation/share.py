"""How much of autoregression's gain the loss has: trainings beside the pairs of Cheng's hyperprior.

    python -m studies.correlation.share train --pairs runs/cheng --data PHOTOS --out runs/share
    python -m studies.correlation.share measure --pairs runs/cheng --pictures KODAK --out runs/share
    python -m studies.correlation.share report --out studies/correlation      share.md of share.json there

``runs/cheng`` holds pairs of the hyperprior with and without the loss (``python -m studies.correlation``,
budget pairs).  A context model begins with the weights of their common start in everything that both have;
its own layers are trained alone first, all else frozen.  From there it goes on as the pairs did: the same
crops and noise by seed, as many steps, the same rates.

Those steps of its own layers are training that the hyperprior has not had, with the loss or without.  What
they gain by themselves says the control: the hyperprior, whose own layers (``h_s``) learn alone as long.
What the loss has of a gain says the same system without it.  ``--only`` trains both (`CONTROLS`); where they
are missing, the page gives no verdict on the loss.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, read_info
from calotype.lab.models.base import LabModel
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import commit
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.correlation import runs
from studies.correlation.pairs import cost
from studies.correlation.plan import CONTEXTS, HYPERPRIORS, WITH, Budget, Row, plan
from studies.correlation.share_page import AUTOREGRESSIVE, CONTROL, HYPERPRIOR, LOSS, page
from studies.training import MODEL, train_part, trained

ROWS = (AUTOREGRESSIVE, "cheng-checkerboard" + WITH, "cheng-charm" + WITH)
"""Context models; those whose names end so are trained with the loss."""
CONTROLS = (CONTROL, CONTROL + WITH, "cheng-checkerboard", "cheng-charm")
"""What tells the loss from the steps that context models have more, and from their sight."""
SYSTEMS = {**CONTEXTS, CONTROL: HYPERPRIORS[HYPERPRIOR]}
START: dict[str, Any] = {"steps": 3000, "lr": 1e-3, "freeze": "g_*,h_*,prior.*", "seed": 1000}
"""Of a context model's own layers; all else as in the pairs."""
CONTROL_FREEZE = "g_*,h_a*,prior.*"
"""Of the control, whose own layers are what its probabilities come from."""
RESULTS, PAGE = "share.json", "share.md"


def rows(budget: Budget, key: str) -> list[Row]:
    """One for each seed."""
    system = key.removesuffix(WITH)
    loss = {"alpha": budget.alpha} if key != system else {}
    return [
        Row(f"{key} seed {s}", SYSTEMS[system], budget.options(system), loss, "context", system, s)
        for s in range(budget.seeds)
    ]


def begun(row: Row, start: Path) -> LabModel:
    """A context model with the hyperprior's weights in all that both have; its own are drawn."""
    torch.manual_seed(START["seed"])
    model = registry.build(row.model, **row.options)
    assert isinstance(model, LabModel)
    model.load_state_dict(load_checkpoint(start).state_dict(), strict=False)
    return model


def train(
    data: Sequence[Path], out: Path, deadline: float, *, pairs: Path, only: Sequence[str] = ROWS,
    seeds: int = 10, cache: Path | None = None,
) -> bool:  # fmt: skip
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there."""
    torch.set_num_threads(1)
    budget, photos = read(pairs), Photos.open(*data, cache=cache)
    notes = {"lambda": budget.lambdas[0], "commit": commit()}
    for key in only:
        for row in rows(budget, key)[:seeds]:
            base = out / runs.BASE / row.system / MODEL
            subject = Subject(row.model, row.options, lam=budget.lambdas[0])
            config = replace(budget.config(True), **START)
            if row.system == CONTROL:
                config = replace(config, freeze=CONTROL_FREEZE)
            first = partial(begun, row, pairs / runs.BASE / HYPERPRIOR / MODEL)
            jobs = [(f"{row.system}, start of its context", subject, config, base.parent, first)]
            going = partial(load_checkpoint, base, expect=row.model)
            config, here = budget.config(True, row.seed), runs.folder(out, row, budget.lambdas[0])
            jobs.append((row.key, replace(subject, correlation=row.correlation), config, here, going))
            for told, of, config, here, first in jobs:
                if (here / MODEL).is_file():
                    continue
                if time.monotonic() > deadline or not trained(
                    of, photos, config, here, deadline, first=first, notes=notes, told=told
                ):
                    return False
    return True


def read(pairs: Path) -> Budget:
    """The budget of the pairs.

    Raises:
        ValueError: where it is none of pairs of Cheng's hyperprior.
    """
    budget = Budget.from_dict(json.loads((pairs / runs.BUDGET).read_text()))
    if budget.ablate != HYPERPRIOR or not budget.base or len(budget.lambdas) > 1:
        raise ValueError(f"{pairs}: pairs of {HYPERPRIOR} from one start, at one lambda, are needed")
    return budget


def measure(pairs: Path, pictures: Sequence[Path], out: Path, command: Sequence[str]) -> dict[str, Any]:
    """Code the pictures with what is trained, and put it beside what was measured of the pairs.

    Raises:
        ValueError: where the loss or autoregression has fewer than two pairs with the hyperprior.
    """
    budget = read(pairs)
    wanted = {key: rows(budget, key) for key in (*ROWS, *CONTROLS)}
    every = [row for of in wanted.values() for row in of]
    for row, _, mean in runs.measure(budget, every, pictures, out, command):
        print(f"{row}: {mean['bpp']:.4f} bpp, {mean['psnr']:.2f} dB", flush=True)
    given, seeds, last = {row.key: row for row in plan(budget)}, list[dict[str, Any]](), dict[str, Any]()
    for seed in range(budget.seeds):
        end = f" seed {seed}" if seed else ""
        places = {
            name: runs.folder(pairs, given[name + end], budget.lambdas[0]) for name in (HYPERPRIOR, LOSS)
        }
        places |= {key: runs.folder(out, of[seed], budget.lambdas[0]) for key, of in wanted.items()}
        there = {key: here for key, here in places.items() if (here / runs.MEASURES).is_file()}
        if len(there) < 2 or HYPERPRIOR not in there:
            continue
        found: dict[str, Any] = {"seed": seed}
        for key, here in there.items():
            record = json.loads((here / runs.MEASURES).read_text())
            mean = {name: record["mean"][name] for name in ("bpp", "psnr")}
            steps = read_info(here / MODEL).training["steps"]
            found[key] = {**mean, "cost": cost(record, budget.lambdas[0]), "steps": steps}
            made = {**record["provenance"], "pictures": [p["image"] for p in record["pictures"]]}
            last = max(last or made, made, key=lambda m: str(m["finished"]))
        seeds.append(found)
    for key in (LOSS, AUTOREGRESSIVE):
        if (count := sum(key in seed for seed in seeds)) < 2:
            raise ValueError(f"{out}: two pairs of {HYPERPRIOR} and {key} are needed, found {count}")
    bases = {key: out / runs.BASE / of[0].system / MODEL for key, of in wanted.items()}
    starts = {
        key: {name: read_info(base).training[name] for name in ("steps", "commit")}
        for key, base in bases.items() if base.is_file()
    }  # fmt: skip
    return {**last, "budget": budget.to_dict(), "start": START, "starts": starts, "seeds": seeds}


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part."""
    at = time.monotonic()
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("part", choices=("train", "measure", "report"))
    add("--out", type=Path, required=True, metavar="DIR")
    add("--pairs", type=Path, metavar="DIR", help="of the hyperprior, with and without the loss")
    add("--data", nargs="+", type=Path, default=[], metavar="FOLDER", help="photographs to train on")
    add("--pictures", nargs="+", type=Path, default=[], metavar="PATH", help="to measure on")
    known = (*ROWS, *CONTROLS)
    add("--only", nargs="+", choices=known, default=ROWS, help="to train; default: the context models")
    add("--seeds", type=int, default=10, metavar="N", help="to train at most; default: all of the pairs")
    add("--minutes", type=float, default=math.inf, metavar="N", help="stop training after so long")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part != "report" and not given.pairs:
        parser.error("--pairs is needed")
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    if given.part == "train":
        train_part(parser, given, at, partial(train, pairs=given.pairs, only=given.only, seeds=given.seeds))
        return
    if given.part == "measure":
        command = run_as(__file__, arguments)
        record = measure(given.pairs, given.pictures, given.out, command)
        (given.out / RESULTS).write_text(json.dumps(record, indent=1) + "\n")
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))
    print((given.out / PAGE).read_text())


if __name__ == "__main__":
    sys.exit(main())
