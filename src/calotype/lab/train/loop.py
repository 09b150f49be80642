"""The training loop: one process or many (`torchrun`), CPU or CUDA, resumed exactly.

A model to be trained is a module with

    ``training_loss(x, generator, hard) -> (loss, {name: value})``   x uint8 [B, 3, S, S]
    ``validate(x) -> {name: value}``                                 x uint8 [n, 3, S, S], weights: the moving average

Many processes average their gradients, so N processes with batch B/N equal one process with batch B.
"""

from __future__ import annotations

import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .config import TrainConfig
from .data import Photos
from .optim import build_optimizer


class Trainable(Protocol):
    """What the loop asks of a model, besides being an ``nn.Module``."""

    def training_loss(self, x: Tensor, generator: torch.Generator, hard: bool) -> tuple[Tensor, dict[str, float]]: ...
    def validate(self, x: Tensor) -> dict[str, Any]: ...


class Diverged(RuntimeError):
    """The loss or a gradient is not finite."""


class Trainer:
    """State of a run: weights, their moving average, optimiser, step."""

    def __init__(self, model: nn.Module, photos: Photos, config: TrainConfig, folder: Path, device: str = "cpu") -> None:
        self.config, self.photos, self.folder, self.device = config, photos, folder, torch.device(device)
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if config.batch % self.world:
            raise ValueError(f"batch {config.batch} is not a multiple of the {self.world} processes")
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(config, self.model)
        self.step, self.seconds = 0, 0.0
        self.train_set, self.valid_set = photos.split(config.held_out)
        if config.bf16 and hasattr(self.model, "mixed_precision"):
            self.model.mixed_precision(True)

    # -- checkpoints ---------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint: weights, moving average, optimiser, step, configuration.  Atomic."""
        if self.rank:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "config": self.config.to_dict(),
            "model": {k: v.contiguous() for k, v in self.model.state_dict().items()},
            "ema": {k: v.contiguous() for k, v in self.ema.items()},
            "optimizer": self.optimizer.state_dict(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    def resume(self, path: Path | None = None, *, optimizer: bool = True) -> None:
        """Go on from a checkpoint; ``optimizer=False`` takes only the weights and starts a fresh optimiser."""
        state = torch.load(path or self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for k, v in state["ema"].items():
            self.ema[k].copy_(v)
        self.step, self.seconds = state["step"], state["seconds"]
        if optimizer and "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])

    # -- the run -------------------------------------------------------------------------------------------------

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, cosine decay to 1 %."""
        c = self.config
        rate = c.lr * min(1.0, (step + 1) / max(1, c.warmup))
        begin = c.steps * (1 - c.decay)
        if step > begin:
            t = min(1.0, (step - begin) / max(1.0, c.steps - begin))
            rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t))
        return rate

    def crops(self, step: int) -> Tensor:
        count = self.config.batch // self.world
        x = self.photos.crops(self.train_set, (self.config.seed, step, self.rank), count, self.config.crop)
        return x.pin_memory() if self.device.type == "cuda" else x

    def run(self, minutes: float | None = None) -> None:
        """Train to ``config.steps``, or for so many minutes; the checkpoint is written at the end in any case."""
        start, begun = time.monotonic(), self.seconds
        self.model.train()
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.crops, self.step)
            try:
                while self.step < self.config.steps:
                    if self._time_is_up(start, minutes):
                        break
                    x = ahead.result().to(self.device, non_blocking=True)
                    ahead = pool.submit(self.crops, self.step + 1)
                    self._one_step(x)
                    self.seconds = begun + time.monotonic() - start
                    if self.step % self.config.save_every == 0:
                        self.save()
                    if self.step % self.config.validate_every == 0:
                        self.validate()
            finally:
                self.save()
        self.validate()

    def _time_is_up(self, start: float, minutes: float | None) -> bool:
        if minutes is None:
            return False
        up = torch.tensor(float(time.monotonic() - start > 60 * minutes))
        if self.world > 1:
            up = up.to(self.device)
            dist.broadcast(up, 0)  # all processes must stop at the same step
        return bool(up.item())

    def _one_step(self, x: Tensor) -> None:
        c = self.config
        hard = self.step >= c.steps * (1 - c.hard)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.step) * group["factor"]
        generator = torch.Generator(self.device).manual_seed(hash((c.seed, self.step, self.rank)) & 0x7FFFFFFF)
        self.optimizer.zero_grad(set_to_none=False)
        loss, values = self.model.training_loss(x, generator, hard)
        loss.backward()
        if self.world > 1:
            self._average_gradients()
        norm = nn.utils.clip_grad_norm_(self.parameters, c.clip)
        if self.step % 50 == 0:
            if not (torch.isfinite(loss) and torch.isfinite(norm)):
                raise Diverged(f"loss {loss.item()} at step {self.step}; last good checkpoint: {self.checkpoint}")
            self.log({"step": self.step, "loss": loss.item(), "norm": norm.item(), "seconds": self.seconds, **values})
        self.optimizer.step()
        self.step += 1
        self._average_weights(min(c.ema, (1 + self.step) / (10 + self.step)))

    def _average_gradients(self) -> None:
        grads = [p.grad for p in self.parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.world
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    @torch.no_grad()
    def _average_weights(self, decay: float) -> None:
        pairs = [(self.ema[k], v) for k, v in self.model.state_dict().items() if v.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in pairs], [b.detach() for _, b in pairs], 1 - decay)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Score the moving average on the held-out photographs; rank 0 logs and returns the result."""
        if self.rank or not self.valid_set:
            return {}
        raw = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.ema)
        self.model.eval()
        result = self.model.validate(self.photos.centres(self.valid_set, 256).to(self.device))
        self.model.train()
        self.model.load_state_dict(raw)
        self.log({"step": self.step, "seconds": self.seconds, "validation": result})
        return result

    def log(self, values: dict[str, Any]) -> None:
        if self.rank:
            return
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        print(line, flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "log.jsonl", "a") as log:
            log.write(line + "\n")
