"""Work that Ctrl-C ends at once: another thread does it, and the main one, which hears signals, waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """Do ``work`` in another thread; give what it gives, raise what it raises, or an interrupt meanwhile.

    A thread that is deep in a network hears of no signal until it is out again. The command then ends around
    it (:mod:`calotype.cli`)."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="calotype")
    try:
        return pool.submit(work).result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
