"""The codecs of the benchmark: every file of this folder that has a list CODECS. No other registration is
needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path

from calotype.bench.codecs.base import Codec
from calotype.bench.errors import BenchError

__all__ = ["Codec", "every", "expand", "get"]


@cache
def every() -> dict[str, Codec]:
    """All known codecs by name, usable here or not."""
    found: dict[str, Codec] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        if not module.startswith("_") and module != "base":
            for codec in importlib.import_module(f"{__name__}.{module}").CODECS:
                found[codec.name] = codec
    return found


def get(spec: str) -> Codec:
    """The codec that `spec` means: ``name``, ``name:argument`` or ``path/to/file.py:name``.

    Raises BenchError when there is none.
    """
    if ".py" in spec:
        file, _, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
        codecs = {codec.name: codec for codec in _from_file(file)}
        if name and name not in codecs:
            raise BenchError(f"{file} has no codec {name!r}; it has {', '.join(codecs)}")
        return codecs[name] if name else next(iter(codecs.values()))
    name, _, argument = spec.partition(":")
    if name not in every():
        raise BenchError(f"unknown codec {name!r}; `calotype bench list` names them all")
    codec = every()[name]
    if not argument:
        return codec
    try:
        return codec.configured(argument)
    except BenchError:
        raise
    except Exception as error:  # a checkpoint that does not load: one line, not a traceback
        raise BenchError(f"{spec}: {type(error).__name__}: {error}") from error


def expand(wanted: list[str]) -> list[str]:
    """Turn what the user asked for into specs for get(): names, families, ``default``, ``all``, files.

    `default` is every codec that is usable here and not slow; `all` is every codec, usable or not.
    """
    specs: list[str] = []
    for word in wanted:
        members = [c.name for c in every().values() if c.family == word]
        if word == "default":
            specs += [c.name for c in every().values() if not c.slow and c.available()]
        elif word == "all":
            specs += [name for name in every() if name != "lab"]
        elif word.endswith(".py"):
            specs += [f"{word}:{codec.name}" for codec in _from_file(word)]
        elif word not in every() and members:
            specs += members
        else:
            specs.append(word)
    if not specs:
        raise BenchError("no codec to run: name some with --codecs, see `calotype bench list`")
    return list(dict.fromkeys(specs))


@cache
def _from_file(path: str) -> list[Codec]:
    if not Path(path).is_file():
        raise BenchError(f"no such codec file: {path}")
    spec = importlib.util.spec_from_file_location(f"calotype_bench_{Path(path).stem}", path)
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return list(module.CODECS)
    except Exception as error:
        raise BenchError(f"{path}: {type(error).__name__}: {error}") from error
