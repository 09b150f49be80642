"""An array over the picture's latents that exists in pieces, a few rows of them at a time.

The encoder's y is made window by window and read tile by tile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import tiles

Floats = NDArray[np.float32]
Piece = TypeVar("Piece", bound=NDArray[Any])
Result = TypeVar("Result")


class Mosaic(Generic[Piece]):
    """An array over latents made of pieces.

    boxes: where the pieces are, in latents; together they hold all that is read
    make:  gives the array of piece number k; called at most once each, from any worker
    rows:  the arrays' axis of rows, which that of columns follows
    """

    def __init__(self, boxes: Sequence[Box], make: Callable[[int], Piece], rows: int) -> None:
        self.boxes, self.make, self.before = boxes, make, (slice(None),) * rows
        self._edges = np.array(boxes)

    def read(
        self,
        pool: Executor,
        rows: Sequence[Sequence[Box]],
        use: Callable[[int, Piece], Result],
        workers: int,
    ) -> Iterator[Result]:
        """``use(n, array of box n)`` for boxes in rows, by so many workers, those of `pool`.

        Returns the results in order.
        Pieces are made when a row first needs them, or earlier if there are fewer than workers; they are
        dropped after the last row in succession that needs them.
        """
        pieces: dict[int, Future[Piece]] = {}
        before: list[Future[Result]] = []
        number = itertools.count()
        needed = [[self._under(box) for box in row] for row in rows]
        for n, row in enumerate(rows):
            # In this order, so that no worker waits for a piece that none has begun.
            wanted: set[int] = set()
            for later in needed[n:]:
                if wanted and len(wanted) >= workers:
                    break
                wanted.update(*later)
            pieces = {k: pieces.get(k) or pool.submit(self.make, k) for k in sorted(wanted)}
            jobs = [
                pool.submit(self._use, next(number), box, {k: pieces[k] for k in under}, use)
                for box, under in zip(row, needed[n])
            ]
            for job in before:
                yield job.result()
            before = jobs
        for job in before:
            yield job.result()

    def _under(self, box: Box) -> list[int]:
        """The numbers of the pieces that a box touches."""
        left, top, right, bottom = self._edges.T
        touch = (left < box.right) & (right > box.left) & (top < box.bottom) & (bottom > box.top)
        return [int(k) for k in np.flatnonzero(touch)]

    def _use(
        self, number: int, box: Box, pieces: dict[int, Future[Piece]], use: Callable[[int, Piece], Result]
    ) -> Result:
        if len(pieces) == 1:
            ((k, piece),) = pieces.items()
            part: Any = np.ascontiguousarray(piece.result()[self._inside(box, self.boxes[k])])
            return use(number, part)
        out: Any = None
        for k, piece in pieces.items():
            array = piece.result()
            if out is None:
                before, after = array.shape[: len(self.before)], array.shape[len(self.before) + 2 :]
                out = np.empty((*before, box.height, box.width, *after), array.dtype)
            both = tiles.common(self.boxes[k], box)
            out[self._inside(both, box)] = array[self._inside(both, self.boxes[k])]
        assert out is not None
        return use(number, out)

    def _inside(self, box: Box, outer: Box) -> tuple[slice, ...]:
        """Where `box` is in an array that holds `outer`."""
        return self.before + tiles.inside(box, outer)[1:]
