"""A short training run of every system, to see that each learns and that its files hold what they should.

``python -m studies.short_runs --data FOLDER --seconds-per-model 35 --out studies/short_runs``

Every system of the registry is built with few channels (`Entry.thin`) and trained for so many
seconds on one thread.  It then writes held-out crops as real files, which another process reads, given the
checkpoint and the bytes.  Names that are the same narrow network (other widths of one system) run once.

OUT/results.json   everything that was measured
OUT/README.md      the table, made of results.json alone; without ``--data`` it is made again

With ``--only``, rows of other systems that are there already stay; the new ones are marked on the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, save_checkpoint
from calotype.lab.models.base import LabModel
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.report import Reporter
from calotype.lab.train.rollback import Diverged
from calotype.lab.train.subject import Subject
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.short_runs.files import crops, files
from studies.short_runs.page import FIRST, LAST, learned, line, markdown, rounded

RESULTS, TABLE = "results.json", "README.md"
LAMBDA = 0.025
CONFIG = TrainConfig(
    steps=1_000_000, batch=4, crop=128, lr=2e-3, warmup=20, decay=0, hard=0, ema=0.98, held_out=6,
    log_every=1, validate_every=1_000_000, save_every=1_000_000,
)  # fmt: skip
"""``steps`` is not reached: the time ends the run."""
MODEL = "model.safetensors"


class Losses(Reporter):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def log(self, values: dict[str, Any]) -> None:
        self.values.append(values["loss"])


def systems(only: Sequence[str] = ()) -> list[str]:
    """Names of the registry, one for each distinct narrow network; with patterns, those that fit one.

    Raises:
        ValueError: if none does.
    """
    found: dict[str, str] = {}
    for name in registry.names(LabModel):
        entry = registry.entry(name)
        found.setdefault(json.dumps([entry.model.__name__, entry.thin], sort_keys=True), name)
    names = [n for n in found.values() if not only or any(fnmatch(n, pattern) for pattern in only)]
    if not names:
        raise ValueError(f"no system is called {only[0]!r}; see calotype lab list")
    return names


# -- one system ---------------------------------------------------------------------------------------------


def run(name: str, photos: Photos, config: TrainConfig, seconds: float, reader: Executor) -> dict[str, Any]:
    """Train one system and code the held-out crops with it.  ``reader`` is the process that decodes."""
    losses, options = Losses(), registry.entry(name).thin
    subject = Subject(name, options, lam=LAMBDA)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(subject, photos, config, Path(folder), reporter=losses)
        record = {"name": name, "config": options, "parameters": _parameters(trainer.model)}
        before = trainer.validate()
        try:
            after = trainer.run(seconds)
        except Diverged as error:
            return {**record, "steps": trainer.step, "failure": str(error).split(";")[0]}
        if trainer.stopped:
            raise KeyboardInterrupt
        path = Path(folder) / MODEL
        with trainer.averaged() as model:
            save_checkpoint(path, model)  # type: ignore[arg-type]
        found = files(load_checkpoint(path), path, crops(photos, trainer.valid_set), reader)
    last = max(1, round(LAST * len(losses.values)))
    return {
        **record,
        "steps": trainer.step,
        "seconds": round(trainer.seconds, 1),
        "first_loss": rounded(np.mean(losses.values[:FIRST])),
        "last_loss": rounded(np.mean(losses.values[-last:])),
        "held_out_before": {k: rounded(v) for k, v in before.items()},
        "held_out_after": {k: rounded(v) for k, v in after.items()},
        "files": found,
    }


def _parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# -- all of them --------------------------------------------------------------------------------------------


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The old record with the systems of the new one in their places, each with what is its own.

    Raises:
        ValueError: when they are of other photographs or another objective.
    """
    for key in ("photographs", "lambda", "crops"):
        if old[key] != new[key]:
            raise ValueError(f"the results there are of another {key}; give another --out")
    own = {k: new[k] for k in ("command", "finished", "commit", "seconds_per_model")} | {
        "lr": new["train"]["lr"]
    }
    rows = {row["name"]: row for row in old["systems"]}
    rows |= {row["name"]: {**row, "own": own} for row in new["systems"]}
    return {**old, "systems": list(rows.values())}


def store(out: Path, record: dict[str, Any]) -> int:
    """Write the results and the page made of them; returns the exit status that they mean."""
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULTS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / TABLE).write_text(markdown(record), encoding="utf-8")
    return 0 if all(map(learned, record["systems"])) else 1


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 if a system did not learn or a file did not come back."""
    options = parser_of(__file__, __doc__)
    add = options.add_argument
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs, as for calotype lab train")
    add("--seconds-per-model", type=float, default=35.0, metavar="N", help="of training; default: 35")
    add("--lr", type=float, default=CONFIG.lr, metavar="X", help=f"learning rate; default: {CONFIG.lr:g}")
    add("--steps", type=int, default=CONFIG.steps, metavar="N", help="at most so many; default: no limit")
    add("--out", type=Path, required=True, metavar="FOLDER", help="for results.json and README.md")
    add("--cache", type=Path, metavar="DIR", help="where decoded photographs are kept")
    add("--only", nargs="+", default=[], metavar="NAME", help="systems, or patterns")
    given = options.parse_args(arguments)
    if not given.data:
        return made_of(given.out / RESULTS, partial(store, given.out))
    usable(given.out)
    names, photos = systems(given.only), Photos.open(*given.data, cache=given.cache)
    config = replace(CONFIG, steps=given.steps, lr=given.lr)
    torch.set_num_threads(1)
    shown = crops(photos, photos.split(CONFIG.held_out)[1])
    record = {
        **provenance(run_as(__file__, arguments)),
        "started": now(),
        "threads": torch.get_num_threads(),
        "photographs": photos.describe(),
        "seconds_per_model": given.seconds_per_model,
        "lambda": LAMBDA,
        "train": {k: v for k, v in config.to_dict().items() if not k.endswith("_every") and k != "steps"},
        "crops": [
            {"height": c.shape[0], "width": c.shape[1], "one_colour_psnr": rounded(_one_colour(c))}
            for c in shown
        ],
        "systems": [],
    }
    there = given.out / RESULTS
    old = made_of(there, dict) if given.only and there.exists() else None
    with ProcessPoolExecutor(1, get_context("spawn")) as reader:
        for name in names:
            row = run(name, photos, config, given.seconds_per_model, reader)
            record["systems"].append(row)
            record["finished"] = now()
            store(given.out, merged(old, record) if old else record)
            print(line(row) + ("" if learned(row) else "  <-- look"), file=sys.stderr, flush=True)
    return 0 if all(map(learned, record["systems"])) else 1


def _one_colour(crop: np.ndarray) -> float:
    """PSNR of a picture that shows the mean colour everywhere, dB."""
    return float(10 * np.log10(255**2 / max(crop.reshape(-1, 3).astype(np.float64).var(0).mean(), 1e-9)))


if __name__ == "__main__":
    sys.exit(main())
