"""The process around a training run: its share of the work, its machine, the signals that stop it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist

from calotype.records.provenance import processor


def place() -> tuple[int, int]:
    """Number of this process, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def join(device: str) -> str:
    """Join the processes that `torchrun` started, if it did; returns the device of this one.

    Raises:
        ValueError: when torch cannot compute on the device.
    """
    single = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device
    _check(single, device)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    if device == "cuda":
        torch.cuda.set_device(single)
    return single


def _check(device: str, given: str) -> None:
    """Compute something on the device: only that tells whether torch, the driver and the GPU go together.

    Which error torch raises when they do not depends on how it was built.
    """
    try:
        torch.device(device)
    except RuntimeError:
        raise ValueError(f"--device must be cpu, cuda or auto, got {given!r}") from None
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--device {given}: torch cannot use it here ({reason}); try --device cpu") from None


def machine(device: torch.device, world: int) -> str:
    """What a step is computed on, in words."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{processor()}, {torch.get_num_threads()} threads"
    return name if world == 1 else f"{world} x {name}"


def computes_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there: on CPUs without instructions for it, it takes ten times as long."""
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return True
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16", True) or known.get("amx_bf16"))


def anywhere(wish: bool, device: torch.device) -> bool:
    """Whether any process has the wish: all must stop after the same step, for instance."""
    if place()[1] == 1:
        return wish
    flag = torch.tensor(float(wish), device=device)
    dist.all_reduce(flag, dist.ReduceOp.MAX)
    return bool(flag.item())


def agreed(value: float, device: torch.device) -> float:
    """The first process's value, in all of them."""
    if place()[1] == 1:
        return value
    number = torch.tensor(value, dtype=torch.float64, device=device)
    dist.broadcast(number, 0)
    return float(number)


def total(value: Any, device: torch.device) -> float:
    """The sum over all processes."""
    number = torch.tensor(float(value), device=device)
    dist.all_reduce(number)
    return float(number)


class Throttle:
    """Keeps a GPU at most some steps behind: what goes by the clock must not run ahead of it."""

    def __init__(self, device: torch.device, behind: int = 2) -> None:
        self.on_gpu, self.behind, self.events = device.type == "cuda", behind, deque[Any]()

    def step(self) -> None:
        """A step was launched."""
        if self.on_gpu:
            self.events.append(torch.cuda.Event())
            self.events[-1].record()
            if len(self.events) > self.behind:
                self.events.popleft().synchronize()


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, so that a step is finished and a checkpoint written; the second one acts
    at once.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    previous = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
