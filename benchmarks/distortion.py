"""What the distortions add to a training step of the product's model, in percent of processor time.

    python benchmarks/distortion.py [--steps 9] [--batch 4] [--crop 256] [--json FILE]

A step is forward and backward, trained for MSE; each distortion is timed alone, forward and backward, on
photograph-like noise of that shape. Medians, one thread.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from calotype.lab.losses.ssimulacra2 import ssimulacra2
from calotype.lab.metrics import ms_ssim
from calotype.lab.train.subject import Subject
from calotype.records.provenance import provenance
from calotype.records.script import guarded, parser_of

DISTORTIONS = {"ms-ssim": ms_ssim, "ssimulacra2": ssimulacra2}


def seconds(act: Callable[[], None], steps: int) -> float:
    """Median processor seconds, after two that do not count."""
    times = []
    for _ in range(steps + 2):
        begin = time.process_time()
        act()
        times.append(time.process_time() - begin)
    return statistics.median(times[2:])


def step_seconds(x: Tensor, steps: int, bf16: bool) -> float:
    """Of one forward and backward pass for MSE; ``x`` uint8 ``[B, 3, S, S]``."""
    torch.manual_seed(0)
    objective = Subject().build()
    objective.model.train().to(memory_format=torch.channels_last)
    if bf16:
        objective.model.mixed_precision()

    def act() -> None:
        objective.model.zero_grad()
        objective.training_loss(x, None, True)[0].backward()  # type: ignore[no-untyped-call]

    return seconds(act, steps)


def distortion_seconds(name: str, x: Tensor, steps: int) -> float:
    """Of one distortion, forward and backward."""
    a = x / 255
    b = (a + 0.02 * torch.randn(a.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    return seconds(lambda: DISTORTIONS[name](a, b).sum().backward(), steps)


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("--steps", type=int, default=9)
    options.add_argument("--batch", type=int, default=4)
    options.add_argument("--crop", type=int, default=256)
    options.add_argument("--json", type=Path)
    given = options.parse_args(arguments)
    torch.set_num_threads(1)
    shape = (given.batch, 3, given.crop, given.crop)
    x = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    steps = {kind: step_seconds(x, given.steps, kind == "bf16") for kind in ("float32", "bf16")}
    found = {name: distortion_seconds(name, x, given.steps) for name in DISTORTIONS}
    for name, cost in found.items():
        shares = ", ".join(f"{100 * cost / step:.1f} % of a step in {kind}" for kind, step in steps.items())
        print(f"{name:12} {cost:.3f} s: {shares}")
    if given.json:
        made = provenance(["python", "benchmarks/distortion.py", *(arguments or sys.argv[1:])])
        record = {**made, "threads": 1, "shape": shape, "step seconds": steps, "distortion seconds": found}
        given.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
