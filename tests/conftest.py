"""Settings and fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# No deadline: a time limit per example fails on a busy machine. Derandomized: the same examples in every run.
# `make nightly` asks for more of them.
EXAMPLES = int(os.environ.get("CALOTYPE_EXAMPLES", "25"))
settings.register_profile("calotype", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("calotype")

if TYPE_CHECKING:
    from calotype.codec.pack import Pack

TINY = Path(__file__).parent / "data" / "tiny" / "tiny.zip"


def every(n: int, values: Iterable[Any]) -> list[Any]:
    """Values of a parameter, or tuples for several: the first and every `n`-th after it in `make test`, the
    others in `make nightly`. By place: for values that are alike, or with those first that differ most.
    """
    found = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*value, marks=[pytest.mark.slow] if k % n else []) for k, value in enumerate(found)]


def pytest_collection_finish() -> None:
    """What the tests import stays: nobody needs to look through it for garbage again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny() -> Pack:
    """A small pack of the codec's own kind (tests/data/tiny/make.py)."""
    from calotype.codec.pack import Pack

    return Pack(TINY)


@pytest.fixture
def tiny_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the tiny pack decode without naming it."""
    monkeypatch.setenv("CALOTYPE_PACKS", str(TINY.parent))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes that the test starts hear SIGINT even where it is ignored: a shell without a terminal starts
    background jobs so, and children inherit it.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
