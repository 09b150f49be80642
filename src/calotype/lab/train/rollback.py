"""Going back when training breaks: good weights, kept on the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calotype.errors import CalotypeError
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.step import Step

WORSE = 10.0
"""A loss, in the mean of an interval, that is so many times that of the good intervals is broken, too: small
batches at all qualities differ by a factor of some."""


class Diverged(CalotypeError):
    """The loss or the gradient is not finite; the message names the step and the last good checkpoint."""


class Guard:
    """Looks after a run: ends it at the first step that is broken, or goes back ``config.rollbacks`` times,
    at half the learning rate each time.

    tensors: what a step changes beside the optimiser's state.
    """

    def __init__(
        self,
        one: Step,
        tensors: list[Tensor],
        config: TrainConfig,
        checkpoint: Path,
        say: Callable[[str], None],
    ) -> None:
        self.one, self.config, self.checkpoint, self.say = one, config, checkpoint, say
        self.rollback = Rollback(one, tensors) if config.rollbacks else None
        self.judged: int | None = None

    def check(self) -> None:
        """Without rollbacks, the first step that is broken ends the run.

        Raises:
            Diverged: then.
        """
        if self.rollback is not None or (step := self.one.broken.item()) == math.inf:
            return
        last = self.checkpoint if self.checkpoint.is_file() else "there is none"
        raise Diverged(
            f"the loss or its gradient is not finite at step {step:.0f}; last good checkpoint: {last}.  "
            "Go on from there with a lower learning rate (--set lr=...)"
        )

    def judge(self, step: int) -> None:
        """Look at the steps since the last time, before step ``step``.

        Raises:
            Diverged: when they are broken and there is no going back, or no more.
        """
        self.check()
        steps = step - (self.judged if self.judged is not None else step)
        self.judged = step
        if self.rollback is None or steps < 1 or not (wrong := self.rollback.judge(steps)):
            return
        if self.rollback.times > self.config.rollbacks:
            raise Diverged(f"{wrong}, at step {step}, after going back {self.config.rollbacks} times")
        self.config.lr /= 2
        self.say(f"step {step}: {wrong}; back to the last good weights, learning rate {self.config.lr:g}")


class Rollback:
    """Judges each interval of steps by its losses, and restores what the last good one left.

    Everything is restored in place, so that a recorded step stays valid.
    """

    def __init__(self, step: Step, tensors: list[Tensor]) -> None:
        self.step, self.tensors = step, tensors
        self.usual, self.times = math.inf, 0
        self._restore = self.keep()

    @torch.no_grad()
    def judge(self, steps: int) -> str:
        """Look at the last ``steps`` steps.  Returns what was wrong, and then everything is as it was after
        the last good interval; or nothing, and what is now is kept.
        """
        skipped, losses = float(self.step.skipped), float(self.step.losses)
        self.step.clear()
        mean = losses / (steps - skipped) if steps > skipped else math.inf
        wrong = ""
        if skipped > steps / 2:
            wrong = f"{skipped:.0f} of {steps} gradients were not finite"
        elif mean > WORSE * self.usual:
            wrong = f"the loss was {mean:.4g}, after {self.usual:.4g}"
        if wrong:
            self._restore()
            self.times += 1
        else:
            self.usual = mean if self.usual == math.inf else 0.9 * self.usual + 0.1 * mean
            self._restore = self.keep()
        return wrong

    def keep(self) -> Callable[[], None]:
        """Keep what is now; what it returns brings it back."""
        optimizer = self.step.optimizer
        kept = [t.detach().clone() for t in self.tensors]
        states: dict[Any, dict[str, Any]] = {
            p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in entry.items()}
            for p, entry in optimizer.state.items()
        }

        def restore() -> None:
            for t, value in zip(self.tensors, kept, strict=True):
                t.detach().copy_(value)
            for p, entry in optimizer.state.items():
                before = states.get(p)
                for k, v in list(entry.items()):
                    if isinstance(v, Tensor) and before is None:
                        v.zero_()
                    elif isinstance(v, Tensor) and before is not None and k in before:
                        v.copy_(before[k])
                    elif before is None:
                        entry[k] = type(v)()
                    else:
                        entry[k] = before[k]

        return restore
