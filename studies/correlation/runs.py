"""Models of the correlation-loss experiment: where they lie, their training, what is measured on them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import provenance
from studies.correlation.plan import Budget, Row, plan
from studies.training import MODEL, trained

MEASURES, RESULTS, BUDGET = "measures.json", "results.json", "budget.json"
BASE = "base"
PAIRS, PAIRS_PAGE = "pairs.json", "pairs.md"
SPEED, SPEED_PAGE = "speed.json", "speed.md"


def folder(out: Path, row: Row, lam: float) -> Path:
    """Where a model of the experiment lies."""
    return out / row.key.replace(" ", "_") / f"{lam:g}"


def chosen(budget: Budget, only: Sequence[str]) -> list[Row]:
    """The rows whose names fit one of the patterns, or all.

    Raises:
        ValueError: if none does.
    """
    rows = [r for r in plan(budget) if not only or any(fnmatch(r.key, p) or r.group == p for p in only)]
    if not rows:
        raise ValueError(f"no row is called {only[0]!r}; there are {', '.join(r.key for r in plan(budget))}")
    return rows


def train(
    budget: Budget,
    rows: Sequence[Row],
    photos: Photos,
    out: Path,
    *,
    device: str = "cpu",
    deadline: float = math.inf,
    quiet: bool = False,
) -> bool:
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there."""
    for row in rows:
        base = out / BASE / row.system / MODEL if budget.base else None
        jobs = []
        if base is not None:
            start = replace(row, key=f"{row.system}, common start", correlation={})
            jobs.append((start, budget.base_lambda, budget.base_config(), base.parent, None))
        for k, lam in enumerate(budget.lambdas):
            before = folder(out, row, budget.lambdas[k - 1]) / MODEL if k else None
            config = budget.config(k == 0, row.seed)
            jobs.append((row, lam, config, folder(out, row, lam), base or before))
        for job in jobs:
            if (job[3] / MODEL).is_file():
                continue
            if time.monotonic() > deadline or not _train_one(*job, photos, device, deadline, quiet):
                return False
    return True


def _train_one(
    row: Row,
    lam: float,
    config: TrainConfig,
    here: Path,
    before: Path | None,
    photos: Photos,
    device: str,
    deadline: float,
    quiet: bool,
) -> bool:
    told = "" if quiet else f"{row.key}, lambda {lam:g}"
    return trained(
        Subject(row.model, row.options, lam=lam, correlation=row.correlation),
        photos,
        config,
        here,
        deadline,
        first=None if before is None else partial(load_checkpoint, before, expect=row.model),
        notes={"row": row.key, "lambda": lam, "correlation": row.correlation},
        device=device,
        told=told,
    )


def files(pictures: Sequence[Path], most: int) -> list[Path]:
    """The first pictures of files and folders.

    Raises:
        ValueError: if there are none.
    """
    from calotype.lab.train.stores import SUFFIXES

    found = [f for p in pictures for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    found = [f for f in found if f.suffix.lower() in SUFFIXES][:most]
    if not found:
        raise ValueError("--pictures PATH is needed for measuring, with pictures in it")
    return found


# -- measuring ----------------------------------------------------------------------------------------------


def measure(
    budget: Budget, rows: Sequence[Row], pictures: Sequence[Path], out: Path, command: Sequence[str]
) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Code the pictures with every trained model and draw its correlation map; yields what is new.

    ``command`` is stored with each, beside commit, hardware and versions.

    Raises:
        ValueError: where nothing is trained, or there are no pictures.
    """
    from calotype.lab.evaluate import evaluate
    from studies.inside.correlation import measure as correlation_map
    from studies.inside.specimens import Specimen
    from studies.inside.specimens import pictures as read

    if not any((folder(out, row, lam) / MODEL).is_file() for row in rows for lam in budget.lambdas):
        raise ValueError(f"{out}: nothing is trained there that could be measured")
    shown = files(pictures, budget.pictures)
    for row in rows:
        for lam in budget.lambdas:
            here = folder(out, row, lam)
            if not (here / MODEL).is_file() or (here / MEASURES).is_file():
                continue
            records = list(evaluate(here / MODEL, shown))
            model = load_checkpoint(here / MODEL)
            numbers = correlation_map(Specimen(row.key, model), list(read(shown)), 2).numbers()
            del numbers["channels"], numbers["pictures"]
            record = {"mean": records[-1], "pictures": records[:-1], "correlation": numbers}
            record["provenance"] = provenance(command)
            temporary = here / f".{MEASURES}.tmp"
            temporary.write_text(json.dumps(record, indent=1) + "\n")
            temporary.replace(here / MEASURES)
            yield row.key, lam, records[-1]
