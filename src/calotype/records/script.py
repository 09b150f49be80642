"""What all that makes results or pages shares: options, a line for what is wrong, stored results, folders."""

from __future__ import annotations

import argparse
import errno
import functools
import inspect
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from calotype.errors import CalotypeError, describe

P = ParamSpec("P")
T = TypeVar("T")


def guarded(main: Callable[P, int | None]) -> Callable[P, int]:
    """``main`` of a script: what is wrong with its input is one line on standard error and exit status 1."""

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs) or 0
        except (CalotypeError, OSError, ValueError) as error:
            print(f"{_name(Path(inspect.getfile(main)))}: {describe(error)}", file=sys.stderr, flush=True)
            return 1

    return run


def made_of(path: Path, make: Callable[[Any], T]) -> T:
    """What ``make`` makes of a stored JSON file.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is not JSON, or not what ``make`` needs.
    """
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot be used: {_why(error)}") from error


def by_points(record: dict[str, Any]) -> str:
    """A record with ``points`` as JSON, a line for each of them."""
    points = ",\n  ".join(json.dumps(p) for p in record["points"])
    head = json.dumps({k: v for k, v in record.items() if k != "points"}, indent=1)
    return head[:-2] + ',\n "points": [\n  ' + points + "\n ]\n}\n"


def parser_of(file: str, about: str | None, **more: Any) -> argparse.ArgumentParser:
    """The parser of a module with these ``__file__`` and ``__doc__``: named after how it is run, described as
    the docstring is written.  No abbreviated options: they break when an option is added.

    more: for `argparse.ArgumentParser`, such as ``epilog``
    """
    return argparse.ArgumentParser(
        prog=" ".join(_run(Path(file))),
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )


def run_as(file: str, arguments: Sequence[str] | None) -> list[str]:
    """The command that ``main(arguments)`` of the module with this ``__file__`` was run by; None: those of
    this process.
    """
    return [*_run(Path(file)), *(sys.argv[1:] if arguments is None else arguments)]


def usable(folder: Path) -> None:
    """Refuse a folder for results before there are any, if it cannot be made; makes nothing.

    Raises:
        NotADirectoryError: when a file has its name, or that of a folder above it.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file, not a folder", str(there))


def _run(file: Path) -> list[str]:
    """What runs a module: by its name where it is in a package, else by its file."""
    parts, folder = [] if file.stem == "__main__" else [file.stem], file.resolve().parent
    while (folder / "__init__.py").is_file():
        parts, folder = [folder.name, *parts], folder.parent
    inside = folder != file.resolve().parent
    return ["python", "-m", ".".join(parts)] if inside else ["python", f"{folder.name}/{file.name}"]


def _name(file: Path) -> str:
    """What people call a script: the module's name where it is run as that."""
    run = _run(file)
    return run[-1] if "-m" in run else file.name


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)
