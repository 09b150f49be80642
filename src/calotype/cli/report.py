"""What the commands print: one line per file for people, one JSON object per file for programs."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from calotype.errors import describe


def complain(source: str | None, error: BaseException) -> None:
    """Print one line on stderr: ``calotype: FILE: what is wrong``."""
    print(f"calotype: {describe(error, source)}", file=sys.stderr, flush=True)


def print_json(record: dict[str, Any], stream: TextIO | None = None) -> None:
    """Print one JSON object on a line. What JSON has no word for (infinity) becomes null."""
    import json  # late: a command that prints lines for people takes no part of it

    print(json.dumps(_finite(record), allow_nan=False), file=stream or sys.stdout, flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
