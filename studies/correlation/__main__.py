"""The correlation-loss experiment: trains, measures and reports; each part goes on where it was stopped.

    python -m studies.correlation all --budget short --data photos --pictures kodak --out runs/correlation

For the part ``train`` PyTorch is enough.

OUT/budget.json                    what was asked for
OUT/base/ROW/model.safetensors     the common start of a system's rows, if the budget has one
OUT/ROW/LAMBDA/model.safetensors   a trained model; training goes on with the first that is missing
OUT/ROW/LAMBDA/measures.json       real files, times and the correlation map on the pictures
OUT/results.json, results.md, maps.png
OUT/pairs.json, pairs.md           pairs of seeds, if there are two or more
OUT/speed.json, speed.md           decoding times (part ``speed``)
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.train.data import Photos
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.correlation import pairs
from studies.correlation.plan import BUDGETS, Budget, Row
from studies.correlation.runs import (
    BUDGET,
    PAIRS,
    PAIRS_PAGE,
    RESULTS,
    SPEED,
    SPEED_PAGE,
    chosen,
    files,
    measure,
    train,
)
from studies.correlation.speed import ROUNDS, page, speeds, systems

PARTS = ("train", "measure", "speed", "report", "all")
"""`speed` is no part of `all`: it times decoding with fresh weights, at another budget's widths if asked."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    notes = "\n".join(f"  {name:8} {b.note}" for name, b in BUDGETS.items())
    options = parser_of(__file__, __doc__, epilog=f"budgets:\n{notes}")
    add = options.add_argument
    add("part", choices=PARTS, help="what to do; each part goes on where it was stopped")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the experiment")
    add("--budget", default="short", metavar="NAME|FILE", help="default: short; or a JSON file, or OUT's own")
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs to train on")
    add("--pictures", nargs="+", type=Path, metavar="PATH", help="pictures to measure on")
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="ROW",
        help="rows, patterns, or main, context, noise, ablation",
    )
    add("--minutes", type=float, metavar="N", help="stop training after so long; repeat to go on")
    add("--device", default="auto", help="for training: cpu, cuda or auto (default)")
    add("--set", action="append", default=[], metavar="FIELD=JSON", help="another value of a budget's field")
    add("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of timing, for speed; default: {ROUNDS}")
    add("--quiet", action="store_true", help="print results only")
    return options


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    begun = time.monotonic()
    given = parser().parse_args(arguments)
    command = run_as(__file__, arguments)
    usable(given.out)
    budget = _budget(given)
    rows = chosen(budget, given.only)
    if given.part in ("train", "all"):
        if not given.data:
            raise ValueError("--data FOLDER is needed for training")
        device = given.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        deadline = math.inf if given.minutes is None else begun + 60 * given.minutes
        _check(budget, rows, given.out)
        photos = Photos.open(*given.data)
        given.out.mkdir(parents=True, exist_ok=True)  # only now: one folder holds one budget
        (given.out / BUDGET).write_text(_text(budget))
        if not train(budget, rows, photos, given.out, device=device, deadline=deadline, quiet=given.quiet):
            print("stopped before the end; the same command goes on", flush=True)
            return 0
    if given.part in ("measure", "all"):
        for key, lam, mean in measure(budget, rows, given.pictures or [], given.out, command):
            print(f"{key}, lambda {lam:g}: {mean['bpp']:.4f} bpp, {mean['psnr']:.2f} dB", flush=True)
    if given.part == "speed":
        picture = files(given.pictures or [], 1)[0]
        timed = systems(rows, published=given.budget == "paper" and not given.only)
        say = (lambda text: None) if given.quiet else functools.partial(print, flush=True)
        stored = {"widths": given.budget, "picture": picture.name, "rounds": given.rounds}
        wall, cpu = time.monotonic(), time.process_time()
        stored |= {"systems": speeds(timed, picture, given.rounds, say)}
        stored |= {"share": (time.process_time() - cpu) / (time.monotonic() - wall)}
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / SPEED).write_text(json.dumps(provenance(command) | stored, indent=1) + "\n")
    if (given.out / SPEED).is_file() and given.part in ("speed", "report"):
        (given.out / SPEED_PAGE).write_text(made_of(given.out / SPEED, page))
        if given.part == "speed":
            print((given.out / SPEED_PAGE).read_text())
    if given.part in ("report", "all"):
        from studies.correlation.report import write

        if made := pairs.collect(budget, given.out):
            (given.out / PAIRS).write_text(json.dumps(made, indent=1) + "\n")
        if (given.out / PAIRS).is_file():
            (given.out / PAIRS_PAGE).write_text(made_of(given.out / PAIRS, pairs.page))
        print(write(budget, given.out, command))
    return 0


def _budget(given: Any) -> Budget:
    """The budget of the command line; for measuring and reporting, the one in the experiment's folder."""
    kept = {"measure": {BUDGET: ()}, "report": {BUDGET: (), RESULTS: ("budget",)}}.get(given.part, {})
    for name, keys in kept.items():
        if (given.out / name).is_file():
            if given.set:
                raise ValueError(
                    f"{given.part} goes by the budget in {given.out / name}, which --set does not change; "
                    "leave --set out"
                )
            return _read(given.out / name, *keys)
    if given.budget in BUDGETS:
        budget = BUDGETS[given.budget]
    elif Path(given.budget).is_file():
        budget = _read(Path(given.budget))
    else:
        raise ValueError(
            f"no budget is called {given.budget!r}; there are {', '.join(BUDGETS)}, or a JSON file"
        )
    values = budget.to_dict()
    for text in given.set:
        key, equals, value = text.partition("=")
        name, dot, inner = key.partition(".")
        if not equals:
            raise ValueError(f"--set takes FIELD=JSON, got {text!r}")
        if name not in values:
            raise ValueError(f"a budget has no {name!r}")
        if dot and not isinstance(values[name], dict):
            raise ValueError(f"{name} of a budget is one value, so there is no {key!r}")
        values[name] = {**values[name], inner: _value(value)} if dot else _value(value)
    return Budget.from_dict(values)


def _value(text: str) -> Any:
    """JSON where it is that, else text, which the budget refuses by name where it needs something else."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(path: Path, *keys: str) -> Budget:
    try:
        values = json.loads(path.read_text())
        for key in keys:
            values = values[key]
        return Budget.from_dict(values)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no budget can be read ({error})") from None


def _text(budget: Budget) -> str:
    return json.dumps(budget.to_dict(), indent=1) + "\n"


def _check(budget: Budget, rows: Sequence[Row], out: Path) -> None:
    """Whatever can be known to fail before the folder holds anything: sizes, another budget, a full disk."""
    for model, options in {json.dumps([r.model, r.options]): (r.model, r.options) for r in rows}.values():
        with torch.device("meta"):
            registry.build(model, **options)
    stored = out / BUDGET
    if stored.is_file() and stored.read_text() != _text(budget):
        raise ValueError(f"{out}: holds an experiment of another budget; give --out another folder")
    if shutil.disk_usage(out.resolve().anchor).free < 1 << 28:
        raise ValueError("less than 256 MiB of disk space is left")


if __name__ == "__main__":
    sys.exit(main())
