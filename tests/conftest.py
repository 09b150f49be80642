"""Settings and fixtures shared by all tests."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No deadline: a time limit per example fails on a busy machine. Derandomized: the same examples in every run.
settings.register_profile("calotype", deadline=None, derandomize=True)
settings.load_profile("calotype")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes that the test starts hear SIGINT even where it is ignored: a shell without a terminal starts
    background jobs so, and children inherit it.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
