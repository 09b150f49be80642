"""Boxes of latents and pixels: windows with margins, and a pool of workers for them.

A box of latents counts latents from the picture's top left corner, 16 pixels each; ``Box`` is
(left, top, right, bottom) with right and bottom one past the last.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.pack import STRIDE

WINDOWS = ((1 << 15, 128), (1 << 17, 96), (1 << 62, 64))
"""Most latents on a side of a window, for boxes of up to so many latents: the larger, the less is computed
twice in the margins (a fifth at 64), and the more memory it takes.
"""
MOST = 16
"""Most tiles at a time: each takes some 30 MB, and a picture of 100 megapixels is to fit into 1.5 GiB."""
MAX_WORKERS = 2
"""Most tiles that are refined at a time (calotype.codec.effort): each takes 250 MB, for eyes 600 MB. More
threads work within each.
"""


def latent_box(pixels: Box) -> Box:
    """The smallest box of latents that covers a box of pixels."""
    return Box(
        pixels.left // STRIDE, pixels.top // STRIDE, -(-pixels.right // STRIDE), -(-pixels.bottom // STRIDE)
    )


def grow(box: Box, margin: int, bounds: Box) -> Box:
    """`box` with `margin` more on each side, cut at `bounds`."""
    return Box(
        max(box.left - margin, bounds.left),
        max(box.top - margin, bounds.top),
        min(box.right + margin, bounds.right),
        min(box.bottom + margin, bounds.bottom),
    )


def common(a: Box, b: Box) -> Box:
    """What two boxes share; width or height may come out as 0 or less."""
    return Box(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom))


def moved(box: Box, outer: Box) -> Box:
    """`box` counted from the corner of `outer`."""
    return Box(box.left - outer.left, box.top - outer.top, box.right - outer.left, box.bottom - outer.top)


def inside(box: Box, outer: Box) -> tuple[EllipsisType, slice, slice]:
    """Where `box` is in an array [..., h, w] that holds `outer`."""
    at = moved(box, outer)
    return ..., slice(at.top, at.bottom), slice(at.left, at.right)


def scaled(box: Box, factor: int) -> Box:
    """`box` with every coordinate times `factor`."""
    return Box(box.left * factor, box.top * factor, box.right * factor, box.bottom * factor)


def grid(box: Box, side: int, width: int | None = None) -> list[Box]:
    """A box in squares of a side, or in boxes of that height and another width, row by row; those at its
    right and lower end may be smaller.
    """
    width = width or side
    corners = itertools.product(range(box.top, box.bottom, side), range(box.left, box.right, width))
    return [common(Box(left, top, left + width, top + side), box) for top, left in corners]


def cut(pixels: NDArray[np.uint8], latents: Box) -> NDArray[np.uint8]:
    """The pixels under a box of latents as [1, 16h, 16w, 3]; beyond the picture its edge is repeated."""
    box = scaled(latents, STRIDE)
    part = pixels[box.top : box.bottom, box.left : box.right]
    below, right = box.height - part.shape[0], box.width - part.shape[1]
    if below or right:
        part = np.pad(part, ((0, below), (0, right), (0, 0)), mode="edge")
    return np.ascontiguousarray(part)[None]


def windows(box: Box, workers: int = 1) -> list[list[Box]]:
    """`box` cut into nearly equal windows, none larger than WINDOWS allows, as rows of boxes.

    Of few windows there are as many as give each of `workers` the same number.
    """
    side = next(side for most, side in WINDOWS if box.width * box.height <= most)
    columns, rows = -(-box.width // side), -(-box.height // side)
    while columns * rows % workers and columns * rows < 4 * workers:
        if box.width * rows >= box.height * columns:
            columns += 1
        else:
            rows += 1
    lefts, tops = _cuts(box.left, box.right, columns), _cuts(box.top, box.bottom, rows)
    return [
        [Box(left, top, right, bottom) for left, right in itertools.pairwise(lefts)]
        for top, bottom in itertools.pairwise(tops)
    ]


def _cuts(start: int, end: int, parts: int) -> list[int]:
    """Where to cut start..end into at most so many parts, none of them empty."""
    parts = min(parts, end - start)
    return [start + (end - start) * k // parts for k in range(parts + 1)]


def share(threads: int, tiles: int) -> tuple[int, int]:
    """How to use `threads` threads to refine a picture of so many tiles: (workers, threads within each)."""
    workers = max(1, min(threads, tiles, MAX_WORKERS))
    return workers, -(-threads // workers)


def spread(threads: int, tiles: int) -> tuple[int, int]:
    """The same to code it in one pass: threads share a tile where there are two for each."""
    return (tiles, threads // tiles) if 2 * tiles <= threads else (threads, 1)


class _Interrupt:
    """Of a pool: whether its user was interrupted, and how to end what its workers are at."""

    def __init__(self) -> None:
        self.lock, self.come, self.ends = threading.Lock(), False, list[Callable[[], None]]()

    def comes(self) -> None:
        with self.lock:
            self.come = True
            for end in self.ends:
                end()


_worker = threading.local()


@contextmanager
def interruptible(end: Callable[[], None]) -> Iterator[None]:
    """Where the block is the work of a `pool` whose user is interrupted, `end` is called, in another thread.

    Raises:
        CancelledError: when that was before.
    """
    interrupt = getattr(_worker, "interrupt", None)
    if interrupt is None:
        yield
        return
    with interrupt.lock:
        if interrupt.come:
            raise CancelledError
        interrupt.ends.append(end)
    try:
        yield
    finally:
        with interrupt.lock:
            interrupt.ends.remove(end)


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    """A pool of threads which, when the block is left by an error, drops the jobs that have not begun.

    An interrupt does not wait for those that have, either: nobody will look at what they give. Long ones end
    soon (`interruptible`), but for the one that fits a file's own taps (some seconds for a large picture):
    Python waits for them when it exits.
    """
    interrupt, wait = _Interrupt(), True
    executor = ThreadPoolExecutor(
        workers, "calotype", initializer=setattr, initargs=(_worker, "interrupt", interrupt)
    )
    try:
        yield executor
    except KeyboardInterrupt:
        wait = False
        interrupt.comes()
        raise
    finally:
        executor.shutdown(wait=wait, cancel_futures=True)
