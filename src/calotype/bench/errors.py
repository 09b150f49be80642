"""The benchmark's own error: one line that says what is wrong and what to do."""

from __future__ import annotations

from calotype.errors import CalotypeError


class BenchError(CalotypeError):
    """A benchmark cannot be started or reported: unknown codec, no pictures, a folder that is not a run."""
