"""``calotype lab train``, which is also ``python -m calotype.lab.train``."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from calotype.errors import CalotypeError, describe
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.models.base import Sampler
from calotype.lab.sizes import out_of_memory
from calotype.lab.train import command_resume, latents, options, process
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.report import Console, Reporter
from calotype.lab.train.state import State, split
from calotype.lab.train.subject import Subject
from calotype.records.script import usable

RUN = "run.json"
"""What a run was asked for, for people and for the commands that follow."""
MODEL = "model.safetensors"
"""The averaged weights of a published system, ready to use."""
START_CROPS, START_SIZE = 16, 256


def main(
    arguments: Sequence[str] | None = None, *, prog: str = "calotype lab train", begun: float | None = None
) -> int:
    """Run the command.  Returns 0 done, 1 failed, 2 wrong usage, 130 stopped by a signal.

    begun: `time.monotonic` when the process began, from which ``--minutes`` counts.
    """
    begun = time.monotonic() if begun is None else begun
    given = options.parser(prog).parse_args(arguments)
    try:
        return _main(given, begun)
    except (CalotypeError, ValueError, OSError) as error:
        print(f"{prog}: {describe(error)}", file=sys.stderr, flush=True)
        return 1
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        less = "a smaller batch or crop (--set batch=N, crop=N), or more parts of a batch (--set parts=N)"
        print(f"{prog}: out of memory; try {less}", file=sys.stderr, flush=True)
        return 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _main(given: Any, begun: float) -> int:
    if given.threads is not None and given.threads < 1:
        raise ValueError(f"--threads must be at least 1, got {given.threads}")
    if given.minutes is not None and not 0 < given.minutes < math.inf:  # not a number is refused, too
        raise ValueError(f"--minutes must be a number above 0, got {given.minutes:g}")
    if given.out is None:
        if not (given.prepare or given.print_config):
            raise ValueError("--out RUN is needed")
        given.out = Path()
    todo = options.jobs(given)
    for job in todo:
        job.config  # noqa: B018  (mistakes show before anything is decoded)
        usable(job.folder)
    if given.print_config:
        todo = [replace(job, train=job.train | _schedule(given, job, given.minutes)) for job in todo]
        print(json.dumps(options.to_json(todo), indent=1))
        return 0
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.device == "auto":
        given.device = "cuda" if torch.cuda.is_available() else "cpu"
    device = process.join(given.device)
    first = process.place()[0] == 0
    photos = _photos(given, todo, first)
    if given.prepare:
        return 0
    deadline = begun + 60 * given.minutes if given.minutes is not None else math.inf
    stopped, before = False, given.origin
    for number, job in enumerate(todo):
        reporter = (
            Console(job.folder, tensorboard=given.tensorboard, quiet=given.quiet) if first else Reporter()
        )
        with reporter:
            trainer = _trainer(given, job, photos, device, reporter, before)
            left = max(0.0, deadline - time.monotonic())
            _train(given, trainer, left / (len(todo) - number))
        stopped |= trainer.stopped
        before = job.folder if given.chain else given.origin
        if stopped or time.monotonic() > deadline:
            break
    return 130 if stopped else 0


def _photos(given: Any, todo: list[options.Training], first: bool) -> Photos:
    """The photographs; the first process decodes them, the others wait for the cache."""
    sources = given.data
    if not sources:
        notes = todo[0].folder / RUN
        if not notes.is_file():
            raise ValueError("--data FOLDER is needed")
        sources = [Path(p) for p in json.loads(notes.read_text())["data"]]
    given.data = [p.resolve() for p in sources]
    if not first:
        dist.barrier()
    photos = Photos.open(*given.data, stream=given.stream, cache=given.cache)
    if first:
        if photos.skipped:
            total = len(photos.skipped) + len(photos.names)
            print(f"skipped {len(photos.skipped)} of {total} files that could not be read:", file=sys.stderr)
            for name, why in photos.skipped:
                print(f"  {name}: {why}", file=sys.stderr)
        if dist.is_initialized():
            dist.barrier()
    return photos


def _trainer(
    given: Any, job: options.Training, photos: Photos, device: str, reporter: Reporter, before: Path | None
) -> Trainer:
    """A trainer at its first step, or where its checkpoint left it."""
    state, where, why = command_resume.choose(given.resume, job.folder)
    if state is None:
        subject, config = job.subject, replace(job.config, **_schedule(given, job, 0.0))
    else:
        subject = Subject.from_dict(state.model)
        command_resume.check(given, job, subject, where)
        config = TrainConfig.from_dict({**state.config, **job.explicit})
    trainer = Trainer(subject, photos, config, job.folder, device=device, reporter=reporter)
    if state is not None:
        trainer.resume(state)
        if why:
            reporter.say(why)
        if state.data and state.data != trainer.data:
            reporter.say("the photographs are not those that the run began with: it does not go on exactly")
        if config.progress(trainer.step, trainer.seconds) < 1:
            reporter.say(f"going on from step {trainer.step}")
        else:
            reporter.say(f"going on from step {trainer.step}, where the schedule ends: {_longer(config)}")
    elif before is not None:
        trainer.start_from(State.load(before), averaged=True)
    elif trainer.model.begins and given.start != "random":
        reporter.say(f"starting from {trainer.model.begins}")
        closed_form_start(trainer)
    if config.latents:
        latents.alone(trainer, given.cache)
    if trainer.rank == 0:
        trained = options.to_json([replace(job, subject=subject)])  # not what was asked, on resume
        notes = {"data": [str(p) for p in given.data], **trained, "train": config.to_dict()}
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / RUN).write_text(json.dumps(notes, indent=1) + "\n")
    return trainer


def _schedule(given: Any, job: options.Training, minutes: float) -> dict[str, Any]:
    """Fields that make a schedule of the time that there is, where ``--minutes`` alone says how long."""
    if given.minutes is None or {"steps", "minutes"} & set(job.explicit):
        return {}
    return {"steps": 0, "minutes": minutes}


def _longer(config: TrainConfig) -> str:
    """How to train on after the schedule's end."""
    what = f"minutes={2 * config.minutes:.3g}" if config.minutes else f"steps={2 * config.steps}"
    return f"lengthen it (--set {what}) or begin a new run with its weights (--from)"


def start_pictures(trainer: Trainer) -> Sampler:
    """Training crops that a start in closed form is measured on."""

    def sample(seed: int) -> torch.Tensor:
        key = (trainer.config.seed, seed, 1)  # the last number keeps them apart from the crops of the steps
        return trainer.photos.crops(trainer.train_set, key, START_CROPS, START_SIZE) / 255.0

    return sample


def closed_form_start(trainer: Trainer) -> None:
    """Set the model to where it begins in closed form, measured on training crops."""
    trainer.model.cpu().start(start_pictures(trainer), trainer.config.start_batches)
    trainer.model.to(trainer.device)
    trainer.restart_average()


def _train(given: Any, trainer: Trainer, seconds: float) -> None:
    def saved() -> None:
        if trainer.rank:
            return
        if given.pieces:
            split(trainer.checkpoint.read_bytes(), given.pieces)
        if given.result:
            split(trainer.state().result().to_bytes(), given.result)
        with trainer.averaged() as model:
            if ready := model.finished():
                subject, config = trainer.subject, trainer.config
                notes = {"lambda": subject.lam, "distortion": subject.distortion, "steps": trainer.step}
                notes |= {"batch": config.batch, "crop": config.crop, "seconds": round(trainer.seconds)}
                save_checkpoint(trainer.folder / MODEL, ready, notes)

    trainer.run(seconds, saved)
    if trainer.stopped:
        trainer.reporter.say(f"stopped at step {trainer.step}; go on with --resume")
