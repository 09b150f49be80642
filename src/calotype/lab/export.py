"""Lab model -> pack: the product's model as integer networks, tables and a manifest (docs/FORMAT.md).

Nothing is published unless no sum of an integer layer can overflow, nor if integers lose more than half a
percent of rate against float32 on photographs (`calotype.lab.pack.loss`).

    identity, record = export_run(run, folder)    # the averaged weights of a training run

    statistics = Statistics()                # or any weights
    statistics.add(model, crops, levels)          # what coding photographs would write, for the tables
    identity = export(model, statistics, folder)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calotype.lab.models.calotype import Calotype
from calotype.lab.objective import Objective
from calotype.lab.pack import idle
from calotype.lab.pack.exact import ExportError
from calotype.lab.pack.loss import MOST, InIntegers
from calotype.lab.pack.loss import check as check_loss
from calotype.lab.pack.tables import Statistics
from calotype.lab.pack.write import export
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import VALIDATION_SIZE
from calotype.lab.train.state import State, load_weights
from calotype.lab.train.subject import Subject
from calotype.pack import files

__all__ = ["ExportError", "Statistics", "export", "export_run", "measure_loss"]

BATCH, CROP = 8, 256
CALIBRATION, RANGES, JUDGED = 2, 3, 4
"""Last number of the crops' key: apart from those of the steps (0) and of the linear start (1)."""
RANGE_CROPS = 24
"""How many crops the units of integers are chosen on."""
ROUNDS = (4, 4, 2, 1)
"""Rounds of statistics, each planned with the tables of the one before: of a 4th, a 4th, half and all of the
batches."""
CHECKED = 24
"""How many pictures show at most what integers lose. Seven are too few: two smooth ones among them, above
40 dB, made 0.72 % of what 20 give as 0.25."""


def export_run(
    run: Path,
    folder: Path,
    *,
    data: list[Path] | None = None,
    batches: int = 64,
    name: str = "photo",
    record: dict[str, Any] | None = None,
    check: list[Path] | None = None,
    most: float = MOST,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[str, dict[str, Any]]:
    """Write the pack of a run (a run's folder, its checkpoint, or a folder of pieces); returns id and
    training record.

    data:     the photographs; by default those that the run names.  The tables are calibrated on ``batches``
              batches of eight crops of those it trained on, as are the units of the networks, and the
              curve is measured on those it held out.  Hidden units that stay off in all these crops are left
              out (`calotype.lab.pack.idle`).
    record:   what else the record should say: sources of the photographs, commit.
    check:    photographs to measure on what integers lose; by default those that the run held out, and crops
              of the others if it held out none.  Of up to ``CHECKED``, evenly taken, the centre is coded.
    most:     percent of rate that they may lose; inf lets any pack pass.
    progress: called with batches done and to do.

    Raises:
        CheckpointError: when there is no checkpoint, or it is damaged.
        ValueError: when the run is of another model, or the photographs are missing.
        ExportError: when the integer bound or a golden vector fails, or integers lose more than ``most``.
    """
    state, subject, objective, model = _averaged(run)
    photos = Photos.open(*(data or _sources(run)))
    config = state.config
    train_set, valid_set = photos.split(config["held_out"])

    statistics = Statistics()
    anchors = len(model.config.lambdas)
    todo = [k for part in ROUNDS for k in range(-(-batches // part))]
    with idle.watched(model) as peaks:
        for done, k in enumerate(todo):
            if done and not k:
                statistics.again()
            x = photos.crops(train_set, (config["seed"], k, CALIBRATION), BATCH, CROP) / 255.0
            shift = torch.rand(1, generator=torch.Generator().manual_seed(k))
            statistics.add(model, x, (torch.arange(BATCH) + shift) / BATCH * (anchors - 1))
            progress(done + 1, len(todo))
    curve = {}
    if valid_set:
        curve = objective.validate(photos.centres(valid_set, VALIDATION_SIZE))
    training = {
        "steps": state.step,
        "minutes": round(state.seconds / 60, 1),
        "hardware": {name: round(seconds / 60, 1) for name, seconds in state.machines.items()},
        "distortion": subject.distortion,
        "seed": config["seed"],
        "torch": torch.__version__,
        "data": photos.describe() | {"held out": len(valid_set)},
        "config": config,
        "options": subject.options,
        "validation": {"lambda": list(model.config.lambdas), **curve},
        **(record or {}),
    }
    kept = idle.drop(model, peaks)
    training["hidden units kept"] = {name: f"{some} of {all_}" for name, (some, all_) in kept.items()}
    x = photos.crops(train_set, (config["seed"], 0, RANGES), RANGE_CROPS, CROP) / 255.0
    levels = (torch.arange(RANGE_CROPS) + 0.5) / RANGE_CROPS * (anchors - 1)
    identity = export(
        model, statistics, folder, name=name, training=training, calibration=(x, levels),
        pictures=_judged(photos, check, config), most=most,
    )  # fmt: skip
    return identity, json.loads((folder / files.NAME).read_text())["training"]


def measure_loss(
    pack: Path, run: Path, *, data: list[Path] | None = None, check: list[Path] | None = None
) -> dict[str, Any]:
    """Measure what a pack that is there already loses by integers against the run that it was made of, and
    write it into its manifest, as an export does; its id stays.  Returns the record, of `loss.check`.

    data, check: as `export_run` has them

    Raises:
        CheckpointError, ValueError: as `export_run`, and for a pack that is none.
    """
    from safetensors.numpy import load

    state, _, _, model = _averaged(run)
    pictures = _judged(Photos.open(*(data or _sources(run))), check, state.config)
    try:
        about = json.loads(files.read(pack, files.NAME))
        arrays = {name.partition(".")[0]: load(files.read(pack, name)) for name in files.FILES}
    except (OSError, KeyError) as error:
        raise ValueError(f"{pack}: not a pack: {error}") from error
    found = check_loss(model, InIntegers(arrays), pictures, math.inf)
    about["training"] = {**(about.get("training") or {}), "integer_loss": found}
    (pack / files.NAME).write_text(json.dumps(about, indent=1) + "\n")
    return found


def _averaged(run: Path) -> tuple[State, Subject, Objective, Calotype]:
    """A run, and its model with the averaged weights."""
    state = State.load(run)
    subject = Subject.from_dict(state.model)
    objective = subject.build()
    model = objective.model
    if not isinstance(model, Calotype):
        raise ValueError(f"{run}: a run of {subject.model}; packs are made of calotype only")
    load_weights(model, state.ema, run)
    model.eval()
    return state, subject, objective, model


def _judged(photos: Photos, check: list[Path] | None, config: dict[str, Any]) -> Tensor:
    """The pictures to measure on what integers lose."""
    train_set, valid_set = photos.split(config["held_out"])
    judged = Photos.open(*check) if check else photos
    chosen = range(len(judged.names)) if check else valid_set
    if chosen:
        return judged.centres(chosen[:: -(-len(chosen) // CHECKED)], CROP)
    return photos.crops(train_set, (config["seed"], 0, JUDGED), CHECKED, CROP)


def _sources(run: Path) -> list[Path]:
    notes = run / "run.json"
    if not notes.is_file():
        raise ValueError(f"{run}: does not name its photographs; give --data")
    return [Path(p) for p in json.loads(notes.read_text())["data"]]
