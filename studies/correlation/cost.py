"""What the correlation loss adds to a training step, in percent of processor time.

    python -m studies.correlation.cost [--steps 5] [--json studies/correlation/cost.json]

The step is forward, backward and Adam on two crops of 256 x 256; the loss is timed on that step's own
latents, forward and backward.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from calotype.lab.losses import CorrelationLoss, normalised
from calotype.lab.models.base import Output
from calotype.lab.train.subject import Subject
from calotype.records.provenance import provenance
from calotype.records.script import guarded, parser_of, run_as

SUBJECTS = {
    "minnen2018-mean-scale": Subject("minnen2018-mean-scale", lam=0.01),
    "cheng2020-hyperprior": Subject("cheng2020-hyperprior", lam=0.01),
    "zhu2022-hyperprior": Subject("zhu2022-hyperprior", lam=0.01),
    "calotype": Subject("calotype"),
}


def measure(subject: Subject, steps: int, window: int) -> dict[str, float]:
    """Median processor seconds of a step without the loss, and of the loss."""
    torch.manual_seed(0)
    objective = subject.build()
    model = objective.model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    kept: list[Any] = []
    model.register_forward_hook(lambda module, args, out: kept.append(out))
    x = torch.randint(0, 256, (2, 3, 256, 256), dtype=torch.uint8)
    loss = CorrelationLoss(window=window)
    step_times, loss_times = [], []
    for step in range(steps + 1):
        begin = time.process_time()
        value, _ = objective.training_loss(x, torch.Generator().manual_seed(step), False)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step_times.append(time.process_time() - begin)
        u = normalised(kept.pop()).detach()
        y, mu, sigma = (t.requires_grad_() for t in (u.clone(), torch.zeros_like(u), torch.ones_like(u)))
        begin = time.process_time()
        loss(Output(u, {}, 1, u, u, y, mu, sigma)).backward()
        loss_times.append(time.process_time() - begin)
    a, b = statistics.median(step_times[1:]), statistics.median(loss_times[1:])
    return {"step seconds": a, "loss seconds": b, "percent": 100 * b / a}


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--window", type=int, default=3)
    options.add_argument("--json", type=Path)
    given = options.parse_args(arguments)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found = {}
    for name, subject in SUBJECTS.items():
        found[name] = measure(subject, given.steps, given.window)
        print(
            f"{name:24} {found[name]['percent']:.2f} % of a step of {found[name]['step seconds']:.2f} s",
            flush=True,
        )
    if given.json:
        made = provenance(run_as(__file__, arguments))
        record = {**made, "threads": 1, "steps": given.steps, "window": given.window, "models": found}
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
