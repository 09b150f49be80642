"""What a GPU has to show before minutes are spent on it: ``python -m calotype.lab.train.selftest --help``.

    compare   loss and gradient on the device in float32 are those of the CPU, in bfloat16 nearly; recorded
              steps do what others do
    time      megapixels per second of training with one choice of settings

Each prints one line of JSON.  Run them in processes of their own: what fails on a GPU may take its process
along.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
from calotype.lab.train.state import State
from calotype.lab.train.stores import Pixels, Size
from calotype.lab.train.subject import Subject
from calotype.records.script import guarded

CROPS = 4
STEPS = 20
"""That are compared, recorded and not."""
LOSS, NORM, HALF, RECORDED = 1e-3, 1e-2, 0.02, 0.01
"""Largest relative differences: of the loss, of the gradient's norm, of the loss in bfloat16, and of the loss
after recorded steps."""
BEFORE = 6
"""Steps before timing begins: compiling and recording happen in them."""


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


def trainer(start: Path | None, device: str, folder: Path, **fields: Any) -> Trainer:
    """A trainer on synthetic pictures, with the weights of ``start`` or random ones."""
    state = State.load(start) if start else None
    subject = Subject.from_dict(state.model) if state else Subject()
    given = {"steps": 10**6, "hard": 1.0, "held_out": 0, "warmup": 1, "log_every": 10**9, **fields}
    config = TrainConfig.from_dict({"paces": state.config.get("paces", "") if state else "", **given})
    photos = Photos([Synthetic(max(512, config.crop))])
    made = Trainer(subject, photos, config, folder, device=device)
    if made.resident is None and torch.device(device).type == "cuda":
        made.resident = made.one.resident = DevicePhotos(photos, made.device, config.crop)
    if state is not None:
        made.start_from(state, averaged=True)
    made.model.train()
    return made


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
    """See the module; ``ok`` says whether all differences are small enough."""
    cpu, norm = one_loss(start, "cpu", crop, False)
    found: dict[str, Any] = {"loss": cpu, "norm": norm}
    here, here_norm = one_loss(start, device, crop, False)
    half, _ = one_loss(start, device, crop, True)
    found["float32"], found["gradient"] = abs(here / cpu - 1), abs(here_norm / norm - 1)
    found["bfloat16"] = abs(half / cpu - 1)
    (plain, _), (recorded, used) = (after_steps(start, device, crop, graph=g) for g in (False, True))
    found |= {"recorded": abs(recorded / plain - 1), "recording works": used}
    found["ok"] = found["float32"] < LOSS and found["gradient"] < NORM and found["bfloat16"] < HALF
    found["graph ok"] = used and found["recorded"] < RECORDED
    return found


def timed(start: Path | None, device: str, seconds: float, **fields: Any) -> dict[str, Any]:
    """Megapixels per second over so many seconds of training, after what is done once."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        made = trainer(start, device, Path(folder), **fields)
        made._compile()
        float(run(made, pool, BEFORE))
        ready, steps = time.monotonic(), 0
        while time.monotonic() - ready < seconds:
            float(run(made, pool, 10 if made.device.type == "cuda" else 1))  # reading it waits for the GPU
            steps += 10 if made.device.type == "cuda" else 1
        passed = time.monotonic() - ready
        pixels = steps * made.config.batch * made.config.crop**2
        return {
            "megapixels/s": round(pixels / passed / 1e6, 4),
            "steps/s": round(steps / passed, 3),
            "ready after": round(ready - begun, 1),
            "recorded": bool(made.one.recorded),
            "finite": not bool(made.one.skipped),
            "GB": round(torch.cuda.max_memory_reserved() / 1e9, 1) if made.device.type == "cuda" else 0,
        }


@guarded
def main(arguments: list[str]) -> int:
    """Run one of the two and print what was found."""
    options = argparse.ArgumentParser(prog="python -m calotype.lab.train.selftest")
    options.add_argument("what", choices=("compare", "time"))
    options.add_argument("--from", dest="start", type=Path, help="a checkpoint; without it, random weights")
    options.add_argument("--device", default="cuda")
    options.add_argument("--crop", type=int, default=256)
    options.add_argument("--seconds", type=float, default=3.0, help="of timing")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = options.parse_args(arguments)
    fields = dict(text.split("=", 1) for text in given.set)
    if given.what == "compare":
        found = compare(given.start, given.device, given.crop)
    else:
        found = timed(given.start, given.device, given.seconds, crop=given.crop, **fields)
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
