"""The training loop: one process or many (`torchrun`), CPU or CUDA, resumed exactly.

Everything random in a step is decided by (seed, step, part of the batch).  So a run that is resumed equals
one that was not interrupted, and N processes that share the parts of a batch equal one process that works
through them all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from calotype.lab.checkpoint import CheckpointError
from calotype.lab.layers.integer import compute_exactly
from calotype.lab.models.base import System
from calotype.lab.objective import Objective
from calotype.lab.train import live, process
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.optim import build_optimizer, freeze
from calotype.lab.train.report import Reporter
from calotype.lab.train.resident import DevicePhotos
from calotype.lab.train.rollback import Guard
from calotype.lab.train.state import NAME, State, load_weights, optimizer_state, restore_optimizer
from calotype.lab.train.step import Step
from calotype.lab.train.subject import Subject
from calotype.lab.train.varied import Varied

VALIDATION_SIZE = 256
"""Side of the central crops that a validation scores."""
WORTHWHILE = 120.0
"""Seconds from which on a limited session begins with a validation, and so knows how long one takes."""


class Trainer:
    """A run: weights, their moving average, optimiser, step.

    Raises:
        ValueError: when the batch cannot be shared by the processes.
    """

    def __init__(
        self,
        subject: Subject,
        photos: Photos,
        config: TrainConfig,
        folder: Path,
        *,
        device: str | torch.device = "cpu",
        reporter: Reporter | None = None,
    ) -> None:
        self.subject, self.photos, self.config, self.folder = subject, photos, config, folder
        self.device, self.reporter = torch.device(device), reporter or Reporter()
        self.rank, self.world = process.place()
        self.parts = config.parts or self.world
        if self.parts % self.world or config.batch % self.parts:
            shared = f"{config.batch} in {self.parts} parts"
            raise ValueError(f"a batch of {shared} cannot be shared evenly by {self.world} processes")
        subject.check_crop(config.crop)
        torch.manual_seed(config.seed)  # the same first weights everywhere
        self.objective: Objective = subject.build()
        if hasattr(self.objective, "borders"):
            self.objective.borders = config.borders
        self.model: System = _channels_last(self.objective.model.to(self.device))
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
            compute_exactly()
        if hasattr(self.objective, "check"):  # whether model and crops suit the loss
            self.objective.check(config.crop)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        freeze(self.model, config.freeze)
        self.step, self.seconds, self.last_validation = 0, 0.0, 0.0
        self.stopped = self.compiled = False
        self.machine, self.machines = process.machine(self.device, self.world), dict[str, float]()
        self.pixels, self.inherited = dict[str, int](), 0
        self.hold_out(())
        self.source: Any = photos  # of crops
        self.resident: DevicePhotos | None = None
        if config.scale or config.flat:
            self.source = Varied(photos, config.scale, config.flat)
        elif DevicePhotos.fit(photos, self.device):
            self.resident = DevicePhotos(photos, self.device, config.crop)
        if config.bf16 and process.computes_bf16(self.device):
            self.model.mixed_precision()
        elif config.bf16:
            self.reporter.say("this CPU has no instructions for bfloat16: training in float32")
        self.optimizer = build_optimizer(config, self.model)
        self.one = Step(
            self.objective,
            self.optimizer,
            self.ema,
            config,
            parts=self.parts,
            world=self.world,
            resident=self.resident,
            say=self.reporter.say,
        )
        self.guard = self._guard()

    def _guard(self) -> Guard:
        tensors = [*self.model.state_dict().values(), *self.ema.values()]
        return Guard(self.one, tensors, self.config, self.checkpoint, self.reporter.say)

    def hold_out(self, names: Collection[str]) -> None:
        """Divide the photographs: those to train on, and those to validate on (`Photos.split`)."""
        self.train_set, self.valid_set = self.photos.split(self.config.held_out, names)
        self.data = {**self.photos.describe(), "held out": self.photos.held_out(self.valid_set)}

    def turn_to(self, source: Any, objective: Objective) -> None:
        """Train the same model otherwise.

        source: of what the objective is given: ``plan``, ``cut`` and ``centres`` as those of `Photos`.
        """
        self.source, self.objective, self.resident = source, objective, None
        self.one.objective, self.one.resident, self.one.recording = objective, None, False

    # -- checkpoints ---------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.folder / NAME

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            Diverged: instead of replacing a good checkpoint by a broken one.
        """
        self.guard.judge(self.step)
        if not self.rank:
            self.state().save(self.checkpoint)

    def state(self) -> State:
        """The run as it is, with tensors that are still trained."""
        return State(
            self.step,
            self.seconds,
            self.config.to_dict(),
            self.subject.to_dict(),
            self.model.state_dict(),
            self.ema,
            optimizer_state(self.optimizer, self.model),
            self.data,
            self.machines,
            self.pixels,
            self.inherited,
        )

    def resume(self, state: State) -> None:
        """Go on exactly where ``state`` was taken.

        Raises:
            CheckpointError: when it is of another model.
        """
        if not state.weights:
            raise CheckpointError(
                "the checkpoint holds only the averaged weights, for a new run to begin with"
            )
        self.start_from(state)
        for k, v in state.ema.items():
            self.ema[k].copy_(v)
        self.step, self.seconds, self.machines = state.step, state.seconds, dict(state.machines)
        self.pixels, self.inherited = dict(state.pixels), state.inherited
        restore_optimizer(self.optimizer, self.model, state.optimizer)

    def start_from(self, state: State, *, averaged: bool = False) -> None:
        """Take only the weights (or their moving average), and what was held out from them: a new run that
        begins where another one got to.
        """
        load_weights(self.model, state.ema if averaged else state.weights, "the checkpoint")
        self.hold_out(state.data.get("held out", ()))
        self.inherited = state.seen
        self.restart_average()

    def restart_average(self) -> None:
        """Set the moving average to the weights as they are, in all processes to those of the first."""
        if self.world > 1:
            for v in self.model.state_dict().values():
                dist.broadcast(v, 0)
        for k, v in self.model.state_dict().items():
            self.ema[k].copy_(v)

    # -- the run -------------------------------------------------------------------

    def run(
        self,
        seconds: float = math.inf,
        saved: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Train to the end of the schedule, or for so many seconds (that of the last validation included), or
        until a signal.

        A run that has neither ``config.steps`` nor ``config.minutes`` gets a schedule of these seconds.
        Calls ``saved`` after each checkpoint, leaves one at the end, and returns the last validation.

        Raises:
            Diverged: the checkpoint is then the last good one.
            ValueError: when nothing says when to end.
        """
        start, begun, before = time.monotonic(), self.seconds, self.machines.get(self.machine, 0.0)
        compiled = self._compile()
        if WORTHWHILE <= seconds < math.inf and not self.last_validation:
            self.validate()
        if compiled:
            self._rehearse()
        reserve = self._reserve(seconds)
        c = self.config
        if not (c.steps or c.minutes):
            if seconds == math.inf:
                raise ValueError("steps, minutes or --minutes is needed: nothing says when the run ends")
            c.minutes = max(seconds - (time.monotonic() - start) - reserve, 1e-3) / 60
            start = time.monotonic()
            seconds = 60 * c.minutes + reserve
        self.model.train()
        self.guard, throttle = self._guard(), process.Throttle(self.device)
        self.guard.judge(self.step)
        self.reporter.begin(self.step, c.steps, min(seconds - reserve, 60 * c.minutes or math.inf))
        last_save = last_validation = start
        with process.signals() as caught, ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._crops, self.step)
            while c.progress(self.step, self.seconds) < 1:
                late = time.monotonic() - start + self._reserve(seconds) > seconds
                if process.anywhere(bool(caught) or late, self.device):
                    break
                ahead = self._step(ahead, pool)
                throttle.step()
                now = time.monotonic()
                self.seconds = process.agreed(begun + now - start, self.device)
                self.machines[self.machine] = before + self.seconds - begun
                over = c.progress(self.step, self.seconds) >= 1
                if _due(self.step, c.save_every, now - last_save, c.save_seconds) and not over:
                    last_save = now
                    self.save()
                    saved()
                if _due(self.step, c.validate_every, now - last_validation, c.validate_seconds) and not over:
                    last_validation = now
                    self.validate()
            self.stopped = bool(caught)
            self.save()
        saved()
        return self.validate()

    def _reserve(self, seconds: float) -> float:
        """Seconds that the last checkpoint and validation will take."""
        return min(1.3 * self.last_validation or 0.1 * seconds, 0.5 * seconds) if seconds < math.inf else 0.0

    def _compile(self) -> bool:
        """After the first weights are there: what makes them runs the model in other ways, and once.

        Returns whether there is something that compiles when it first runs.
        """
        if self.compiled or self.config.compile == "no":
            return False
        self.compiled = True
        if self.config.compile == "transforms":
            for part in self.model.heavy():
                part.compile()
        else:
            self.one.compiled = torch.compile(self.objective.training_loss, dynamic=False)
        return True

    def _rehearse(self) -> None:
        """Compile before the schedule begins, or the learning rate would have risen when steps begin; if that
        fails, go on without.
        """
        self.model.train()
        self._set_stage()  # or the first step would compile once more
        try:
            self.one.rehearse(self._crops(self.step), self.config.hardened(self.step, self.seconds))
        except RuntimeError as error:  # as all errors of compilers are
            self.reporter.say(f"cannot be compiled, going on without: {str(error).splitlines()[0]}")
            self.one.compiled = None
            for part in self.model.heavy():
                part._compiled_call_impl = None

    def _crops(self, step: int) -> list[Tensor]:
        """This process's parts of a batch, uint8 ``[batch / parts, 3, S, S]`` each; or, where photographs are
        on the device, what `DevicePhotos.gather` makes them of.
        """
        c = self.config
        cuts = self.source.plan(self.train_set, (c.seed, step, 0), c.batch, c.crop)
        size, share = c.batch // self.parts, self.parts // self.world
        parts = [cuts[k * size : (k + 1) * size] for k in range(self.rank * share, (self.rank + 1) * share)]
        if self.resident is not None:
            crops = [self.resident.table(part) for part in parts]
        else:
            crops = [self.source.cut(part, c.crop).contiguous() for part in parts]
        return [x.pin_memory() for x in crops] if self.device.type == "cuda" else crops

    def _step(self, ahead: Future[list[Tensor]], pool: ThreadPoolExecutor) -> Future[list[Tensor]]:
        """One optimiser step on the crops that were made ahead; returns the next ones, in the making."""
        c = self.config
        feeds = ahead.result()
        ahead = pool.submit(self._crops, self.step + 1)
        self._set_stage()
        logged = self.step % c.log_every == 0
        look = self.device.type != "cuda" or logged
        figures = self.one(
            feeds,
            [self._seed(self.rank * len(feeds) + k) for k in range(len(feeds))],
            hard=c.hardened(self.step, self.seconds),
            rate=c.learning_rate(self.step, self.seconds),
            decay=min(c.ema, (2 + self.step) / (11 + self.step)),  # short at first
            step=self.step,
            check=self.guard.check if look else None,
        )
        if look:
            self.guard.check()
        if logged:
            self._log(figures)
        self.pixels[self.machine] = self.pixels.get(self.machine, 0) + c.batch * c.crop**2
        self.step += 1
        if logged:
            self.guard.judge(self.step)
        self.reporter.advance(self.step)
        return ahead

    def _set_stage(self) -> None:
        """Tell the model how far training is, where that changes what it computes."""
        c = self.config
        if hasattr(self.model, "progress"):  # models that train in stages
            self.model.progress(c.progress(self.step, self.seconds))
        if c.leak and hasattr(self.model, "leak"):
            self.model.leak(c.slope(self.step, self.seconds))

    def _log(self, figures: dict[str, Any]) -> None:
        """A line of the log, with what a gigapixel costs on this machine."""
        if self.world > 1:
            own = {name: v for name, v in figures.items() if name not in ("loss", "norm")}
            figures = {**figures, **{name: process.total(value, self.device) for name, value in own.items()}}
        values = {k: float(v) for k, v in figures.items()}
        done, seconds = self.pixels.get(self.machine, 0) / 1e6, self.machines.get(self.machine, 0.0)
        values["megapixels/s"] = done / seconds if seconds else 0.0
        values["gigapixels"] = (self.inherited + sum(self.pixels.values())) / 1e9
        self.reporter.log({"step": self.step, **values, "seconds": self.seconds})

    def _seed(self, part: int) -> int:
        """For the randomness of a part of a step: torch's global generators, which models use."""
        words = np.random.SeedSequence([self.config.seed, self.step, part]).generate_state(1, np.uint64)
        return int(words[0] >> np.uint64(1))

    @contextmanager
    def averaged(self) -> Iterator[System]:
        """The model with its averaged weights, in ``eval()``, for the time of a ``with``."""
        raw = {k: v.clone() for k, v in self.model.state_dict().items()}
        try:
            self.model.load_state_dict(self.ema)
            yield self.model.eval()
        finally:
            self.model.load_state_dict(raw)
            self.model.train()

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Score the moving average on the held-out photographs; the first process reports and returns the
        figures.
        """
        if self.rank or not self.valid_set:
            return {}
        start = time.monotonic()
        pictures = self.source.centres(self.valid_set, VALIDATION_SIZE).to(self.device)
        # Compiled for training and for other sizes: once more for this would take longer than it saves.
        with self.averaged() as model, torch.compiler.set_stance("force_eager"), live.watched(model) as watch:
            result = self.objective.validate(pictures)
        values = {"step": self.step, "seconds": self.seconds, "validation": result}
        if units := watch.units():
            values["live"] = units
        self.last_validation = time.monotonic() - start
        self.reporter.validation(values)
        if units:
            self.reporter.say(live.told(units))
        return result


def _channels_last(model: System) -> System:
    """The model with the weights of its convolutions over planes in the order that is fastest; others, over
    volumes, have none that `Module.to` would take.
    """
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return model


def _due(step: int, every: int, passed: float, seconds: float) -> bool:
    """Whether something is to be done that is done every so many seconds, or else steps."""
    return passed >= seconds if seconds else step % every == 0
