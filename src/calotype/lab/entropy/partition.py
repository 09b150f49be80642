"""Coding a picture partition by partition, each as if it were a picture of its own.

It bounds the memory of a system whose networks see far, and costs some bits and seams at the borders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from calotype.lab.entropy.coders import Coder

Box = tuple[int, int, int, int]


class Part:
    """A coder as a walk sees it that codes one partition, ``box`` (top, left, bottom, right) in pixels."""

    def __init__(self, coder: Coder, box: Box, number: int) -> None:
        self.coder, self.box, self.number = coder, box, number

    def grid(self, stride: int) -> tuple[int, int, int]:
        top, left, bottom, right = self.box
        return self.coder.grid(1)[0], (bottom - top) // stride, (right - left) // stride

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        whole, slash, part = name.partition("/")
        return self.coder.code(f"{whole}.{self.number}{slash}{part}" if self.number else name, values, p, at)


def boxes(height: int, width: int, side: int) -> list[Box]:
    """Partitions of at most ``side`` x ``side`` in raster order; ``side`` 0: one."""
    side = side or max(height, width)
    return [
        (top, left, min(top + side, height), min(left + side, width))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def cut(t: Tensor, box: Box, stride: int = 1) -> Tensor:
    """What a map ``[B, C, H / stride, W / stride]`` holds of a partition."""
    top, left, bottom, right = (v // stride for v in box)
    return t[:, :, top:bottom, left:right]


def join(parts: list[Tensor], found: list[Box]) -> Tensor:
    """Maps of all partitions, in raster order, as one."""
    rows: dict[int, list[Tensor]] = {}
    for part, box in zip(parts, found, strict=True):
        rows.setdefault(box[0], []).append(part)
    return torch.cat([torch.cat(row, 3) for row in rows.values()], 2)


def tiled(f: Callable[..., Tensor], found: list[Box], maps: list[tuple[Tensor, int]]) -> Tensor:
    """``f`` of each partition of some maps, given with their strides, put together."""
    if len(found) == 1:
        return f(*(t for t, _ in maps))
    return join([f(*(cut(t, box, stride) for t, stride in maps)) for box in found], found)


def smooth(x: Tensor, side: int) -> Tensor:
    """``x`` ``[B, C, H, W]`` with the two pixels on each side of every seam replaced by means of five across
    it.
    """
    for dim in (2, 3) if side else ():
        seams = [s for s in range(side, x.shape[dim], side) if s + 4 <= x.shape[dim]]
        if seams:
            at = torch.tensor([s + k for s in seams for k in (-2, -1, 0, 1)], device=x.device)
            near = torch.stack([x.index_select(dim, at + k) for k in range(-2, 3)]).mean(0)
            x = x.index_copy(dim, at, near)
    return x
