"""What a GPU has to show before minutes are spent on it: ``python training/gpu/selftest.py --help``.

    compare   loss and gradient on the device in float32 are those of the CPU, in bfloat16 nearly; recorded
              steps do what others do
    time      megapixels per second of training with one choice of settings
    rates     held-out loss after some seconds of training, annealed, with each of some learning rates

Each prints a line of JSON, `rates` one for each rate.  Run them in processes of their own: what fails on a
GPU may take its process along.  Several may get ready at once; with --turn FILE they wait for each other
before they measure.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.resident import DevicePhotos
from calotype.lab.train.rollback import Diverged, Rollback
from calotype.lab.train.state import State
from calotype.lab.train.stores import Pixels, Size
from calotype.lab.train.subject import Subject
from calotype.records.script import guarded

CROPS = 4
STEPS = 20
"""That are compared, recorded and not."""
LOSS, NORM, HALF, RECORDED = 1e-3, 0.1, 0.02, 0.01
"""Largest relative differences: of the loss, of the gradient's norm, of the loss in bfloat16, and of the loss
after recorded steps."""
BEFORE = 6
"""Steps before timing begins: compiling and recording happen in them."""
TOGETHER = 20
"""Steps that are timed in one, on a GPU; the median of such times counts."""
PROBE: dict[str, Any] = {"warmup": 50, "decay": 0.6, "ema": 0.99, "log_every": 100}
"""How a learning rate is tried."""


class Synthetic:
    """Pictures that need no files: smooth shading with noise."""

    names, skipped = [f"{k}.png" for k in range(8)], list[tuple[str, str]]()

    def __init__(self, side: int) -> None:
        self.sizes: list[Size] = [(side, side)] * len(self.names)

    def picture(self, i: int) -> Pixels:
        """Picture ``i``, the same each time."""
        side, rng = self.sizes[i][0], np.random.default_rng(i)
        ramp = np.linspace(0, 200, side)[:, None, None] * rng.uniform(0.3, 1, 3)
        noisy = ramp + rng.normal(20, 8, (side, side, 3))
        return np.clip(noisy, 0, 255).astype(np.uint8)


def trainer(
    start: Path | None, device: str, folder: Path, photos: Photos | None = None, **fields: Any
) -> Trainer:
    """A trainer with the weights of ``start`` or random ones, on synthetic pictures if there are none."""
    state = State.load(start) if start else None
    subject = Subject.from_dict(state.model) if state else Subject()
    given = {"steps": 10**6, "hard": 1.0, "held_out": 0, "warmup": 1, "log_every": 10**9, **fields}
    config = TrainConfig.from_dict({"paces": state.config.get("paces", "") if state else "", **given})
    photos = photos or Photos([Synthetic(max(512, config.crop))])
    made = Trainer(subject, photos, config, folder, device=device)
    if made.resident is None and torch.device(device).type == "cuda":
        made.resident = made.one.resident = DevicePhotos(photos, made.device, config.crop)
    if state is not None:
        made.start_from(state, averaged=True)
    made.model.train()
    return made


@contextmanager
def alone(turn: Path | None) -> Iterator[None]:
    """For the time of a ``with``, no other process that was given the same file measures."""
    if turn is None:
        yield
        return
    with turn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def same_noise() -> Iterator[None]:
    """Random numbers that do not depend on the device: drawn on the CPU and moved."""
    real = torch.rand

    def rand(*size: Any, device: Any = None, generator: Any = None, **options: Any) -> Tensor:
        return real(*size, **options).to(device or "cpu")

    with mock.patch.object(torch, "rand", rand):
        yield


def one_loss(start: Path | None, device: str, crop: int, bf16: bool) -> tuple[float, float]:
    """Loss of some crops and the norm of its gradient."""
    with tempfile.TemporaryDirectory() as folder, same_noise():
        made = trainer(start, device, Path(folder), batch=CROPS, crop=crop, bf16=bf16, graph=False)
        x = made.photos.crops(made.train_set, (0,), CROPS, crop).to(made.device)
        torch.manual_seed(0)
        loss, _ = made.objective.training_loss(x, None, True)
        loss.backward()  # type: ignore[no-untyped-call]
        grads = [p.grad for p in made.one.parameters if p.grad is not None]
        return float(loss.detach()), float(nn.utils.get_total_norm(grads))


def after_steps(start: Path | None, device: str, crop: int, *, graph: bool) -> tuple[float, bool]:
    """Loss of the last of some steps, and whether steps were recorded."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        made = trainer(start, device, Path(folder), batch=CROPS, crop=crop, bf16=True, graph=graph)
        losses = run(made, pool, STEPS)
        return float(losses), bool(made.one.recorded)


def run(made: Trainer, pool: ThreadPoolExecutor, steps: int) -> Tensor:
    """Some steps of training; the sum of their losses."""
    ahead = pool.submit(made._crops, made.step)
    for _ in range(steps):
        ahead = made._step(ahead, pool)
    return made.one.losses


def compare(start: Path | None, device: str, crop: int) -> dict[str, Any]:
    """See the module; what ends in ``ok`` says whether differences are small enough."""
    cpu, norm = one_loss(start, "cpu", crop, False)
    found: dict[str, Any] = {"loss": cpu, "norm": norm}
    here, here_norm = one_loss(start, device, crop, False)
    half, _ = one_loss(start, device, crop, True)
    found["float32"], found["gradient"] = abs(here / cpu - 1), abs(here_norm / norm - 1)
    found["bfloat16"] = abs(half / cpu - 1)
    (plain, _), (recorded, used) = (after_steps(start, device, crop, graph=g) for g in (False, True))
    found |= {"recorded": abs(recorded / plain - 1), "recording works": used}
    found["float32 ok"] = found["float32"] < LOSS and found["gradient"] < NORM
    found["bfloat16 ok"] = found["bfloat16"] < HALF
    found["graph ok"] = used and found["recorded"] < RECORDED
    return found


def timed(
    start: Path | None, device: str, seconds: float, turn: Path | None, **fields: Any
) -> dict[str, Any]:
    """Megapixels per second over so many seconds of training, after what is done once."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        made = trainer(start, device, Path(folder), **fields)
        together = TOGETHER if made.device.type == "cuda" else 1
        made._compile()
        float(run(made, pool, BEFORE))
        ready, times = time.monotonic() - begun, list[float]()
        with alone(turn):
            float(run(made, pool, together))  # reading it waits for the GPU
            end = time.monotonic() + seconds
            while (before := time.monotonic()) < end:
                float(run(made, pool, together))
                times.append(time.monotonic() - before)
        pace = together / statistics.median(times)
        return {
            "megapixels/s": round(pace * made.config.batch * made.config.crop**2 / 1e6, 4),
            "steps/s": round(pace, 3),
            "ready after": round(ready, 1),
            "recorded": bool(made.one.recorded),
            "finite": not bool(made.one.skipped),
            "GB": round(torch.cuda.max_memory_reserved() / 1e9, 1) if made.device.type == "cuda" else 0,
        }


def tried(
    start: Path | None,
    device: str,
    data: list[Path],
    rates: list[float],
    seconds: float,
    turn: Path | None,
    **fields: Any,
) -> Iterator[dict[str, Any]]:
    """Each rate with the held-out loss (None if training breaks) after so many seconds of training, annealed.

    All begin with the same weights; compiling and recording happen once, before.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        fields = {"held_out": 20, **PROBE, **fields, "steps": 0, "minutes": seconds / 60}
        made = trainer(start, device, Path(folder), Photos.open(*data), **fields)
        tensors = [*made.model.state_dict().values(), *made.ema.values()]
        restore = Rollback(made.one, tensors).keep()
        made._compile()
        float(run(made, pool, BEFORE))
        for rate in rates:
            restore()
            made.one.clear()
            made.step, made.seconds, made.config.lr = 0, 0.0, rate
            loss = None
            with alone(turn), suppress(Diverged):
                loss = made.run()["mean_loss"]
            yield {"rate": rate, "loss": loss, "steps": made.step}
            time.sleep(0.3)  # another one's turn


@guarded
def main(arguments: list[str]) -> int:
    """Run one of the two and print what was found."""
    options = argparse.ArgumentParser(prog="python training/gpu/selftest.py")
    options.add_argument("what", choices=("compare", "time", "rates"))
    options.add_argument("--from", dest="start", type=Path, help="a checkpoint; without it, random weights")
    options.add_argument("--device", default="cuda")
    options.add_argument("--crop", type=int, default=256)
    options.add_argument("--seconds", type=float, default=3.0, help="of timing, or of training at a rate")
    options.add_argument("--turn", type=Path, metavar="FILE", help="measure when no other one does")
    options.add_argument("--data", nargs="+", type=Path, help="photographs, for rates")
    options.add_argument("--rates", default="5e-4,1e-3,2e-3", help="learning rates to try")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = options.parse_args(arguments)
    fields: dict[str, Any] = dict(text.split("=", 1) for text in given.set)
    if given.what == "compare":
        print(json.dumps(compare(given.start, given.device, given.crop)), flush=True)
        return 0
    fields = {"crop": given.crop, **fields}
    if given.what == "time":
        found = timed(given.start, given.device, given.seconds, given.turn, **fields)
        print(json.dumps(found), flush=True)
        return 0
    if not given.data:
        raise ValueError("--data is needed, to try learning rates")
    rates = [float(r) for r in given.rates.split(",")]
    for one in tried(given.start, given.device, given.data, rates, given.seconds, given.turn, **fields):
        print(json.dumps(one), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
