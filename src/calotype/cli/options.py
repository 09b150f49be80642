"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any, NoReturn

MAX_PIXELS = 178_956_970
"""Pillow's own limit, twice its MAX_IMAGE_PIXELS, for what does without Pillow."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parser(command: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser for ``calotype COMMAND``. No abbreviated options: they break when an option is added."""
    return _Parser(
        prog=f"calotype {command}",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=_Formatter,
    )


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, without the usage of many."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see '{self.prog} --help'\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal.

    argparse makes a formatter for each option, even where no help is asked for, and would import ``shutil``
    to know the width: that takes longer than to read the command line.
    """

    def __init__(self, prog: str, *, width: int | None = None, **options: Any) -> None:
        super().__init__(prog, width=width or _columns() - 2, **options)


def _columns() -> int:
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) > 0:
        return int(columns)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # there is none
        return 80


def parse(options: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Read a command line on which files and options may alternate; after ``--`` there are only files.

    argparse's own reading of such lines loses what comes after ``--``."""
    if "--" in arguments:
        at = arguments.index("--")
        files = [
            f"./{path}" if path.startswith("-") and path != "-" else path for path in arguments[at + 1 :]
        ]
        arguments = [*arguments[:at], *files]
    return options.parse_intermixed_args(arguments)


def add_files(options: argparse.ArgumentParser, what: str, output: str) -> None:
    """The arguments and options of the commands that turn files into files."""
    options.add_argument(
        "paths", nargs="+", metavar="IN", help=f"{what}, folders or globs; '-' is standard input"
    )
    options.add_argument("-o", "--output", metavar="OUT", help=output)
    options.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    options.add_argument("-r", "--recursive", action="store_true", help="folders with all folders in them")
    options.add_argument("-w", "--workers", type=count, metavar="N", help="files worked on at a time")
    options.add_argument("--json", action="store_true", help="one JSON object per file on standard output")
    options.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_max_pixels(options)


def add_max_pixels(options: argparse.ArgumentParser) -> None:
    """The limit that guards against decompression bombs."""
    options.add_argument(
        "--max-pixels",
        type=size,
        metavar="N",
        help="refuse pictures with more pixels, such as 500M; the default is Pillow's limit, 179 million",
    )


def add_max_metadata(options: argparse.ArgumentParser) -> None:
    """The limit on what .calo files hold beside pixels, deflated: a bomb as well."""
    options.add_argument(
        "--max-metadata",
        type=size,
        metavar="SIZE",
        help="refuse files with more bytes of ICC profile, EXIF and XMP, such as 64M; default: 16 MiB",
    )


def prepare_pillow(max_pixels: int | None) -> None:
    """Let Pillow read up to ``max_pixels`` pixels (None: its own limit), and keep its warnings off stderr.

    This is for the whole process, which the command line owns."""
    import warnings

    from PIL import Image

    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = max(1, max_pixels // 2)  # Pillow refuses what is more than twice this


def size(text: str) -> int:
    """``40000``, ``40k``, ``40kB`` (thousands), ``40KiB`` (times 1024), ``1.5M``: at least 1."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", text.strip().lower())
    value = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 40000, 40k or 1.5M")
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def frame(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a frame, from 0")
    return int(text)


def number(low: float, high: float) -> Any:
    """A reader of numbers from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return read


def pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE`` as two.  Raises ValueError for anything else."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"expected KEY=VALUE, got {text!r}")
    return key, value


def region(text: str) -> tuple[int, int, int, int]:
    """``x,y,w,h`` in pixels as (left, top, right, bottom)."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.replace(" ", ""))
    if not match or not int(match[3]) or not int(match[4]):
        raise argparse.ArgumentTypeError(f"{text!r} is not x,y,w,h in pixels, such as 0,0,640,480")
    x, y, w, h = map(int, match.groups())
    return x, y, x + w, y + h


def colour(text: str) -> tuple[int, int, int]:
    """A colour by its name or numbers, as in CSS: ``white``, ``#808080``, ``rgb(255, 128, 0)``."""
    from PIL import ImageColor  # late: few need it

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a colour such as white or #808080") from None
    return red, green, blue


def words(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [word for word in (w.strip() for w in text.split(",")) if word]
