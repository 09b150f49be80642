"""Every system of the laboratory by name: ``names()``, ``entry(name)``, ``build(name, **config)``.

A system is one file in `calotype.lab.models` with a dictionary ``SYSTEMS`` of names and entries; no other
registration is needed.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import warnings
from functools import cache
from typing import Any

from calotype.errors import CalotypeError
from calotype.lab import models
from calotype.lab.models.base import Entry, System
from calotype.lab.sizes import checked_arguments, out_of_memory


class UnknownModel(CalotypeError):
    """No system of that name, or no such option."""


@cache
def _entries() -> dict[str, Entry]:
    """The ``SYSTEMS`` of every file in `calotype.lab.models`, by the year in the file's name."""
    found: dict[str, Entry] = {}
    files = [module.name for module in pkgutil.iter_modules(models.__path__)]
    for file in sorted(files, key=lambda name: (re.findall(r"\d{4}", name) or ["9999"], name)):
        systems: dict[str, Entry] = getattr(
            importlib.import_module(f"{models.__name__}.{file}"), "SYSTEMS", {}
        )
        if twice := found.keys() & systems.keys():
            raise ValueError(f"{file}.py: another file has a system called {min(twice)!r}")
        found |= systems
    return found


def names(kind: type[System] = System) -> list[str]:
    """The systems whose models are of a kind (by default all), in order of publication."""
    return [name for name, found in _entries().items() if issubclass(found.model, kind)]


def entry(name: str) -> Entry:
    """The entry of a system.

    Raises:
        UnknownModel: with the nearest name.
    """
    if name not in _entries():
        near = [n for n in _entries() if name and n.startswith(name)]
        near = near or difflib.get_close_matches(name, _entries(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else "; see calotype lab list"
        raise UnknownModel(f"no model is called {name!r}{hint}")
    return _entries()[name]


def build(name: str, **config: Any) -> System:
    """A model with fresh weights; ``config`` overrides the published sizes.

    Raises:
        UnknownModel: for a name that is not listed, an option that the system does not have, a value of
            the wrong kind, or sizes that need more memory than there is.
    """
    cls = entry(name).model
    known = inspect.signature(cls).parameters
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    if not anything and (unknown := [option for option in config if option not in known]):
        raise UnknownModel(f"model {name!r} has no size {unknown[0]!r}; it has {', '.join(known)}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # an error below
            model = cls(**checked_arguments(cls, {**entry(name).config, **config}))
    except ValueError as error:
        raise UnknownModel(f"model {name!r}: {error}") from None
    except (RuntimeError, TypeError, ArithmeticError, LookupError, MemoryError) as error:  # deep inside torch
        if out_of_memory(error):
            raise UnknownModel(f"model {name!r}: not enough memory to build it with these sizes") from error
        reason = str(error).partition("\n")[0]
        raise UnknownModel(f"model {name!r}: cannot be built with these sizes ({reason})") from error
    if empty := [key for key, p in model.named_parameters() if not p.numel()]:  # half of 1 channel is none
        raise UnknownModel(f"model {name!r}: too small; there is nothing left of {empty[0]!r}")
    model.name = name
    return model
