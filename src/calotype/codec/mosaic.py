"""An array over the picture's latents that exists in pieces, a few rows of them at a time.

The encoder's y is made window by window and read tile by tile; the decoder's y_hat is made tile by tile and
read window by window. Both are a mosaic.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import tiles

Floats = NDArray[np.float32]
Result = TypeVar("Result")


class Mosaic:
    """An array [1, C, h, w] made of pieces.

    boxes: where the pieces are, in latents; together they hold all that is read
    make:  gives the array [1, C, h, w] of piece number k; called at most once each, from any worker
    """

    def __init__(self, boxes: Sequence[Box], make: Callable[[int], Floats]) -> None:
        self.boxes, self.make = boxes, make
        self._edges = np.array(boxes)

    def read(
        self, pool: Executor, rows: Sequence[Sequence[Box]], use: Callable[[int, Floats], Result]
    ) -> Iterator[Result]:
        """``use(n, array [1, C, h, w] of box n)`` for boxes in rows, by the workers of `pool`.

        Returns the results in order.
        Pieces are made when a row first needs them, and dropped after the last row in succession that does.
        """
        pieces: dict[int, Future[Floats]] = {}
        before: list[Future[Result]] = []
        number = itertools.count()
        for row in rows:
            needed = [self._under(box) for box in row]
            # In this order, so that no worker waits for a piece that none has begun.
            for k in sorted(set().union(*needed) - pieces.keys()):
                pieces[k] = pool.submit(self.make, k)
            jobs = [
                pool.submit(self._use, next(number), box, {k: pieces[k] for k in under}, use)
                for box, under in zip(row, needed)
            ]
            for job in before:
                yield job.result()
            before = jobs
            pieces = {k: pieces[k] for under in needed for k in under}
        for job in before:
            yield job.result()

    def _under(self, box: Box) -> list[int]:
        """The numbers of the pieces that a box touches."""
        left, top, right, bottom = self._edges.T
        touch = (left < box.right) & (right > box.left) & (top < box.bottom) & (bottom > box.top)
        return [int(k) for k in np.flatnonzero(touch)]

    def _use(
        self, number: int, box: Box, pieces: dict[int, Future[Floats]], use: Callable[[int, Floats], Result]
    ) -> Result:
        if len(pieces) == 1:
            ((k, piece),) = pieces.items()
            return use(number, np.ascontiguousarray(piece.result()[tiles.inside(box, self.boxes[k])]))
        out: Floats | None = None
        for k, piece in pieces.items():
            array = piece.result()
            if out is None:
                out = np.empty((1, array.shape[1], box.height, box.width), np.float32)
            both = tiles.common(self.boxes[k], box)
            out[tiles.inside(both, box)] = array[tiles.inside(both, self.boxes[k])]
        assert out is not None
        return use(number, out)
