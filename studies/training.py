"""Trainings of the studies, which may be stopped and go on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.models.base import LabModel
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.report import Console
from calotype.lab.train.state import NAME, State
from calotype.lab.train.subject import Subject

MODEL = "model.safetensors"


def train_part(
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    begun: float,
    train: Callable[[list[Path], Path, float], bool],
) -> None:
    """The part ``train`` of a study's command: with the options data, out and minutes.

    begun: from when ``--minutes`` count (`time.monotonic`)
    train: trains on photographs, in a folder, until a time; whether it is through
    """
    if not given.data:
        parser.error("--data is needed for training")
    if not train(given.data, given.out, begun + 60 * given.minutes):
        print("stopped before the end; the same command goes on", flush=True)


def trained(
    subject: Subject,
    photos: Photos,
    config: TrainConfig,
    folder: Path,
    deadline: float,
    *,
    first: Callable[[], LabModel] | None = None,
    notes: Mapping[str, Any],
    device: str = "cpu",
    told: str = "",
) -> bool:
    """Train until ``deadline`` (`time.monotonic`), from where it was stopped; returns whether all steps are
    done, and `MODEL` is there: averaged weights with ``notes``, steps and seconds.

    first: gives the weights to begin with; without it they are drawn.
    told: a line before training begins; without it nothing is told.
    """
    with Console(folder, quiet=not told) as reporter:
        trainer = Trainer(subject, photos, config, folder, device=device, reporter=reporter)
        if (folder / NAME).is_file():
            trainer.resume(State.load(folder))
        elif first is not None:
            trainer.model.load_state_dict(first().state_dict())
            trainer.restart_average()
        if told:
            reporter.say(told)
        trainer.run(max(0.0, deadline - time.monotonic()))
        if trainer.step < config.steps:
            return False
        with trainer.averaged() as model:
            assert isinstance(model, LabModel)
            done = {"steps": trainer.step, "seconds": round(trainer.seconds, 1)}
            save_checkpoint(folder / MODEL, model, {**notes, **done})
    (folder / NAME).unlink(missing_ok=True)  # the optimiser's state is three times the model
    return True
