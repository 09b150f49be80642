"""Arrays in pieces: what is read is what was made, each piece once, and only as long as it is needed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bitstream import Box
from calotype.codec import tiles
from calotype.codec.mosaic import Mosaic


def grid(width: int, height: int, columns: int, rows: int) -> list[list[Box]]:
    """A box cut into so many columns and rows."""
    x, y = tiles._cuts(0, width, columns), tiles._cuts(0, height, rows)
    return [[Box(a, b, c, d) for a, c in pairwise(x)] for b, d in pairwise(y)]


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.tuples(*[st.integers(1, 5)] * 4),
    st.integers(0, 4),
    st.integers(1, 3),
    st.sampled_from([2, 0]),
)
def test_reading_gives_what_was_made(
    width: int, height: int, counts: tuple[int, int, int, int], margin: int, workers: int, axis: int
) -> None:
    """Rows and columns may be the last axes, as in y [1, M, h, w], or the first, as in y_hat [h, w, M]."""
    whole = np.arange(2 * height * width, dtype=np.float32).reshape(1, 2, height, width)
    if not axis:
        whole = whole[0].transpose(1, 2, 0)
    bounds = Box(0, 0, width, height)
    pieces = [box for row in grid(width, height, *counts[:2]) for box in row]
    rows = [[tiles.grow(box, margin, bounds) for box in row] for row in grid(width, height, *counts[2:])]
    made = []

    def make(k: int) -> np.ndarray:
        made.append(k)
        return whole[at(pieces[k])]

    def at(box: Box) -> tuple[slice, ...]:
        return (slice(None),) * axis + tiles.inside(box, bounds)[1:]

    with ThreadPoolExecutor(workers) as pool:
        got = list(
            Mosaic(pieces, make, axis).read(pool, rows, lambda n, array: (n, np.array(array)), workers)
        )
    boxes = [box for row in rows for box in row]
    assert [n for n, _ in got] == list(range(len(boxes)))
    assert all(np.array_equal(array, whole[at(boxes[n])]) for n, array in got)
    assert sorted(made) == list(range(len(pieces)))


def test_pieces_that_nobody_reads_are_not_made() -> None:
    pieces = grid(8, 8, 2, 2)

    def make(k: int) -> np.ndarray:
        assert k == 3
        return np.full((1, 1, 4, 4), 7, np.float32)

    with ThreadPoolExecutor(1) as pool:
        read = Mosaic([box for row in pieces for box in row], make, 2).read(
            pool, [[Box(5, 4, 8, 6)]], lambda _, array: float(array.sum()), 1
        )
        assert list(read) == [7 * 6]


def test_an_error_in_a_piece_reaches_the_reader() -> None:
    def make(k: int) -> np.ndarray:
        raise ValueError(f"piece {k}")

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="piece 0"):
        list(Mosaic([Box(0, 0, 2, 2)], make, 2).read(pool, [[Box(0, 0, 1, 1)]], lambda *_: None, 1))


def test_no_worker_waits_while_a_later_row_needs_a_piece() -> None:
    """A row of one piece would keep one worker at it, and the others waiting for it."""
    pieces = grid(4, 8, 1, 2)
    together = threading.Barrier(2)

    def make(k: int) -> np.ndarray:
        together.wait(60)  # raises unless both are made at a time
        return np.full((1, 1, 4, 4), k, np.float32)

    rows = [[Box(0, 4 * k, 4, 4 * k + 2), Box(0, 4 * k + 2, 4, 4 * k + 4)] for k in range(2)]
    with ThreadPoolExecutor(2) as pool:
        read = Mosaic([box for row in pieces for box in row], make, 2).read(
            pool, rows, lambda n, a: a.mean(), 2
        )
        assert list(read) == [0, 0, 1, 1]
