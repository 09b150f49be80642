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
from calotype.bench.errors import BenchError, nearest, one_line

__all__ = ["Broken", "Codec", "every", "expand", "get", "state"]


@cache
def every() -> dict[str, Codec]:
    """All known codecs by name, usable here or not."""
    found: dict[str, Codec] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        if not module.startswith("_") and module != "base":
            try:
                codecs = list(importlib.import_module(f"{__name__}.{module}").CODECS)
            except (Exception, SystemExit) as error:
                codecs = [Broken(f"{module}.py", error)]
            found.update({codec.name: codec for codec in codecs})
    return found


class Broken(Codec):
    """Stands for a file of codecs that cannot be imported: reported as missing, so that the others run."""

    family, quality_unit, qualities = "broken", "", ()

    def __init__(self, file: str, error: BaseException) -> None:
        self.name, self.settings, self.install = Path(file).stem, file, f"mend {file}"
        self.reason = f"{file} cannot be imported: {one_line(error)}"

    def missing(self) -> str | None:
        return self.reason


def state(codec: Codec) -> tuple[str | None, str]:
    """(why the codec cannot run here, or None; its version). Whatever it raises is the reason."""
    try:
        reason = codec.missing()
    except Exception as error:
        return f"asking what it lacks failed: {one_line(error)}", ""
    if reason is not None:
        return reason, ""
    try:
        return None, codec.version()
    except Exception as error:
        return f"asking its version failed: {one_line(error)}", ""


def get(spec: str) -> Codec:
    """The codec that `spec` means: ``name``, ``name:argument`` or ``path/to/file.py:name``.

    Raises BenchError when there is none.
    """
    if ".py" in spec:
        file, _, name = spec.rpartition(":") if ".py:" in spec else (spec, "", "")
        found = _from_file(file)
        if isinstance(found[0], Broken):
            return found[0]
        codecs = {codec.name: codec for codec in found}
        if name and name not in codecs:
            raise BenchError(f"{file} has no codec {name!r}; it has {', '.join(codecs)}")
        return codecs[name] if name else found[0]
    name, _, argument = spec.partition(":")
    if name not in every():
        families = {codec.family for codec in every().values()}
        hint = nearest(name, {*every(), *families})
        raise BenchError(f"unknown codec {name!r}{hint or '; `calotype bench list` names them all'}")
    codec = every()[name]
    if not argument:
        return codec
    try:
        return codec.configured(argument)
    except BenchError:
        raise
    except Exception as error:  # a checkpoint that does not load: one line, not a traceback
        raise BenchError(f"{spec}: {one_line(error)}") from error


def expand(wanted: list[str]) -> list[str]:
    """Turn what the user asked for into specs for get(): names, families, ``default``, ``all``, files.

    `default` is every codec that is usable here and not slow; `all` is every codec, usable or not.
    """
    specs: list[str] = []
    for word in wanted:
        members = [c.name for c in every().values() if c.family == word]
        if word == "default":
            specs += [c.name for c in every().values() if not c.slow and state(c)[0] is None]
        elif word == "all":
            specs += [name for name in every() if name != "lab"]
        elif word.endswith(".py"):
            found = _from_file(word)
            specs += [word] if isinstance(found[0], Broken) else [f"{word}:{c.name}" for c in found]
        elif word not in every() and members:
            specs += members
        else:
            specs.append(word)
    if not specs:
        raise BenchError("no codec to run: name some with --codecs, see `calotype bench list`")
    return list(dict.fromkeys(specs))


@cache
def _from_file(path: str) -> tuple[Codec, ...]:
    """The codecs of a file of the user's; one Broken when it cannot be imported."""
    if not Path(path).is_file():
        raise BenchError(f"no such codec file: {path}")
    spec = importlib.util.spec_from_file_location(f"calotype_bench_{Path(path).stem}", path)
    assert spec is not None  # a .py file always has a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return tuple(module.CODECS) or (Broken(path, ValueError("its list CODECS is empty")),)
    except (Exception, SystemExit) as error:
        return (Broken(path, error),)
