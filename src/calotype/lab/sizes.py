"""Checks of what people give as sizes and options: of the right kind, or one line that names the option;
and whether an error says that memory ran out, which sizes of the right kind can lead to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

MAY_BE_ZERO = (
    "context", "couplings", "diffuse", "partition", "prime", "render_layers", "support", "target", "truncate"
)  # fmt: skip
"""Whole numbers of the systems for which 0 means "none"; all others count something."""
WORDS = {"true": True, "false": False, "1": True, "0": False}


def truth(value: Any) -> Any:
    """A bool for true, false, True, False, 1 and 0, given as text or not; anything else as it is.

    "False" is a word that JSON does not know; as text it would count as true.
    """
    return WORDS.get(str(value).lower(), value) if isinstance(value, bool | int | str) else value


def checked(name: str, value: Any, like: Any, *, zero: bool = False, length: int | None = None) -> Any:
    """``value``, if it is of the kind of ``like``; only words for a bool are converted.

    Kinds: bool; whole number of at least 1; finite number above 0; text; mapping; list of one of these.
    ``zero``: numbers may be 0.  ``length``: of a list; any by default.

    Raises:
        ValueError: names the option, what it must be and what was given.
    """

    def refuse(must: str) -> ValueError:
        return ValueError(f"{name} must be {must}, got {value!r}")

    if isinstance(like, bool):
        if not isinstance(truth(value), bool):
            raise refuse("true or false")
        return truth(value)
    if isinstance(like, int | float):
        if not _number(value, type(like), zero):
            raise refuse(_words(like, zero))
    elif isinstance(like, str):
        if not isinstance(value, str):
            raise refuse("text")
    elif isinstance(like, Mapping):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise refuse("an object of names and values")
    elif isinstance(like, list | tuple):
        what = f"a list of {'' if length is None else f'{length} '}numbers, each {_words(like[0], zero)}"
        if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
            raise refuse(what)
        if not all(_number(v, type(like[0]), zero) for v in value):
            raise refuse(what)
    return value


def _number(value: Any, kind: type, zero: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return False
    try:
        return math.isfinite(value) and (value >= 0 if zero else value > 0)
    except OverflowError:  # a whole number beyond all floats
        return False


def _words(like: float, zero: bool) -> str:
    if isinstance(like, int):
        return f"a whole number of at least {int(not zero)}"
    return "a finite number of at least 0" if zero else "a finite number above 0"


def checked_arguments(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a model's class, each `checked` against its default.

    An annotation ``tuple[int, int]`` fixes a list's length; ``tuple[int, ...]`` and ``list[int] | None``
    leave it to the class.  Names that the class does not have are left to the caller.

    Raises:
        ValueError: as `checked`.
    """
    known = inspect.signature(cls).parameters
    found = dict(given)
    for name, value in given.items():
        if name not in known or known[name].kind is inspect.Parameter.VAR_KEYWORD:
            continue
        like, note = known[name].default, str(known[name].annotation)
        if like is None:
            if value is None:
                continue
            like = [1] if note.startswith("list[int]") else ""
        fixed = isinstance(like, tuple) and "..." not in note
        zero = name in MAY_BE_ZERO
        found[name] = checked(name, value, like, zero=zero, length=len(like) if fixed else None)
    return found


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the machine or of a GPU, ran out.

    torch has no class of its own for memory of the CPU, nor for what the libraries of a GPU report.
    """
    words = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)
