"""The benchmark's own error, one line that says what is wrong and what to do, and what helps to write it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from calotype.errors import CalotypeError


class BenchError(CalotypeError):
    """A benchmark cannot be started or reported: unknown codec, no pictures, a folder that is not a run."""


def one_line(error: BaseException) -> str:
    """What an error of any library says, on one line, without addresses of objects in memory."""
    text = re.sub(r"<[\w.]+ object at 0x[0-9a-fA-F]+>", "the data", str(error)).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` for a name that is not among the known ones, or nothing."""
    near = difflib.get_close_matches(word, list(known), 2, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
