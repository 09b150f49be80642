"""What may follow the colon in ``calotype:...``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError


def configured(codec: Any, argument: str) -> Any:
    """The codec with another pack or effort. Raises BenchError."""
    other, (key, equals, value) = copy.copy(codec), argument.partition("=")
    other.name = f"{codec.name}:{argument if equals else Path(argument).stem}"
    if not equals:
        other.pack, other.settings = (
            argument,
            codec.settings.replace("the pack that ships", f"pack {argument}"),
        )
    elif key == "effort" and value.isdecimal() and int(value) <= 9:
        other.effort = int(value)
        other.settings = codec.settings.replace("default effort", f"effort {value}")
    else:
        raise BenchError(f"codec {codec.name}: takes a pack or effort=0..9, not {argument!r}")
    return other
