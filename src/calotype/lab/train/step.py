"""One optimiser step: loss, gradients, update, moving average; on a GPU recorded once and replayed.

A step on a GPU is some 2,000 small kernels, which Python launches more slowly than they run.  So where a
single GPU trains with an optimiser that can be recorded, a few steps run as usual and the next is recorded
as a CUDA graph.  For that, all that changes from step to step is on the device: the table of crops, learning
rate, average's decay, number of the step.  Randomness is that of the device's default generator, seeded
before each step.  Nothing is read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from calotype.lab.train.config import TrainConfig
from calotype.lab.train.optim import set_rates
from calotype.lab.train.resident import DevicePhotos

FIRST = 3
"""Steps that run as usual before one is recorded: libraries choose kernels in them."""


class Step:
    """What a step does to the weights, the optimiser's state and the moving average.

    parts: of a batch over all processes; ``world``: how many processes.
    say:   told in a line when recording does not work; training goes on without.
    """

    def __init__(
        self,
        objective: Any,
        optimizer: torch.optim.Optimizer,
        ema: dict[str, Tensor],
        config: TrainConfig,
        *,
        parts: int,
        world: int,
        resident: DevicePhotos | None,
        say: Callable[[str], None],
    ) -> None:
        self.objective, self.optimizer, self.config = objective, optimizer, config
        self.parts, self.world, self.resident, self.say = parts, world, resident, say
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        device = self.parameters[0].device
        self.ema, self.averages, self.weights = ema, list[Tensor](), list[Tensor]()
        self.whole: list[tuple[Tensor, Tensor]] = []
        # The first step whose loss or gradient was not finite, how many there were, and the sum of the other
        # losses.  They stay on the device: looking at them at every step would make a GPU wait.
        self.broken = torch.full((), math.inf, device=device)
        self.skipped, self.losses = torch.zeros((), device=device), torch.zeros((), device=device)
        self.bad = torch.zeros((), device=device)
        self.controls = torch.zeros(3, device=device)
        self.fused = isinstance(optimizer.param_groups[0]["lr"], Tensor)
        self.compiled: Any = None
        single = device.type == "cuda" and world == 1 and parts == 1
        staged = hasattr(objective.model, "progress")  # would be replayed as it was when it was recorded
        self.recording = config.graph and single and self.fused and not staged
        self.recorded: dict[bool, tuple[Any, Tensor, dict[str, Tensor]]] = {}
        self.done = 0

    def __call__(
        self,
        feeds: Sequence[Tensor],
        seeds: Sequence[int],
        *,
        hard: bool,
        rate: float,
        decay: float,
        step: int,
        check: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Do a step; returns its figures: numbers, or tensors that the next step may overwrite.

        feeds: this process's parts of the batch: crops uint8 ``[n, 3, S, S]``, or tables of
               `DevicePhotos.table` where photographs are on the device.
        seeds: for the randomness of each part.
        check: called before anything changes.
        """
        if not self.done:
            self._pair()
        self._control(rate, 1 - decay, step)
        self.rate = rate
        if self.recording and self.done >= FIRST and self._record(feeds[0], hard):
            graph, given, figures = self.recorded[hard]
            given.copy_(feeds[0], non_blocking=True)
            torch.manual_seed(seeds[0])
            graph.replay()
            return figures
        with self._aside():
            return self._plain(feeds, seeds, hard, check)

    def rehearse(self, feeds: Sequence[Tensor], hard: bool) -> None:
        """What a step computes, without any change: what is compiled is ready afterwards."""
        device = self.controls.device
        with self._aside():
            self._gradients([f.to(device, non_blocking=True) for f in feeds], (), hard)
        self.optimizer.zero_grad(set_to_none=True)
        self.clear()
        self.bad.zero_()

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """For the time of a ``with`` not on the default stream, as a step that is recorded."""
        if not self.recording:
            yield
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)

    def clear(self) -> None:
        """Forget what steps were broken, and the losses."""
        self.broken.fill_(math.inf)
        self.skipped.zero_()
        self.losses.zero_()

    def _pair(self) -> None:
        """Averages and the weights that they follow, listed once; not before training, as what makes first
        weights may move a model to another device and back.
        """
        state = self.objective.model.state_dict()  # tensors that share memory with the model's
        pairs = [(self.ema[k], v.detach()) for k, v in state.items()]
        self.averages = [a for a, v in pairs if v.is_floating_point()]
        self.weights = [v for _, v in pairs if v.is_floating_point()]
        self.whole = [(a, v) for a, v in pairs if not v.is_floating_point()]

    def _control(self, *values: float) -> None:
        given = torch.tensor(values)
        if self.controls.is_cuda:
            given = given.pin_memory()
        self.controls.copy_(given, non_blocking=True)

    def _plain(
        self,
        feeds: Sequence[Tensor],
        seeds: Sequence[int],
        hard: bool,
        check: Callable[[], None] | None,
    ) -> dict[str, Any]:
        device = self.controls.device
        figures = self._gradients([f.to(device, non_blocking=True) for f in feeds], seeds, hard)
        if check is not None:
            check()
        self._update()
        self.done += 1
        return figures

    def _gradients(self, feeds: Sequence[Tensor], seeds: Sequence[int], hard: bool) -> dict[str, Any]:
        """Gradients of the whole batch, clipped, and whether they can be used."""
        self.optimizer.zero_grad(set_to_none=True)
        total, figures = torch.zeros((), device=self.controls.device), dict[str, Any]()
        for k, feed in enumerate(feeds):
            if seeds:
                torch.manual_seed(seeds[k])
            x = feed if self.resident is None else self.resident.gather(feed)
            loss, found = (self.compiled or self.objective.training_loss)(x, None, hard)
            (loss / self.parts).backward()
            total = total + loss.detach() / self.parts
            for name, value in found.items():
                figures[name] = figures.get(name, 0.0) + value / self.parts
        if self.world > 1:
            total = self._sum_gradients(total)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        bad = ~(torch.isfinite(norm) & torch.isfinite(total))
        first = bad & (self.broken == math.inf)
        self.broken.copy_(torch.where(first, self.controls[2], self.broken))
        self.bad.copy_(bad)
        self.skipped.add_(self.bad)
        self.losses.add_(torch.where(bad, torch.zeros_like(total), total))
        return {"loss": total, **figures, "norm": norm}

    def _update(self) -> None:
        """Weights and average; neither changes by a gradient that is not finite."""
        set_rates(self.optimizer, self.rate, self.controls[0])
        if self.fused:
            self.optimizer.found_inf = self.bad
        elif self.bad.is_cuda:  # these cannot leave a step out, and asking would make the GPU wait
            for p in self.parameters:
                if p.grad is not None:
                    p.grad.masked_fill_(self.bad.bool(), 0.0)
        elif bool(self.bad):
            return
        self.optimizer.step()
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        weight = self.controls[1] * (1 - self.bad)
        if weight.is_cuda:
            moves = torch._foreach_sub(self.weights, self.averages)
            torch._foreach_mul_(moves, weight)
            torch._foreach_add_(self.averages, moves)
        else:
            torch._foreach_lerp_(self.averages, self.weights, float(weight))
        for a, v in self.whole:
            a.copy_(v)

    def _sum_gradients(self, total: Tensor) -> Tensor:
        grads = [p.grad for p in self.parameters if p.grad is not None]
        flat = torch.cat([total.reshape(1), *(g.reshape(-1) for g in grads)])
        dist.all_reduce(flat)
        for g, part in zip(grads, flat[1:].split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))
        return flat[0]

    def _record(self, feed: Tensor, hard: bool) -> bool:
        """Record a step unless that is done; whether there is a recorded one."""
        if hard in self.recorded:
            return True
        self.recorded.clear()  # with its memory
        self.optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        graph, given = torch.cuda.CUDAGraph(), feed.to(self.controls.device)
        try:
            # Another thread prepares crops meanwhile, which does not belong to the step.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                figures = self._gradients([given], (), hard)
                self._update()
        except RuntimeError as error:
            self.recording = False
            self.optimizer.zero_grad(set_to_none=True)
            self.say(f"the step cannot be recorded as a CUDA graph: {str(error).splitlines()[0]}")
            return False
        self.recorded[hard] = graph, given, figures
        return True
