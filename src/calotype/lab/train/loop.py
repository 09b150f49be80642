"""The training loop: one process or many (`torchrun`), CPU or CUDA, resumed exactly.

Everything random in a step is decided by (seed, step, part of the batch).  So a run that is resumed equals
one that was not interrupted, and N processes that share the parts of a batch equal one process that works
through them all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from calotype.lab.train import process
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import DevicePhotos, Photos
from calotype.lab.train.optim import build_optimizer, freeze
from calotype.lab.train.report import Reporter
from calotype.lab.train.state import NAME, State, load_weights, optimizer_state, restore_optimizer
from calotype.lab.train.subject import Subject, mixed_precision, transforms

VALIDATION_SIZE = 256
"""Side of the central crops that a validation scores."""


class Diverged(RuntimeError):
    """The loss or the gradient is not finite; the message names the step and the last good checkpoint."""


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
        torch.manual_seed(config.seed)  # the same first weights everywhere
        self.objective = subject.build()
        self.model: nn.Module = self.objective.model.to(self.device).to(memory_format=torch.channels_last)
        if hasattr(self.objective, "check"):  # whether model and crops suit the loss
            self.objective.check(config.crop)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        freeze(self.model, config.freeze)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(config, self.model)
        self.step, self.seconds, self.last_validation, self.stopped = 0, 0.0, 0.0, False
        self.machine, self.machines = process.machine(self.device, self.world), dict[str, float]()
        self.train_set, self.valid_set = photos.split(config.held_out)
        self.data = photos.describe()
        self.resident = DevicePhotos(photos, self.device) if DevicePhotos.fit(photos, self.device) else None
        # The first step whose gradient was not finite, or infinity.  It stays on the device: looking at it at
        # every step would make a GPU wait.
        self.broken = torch.full((), math.inf, device=self.device)
        if config.bf16:
            mixed_precision(self.model)
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        if config.compile:
            for part in transforms(self.model):
                part.compile()

    # -- checkpoints ---------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.folder / NAME

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            Diverged: instead of replacing a good checkpoint by a broken one.
        """
        self._guard()
        if self.rank:
            return
        State(
            self.step,
            self.seconds,
            self.config.to_dict(),
            self.subject.to_dict(),
            self.model.state_dict(),
            self.ema,
            optimizer_state(self.optimizer, self.model),
            self.data,
            self.machines,
        ).save(self.checkpoint)

    def resume(self, state: State) -> None:
        """Go on exactly where ``state`` was taken.

        Raises:
            CheckpointError: when it is of another model.
        """
        self.start_from(state)
        for k, v in state.ema.items():
            self.ema[k].copy_(v)
        self.step, self.seconds, self.machines = state.step, state.seconds, dict(state.machines)
        restore_optimizer(self.optimizer, self.model, state.optimizer)

    def start_from(self, state: State, *, averaged: bool = False) -> None:
        """Take only the weights (or their moving average): a new run that begins where another one got to."""
        load_weights(self.model, state.ema if averaged else state.weights, "the checkpoint")
        self.restart_average()

    def restart_average(self) -> None:
        """Set the moving average to the weights as they are, in all processes to those of the first."""
        if self.world > 1:
            for v in self.model.state_dict().values():
                dist.broadcast(v, 0)
        for k, v in self.model.state_dict().items():
            self.ema[k].copy_(v)

    # -- the run -------------------------------------------------------------------

    def run(self, seconds: float = math.inf, saved: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Train to ``config.steps``, or for so many seconds (that of the last validation included), or until
        a signal.

        Leaves a checkpoint, calls ``saved``, and returns the last validation.

        Raises:
            Diverged: the checkpoint is then the last good one.
        """
        start, begun, before = time.monotonic(), self.seconds, self.machines.get(self.machine, 0.0)
        self.model.train()
        self.reporter.begin(self.step, self.config.steps, seconds)
        with process.signals() as caught, ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self._crops, self.step)
            while self.step < self.config.steps:
                reserve = min(1.3 * self.last_validation or 0.1 * seconds, 0.5 * seconds)
                if self._stop(bool(caught) or time.monotonic() - start + reserve > seconds):
                    break
                ahead = self._step(ahead, pool)
                self.seconds = begun + time.monotonic() - start
                self.machines[self.machine] = before + self.seconds - begun
                if self.step % self.config.save_every == 0:
                    self.save()
                if self.step % self.config.validate_every == 0 and self.step < self.config.steps:
                    self.validate()
            self.stopped = bool(caught)
            self.save()
        saved()
        return self.validate()

    def _crops(self, step: int) -> list[Tensor]:
        """This process's parts of a batch, uint8 ``[batch / parts, 3, S, S]`` each."""
        c = self.config
        cuts = self.photos.plan(self.train_set, (c.seed, step, 0), c.batch, c.crop)
        size, share = c.batch // self.parts, self.parts // self.world
        parts = [cuts[k * size : (k + 1) * size] for k in range(self.rank * share, (self.rank + 1) * share)]
        if self.resident is not None:
            return [self.resident.cut(part, c.crop) for part in parts]
        crops = [self.photos.cut(part, c.crop) for part in parts]
        return [x.contiguous().pin_memory() for x in crops] if self.device.type == "cuda" else crops

    def _step(self, ahead: Future[list[Tensor]], pool: ThreadPoolExecutor) -> Future[list[Tensor]]:
        """One optimiser step on the crops that were made ahead; returns the next ones, in the making."""
        c = self.config
        crops = [x.to(self.device, non_blocking=True) for x in ahead.result()]
        ahead = pool.submit(self._crops, self.step + 1)
        hard = self.step >= c.steps * (1 - c.hard)
        for group in self.optimizer.param_groups:
            group["lr"] = c.learning_rate(self.step) * group["factor"]
        if hasattr(self.model, "progress"):  # models that train in stages
            self.model.progress(self.step / c.steps)
        self.optimizer.zero_grad(set_to_none=False)
        total, figures = torch.zeros((), device=self.device), dict[str, Any]()
        for k, x in enumerate(crops):
            generator = self._generator(self.rank * len(crops) + k)
            loss, found = self.objective.training_loss(x, generator, hard)
            (loss / self.parts).backward()  # type: ignore[no-untyped-call]
            total += loss.detach() / self.parts
            for name, value in found.items():
                figures[name] = figures.get(name, 0.0) + value / self.parts
        if self.world > 1:
            total = self._sum_gradients(total)
            if self.step % c.log_every == 0:
                figures = {name: self._sum(value) for name, value in figures.items()}
        norm = nn.utils.clip_grad_norm_(self.parameters, c.clip)
        bad = ~(torch.isfinite(norm) & torch.isfinite(total))
        self.broken = torch.where(bad & (self.broken == math.inf), float(self.step), self.broken)
        if self.device.type != "cuda" or self.step % c.log_every == 0:
            self._guard()
        if self.step % c.log_every == 0:
            numbers = {"loss": total, **figures, "norm": norm}
            values = {k: float(v) for k, v in numbers.items()}
            self.reporter.log({"step": self.step, **values, "seconds": self.seconds})
        self.optimizer.step()
        self.step += 1
        self._average_weights(min(c.ema, (1 + self.step) / (10 + self.step)))
        self.reporter.advance(self.step)
        return ahead

    def _generator(self, part: int) -> torch.Generator:
        """The randomness of a part of a step; also seeds torch's global generators, for models that use
        those.
        """
        words = np.random.SeedSequence([self.config.seed, self.step, part]).generate_state(1, np.uint64)
        seed = int(words[0] >> np.uint64(1))
        torch.manual_seed(seed)
        return torch.Generator(self.device).manual_seed(seed)

    def _guard(self) -> None:
        step = self.broken.item()
        if step != math.inf:
            last = self.checkpoint if self.checkpoint.is_file() else "there is none"
            raise Diverged(
                f"the loss or its gradient is not finite at step {step:.0f}; last good checkpoint: {last}.  "
                "Go on from there with a lower learning rate (--set lr=...)"
            )

    def _stop(self, wish: bool) -> bool:
        """Whether any process wants to stop: all must do so after the same step."""
        if self.world == 1:
            return wish
        flag = torch.tensor(float(wish), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def _sum(self, value: Any) -> float:
        """Over all processes."""
        number = torch.tensor(float(value), device=self.device)
        dist.all_reduce(number)
        return float(number)

    def _sum_gradients(self, total: Tensor) -> Tensor:
        grads = [p.grad for p in self.parameters if p.grad is not None]
        flat = torch.cat([total.reshape(1), *(g.reshape(-1) for g in grads)])
        dist.all_reduce(flat)
        for g, part in zip(grads, flat[1:].split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))
        return flat[0]

    @torch.no_grad()
    def _average_weights(self, decay: float) -> None:
        pairs = [(self.ema[k], v.detach()) for k, v in self.model.state_dict().items()]
        floats = [(a, v) for a, v in pairs if v.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [v for _, v in floats], 1 - decay)
        for a, v in pairs:
            if not v.is_floating_point():
                a.copy_(v)

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
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
        pictures = self.photos.centres(self.valid_set, VALIDATION_SIZE).to(self.device)
        with self.averaged():
            result = self.objective.validate(pictures)
        self.last_validation = time.monotonic() - start
        self.reporter.validation({"step": self.step, "seconds": self.seconds, "validation": result})
        return result
