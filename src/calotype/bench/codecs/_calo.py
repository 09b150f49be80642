"""What may follow the colon in ``calotype:...``."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from calotype.bench.errors import BenchError


def configured(codec: Any, argument: str) -> Any:
    """The codec with another pack or effort. Raises BenchError."""
    from calotype.codec import library  # late: it opens packs

    other, (key, equals, value) = copy.copy(codec), argument.partition("=")
    other.name = f"{codec.name}:{argument if equals else Path(argument).stem}"
    if not equals and argument in library.TUNES:
        other.pack = library.tuned(argument)
        other.settings = codec.settings.replace("for eyes", f"for {argument}")
    elif not equals:
        other.pack = argument
        other.settings = codec.settings.replace("the pack that ships for eyes", f"pack {argument}")
    elif key == "effort" and value.isdecimal() and int(value) <= 9:
        other.effort = int(value)
        other.settings = codec.settings.replace("default effort", f"effort {value}")
    else:
        raise BenchError(f"codec {codec.name}: takes psnr, a pack or effort=0..9, not {argument!r}")
    return other
