"""The options of ``calotype bench`` and what they become."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from calotype.cli.options import count, parser, words
from calotype.errors import CalotypeError

if TYPE_CHECKING:
    from calotype.bench.report import Look
    from calotype.bench.settings import Settings

EXAMPLES = """\
other forms:
  calotype bench list                       codecs and metrics, and what is missing
  calotype bench report DIR [--anchor NAME] draw the report of a run again
  calotype bench blind DIR CODEC OTHER      a page to choose blindly between two codecs

examples:
  calotype bench photos/ --codecs calotype,avif,jpeg --out results
  calotype bench a.png b.png --codecs webp,jxl --qualities webp=20,50,80 --qualities jxl=1,2,4 --out results
  calotype bench photos/ --codecs default,vvc,lab:runs/a --metrics basic,jpegai --out results --resume
"""


def bench_parser() -> argparse.ArgumentParser:
    options = parser("bench", "Measure codecs on pictures: rate, quality, time and memory.", EXAMPLES)
    add = options.add_argument
    add("images", nargs="+", metavar="IMAGE", type=Path, help="pictures, or folders of pictures")
    add("-r", "--recursive", action="store_true", help="pictures in folders of folders too")
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for journal, results, report")
    codecs = "names, families, 'default', 'all', lab:CHECKPOINT, FILE.py"
    add("--codecs", default="default", metavar="LIST", help=codecs)
    quality = "quality settings, for one codec or family, or for all"
    add("--qualities", action="append", metavar="[CODEC=]LIST", help=quality)
    metrics = "names, 'basic', 'jpegai' (its seven), 'eyes' (perceptual ones) or 'all'; default: basic"
    add("--metrics", metavar="LIST", help=metrics)
    add("--resume", action="store_true", help="go on with the run in DIR, measuring only what it has not")
    only = "with --resume: leave codecs of earlier runs in DIR that are not asked for now out of the results"
    add("--only", action="store_true", help=only)
    add("--retry-failed", action="store_true", help="with --resume: try again what failed")
    add("--workers", type=count, metavar="N", help="measurements made at a time; default: one per core")
    add("--engine", choices=("local", "ray"), default="local", help="this machine, or a Ray cluster")
    address = "a running cluster ('auto' finds one); else a local one is started"
    add("--ray-address", metavar="HOST:PORT", help=address)
    add("--timeout", type=float, default=600.0, metavar="S", help="seconds for one measurement; default: 600")
    repeats = "timed runs after the first in the main pass; default: 0"
    add("--repeats", type=int, default=0, metavar="N", help=repeats)
    timing = "pictures of the undisturbed timing pass; default: 3, 0: none"
    add("--timing", type=int, default=3, metavar="N", help=timing)
    shown = "how many pictures are shown side by side, or which; default: 3, 0: none"
    add("--pictures", default="3", metavar="N|LIST", help=shown)
    add("--picture-bpp", default="0.25", metavar="LIST", help="rates they are shown at; default: 0.25")
    add("--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html and figures")
    add_look(options)
    return options


def add_look(options: argparse.ArgumentParser) -> None:
    """Options of everything that writes the report."""
    add = options.add_argument
    add("--anchor", metavar="NAME", help="codec that the report compares with at first")
    side = "the report shows this much of the middle of pictures; default: 768x768"
    add("--picture-size", default="768x768", metavar="WxH", help=side)
    stored = "AVIF quality of the pictures in the report, 1 to 100, or 'lossless' (large); default: 90"
    add("--picture-quality", default="90", metavar="Q", help=stored)
    under = "draw the published curves of this picture set (kodak, ...) though the run is of other pictures"
    add("--reference", metavar="SET", help=under)


def look(given: argparse.Namespace) -> Look:
    """How the report stores pictures."""
    from calotype.bench.report import Look

    size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", given.picture_size)
    if not size:
        raise CalotypeError(f"--picture-size {given.picture_size}: expected a size in pixels such as 384x256")
    text = given.picture_quality
    if text != "lossless" and not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise CalotypeError(f"--picture-quality {text}: expected 1 to 100, or lossless")
    stored = None if text == "lossless" else int(text)
    return Look((int(size[1]), int(size[2])), stored, given.reference)


def settings(given: argparse.Namespace, arguments: list[str]) -> Settings:
    """What to run, of what was typed."""
    from calotype.bench import metrics
    from calotype.bench.settings import Settings

    named = given.pictures if not given.pictures.lstrip("-").isdigit() else ""
    return Settings(
        out=given.out,
        codecs=tuple(words(given.codecs)),
        qualities=_qualities(given.qualities or []),
        metrics=metrics.expand(words(given.metrics or "basic")),
        recursive=given.recursive,
        engine=given.engine,
        ray_address=given.ray_address,
        workers=given.workers or 0,
        timeout=given.timeout,
        repeats=given.repeats,
        timing_images=given.timing,
        pictures=0 if named else int(given.pictures),
        picture_names=tuple(words(named)),
        picture_bpp=_numbers("--picture-bpp", given.picture_bpp, "0.25,0.5"),
        resume=given.resume,
        only=given.only,
        retry_failed=given.retry_failed,
        command=("calotype", "bench", *arguments),
    )


def _qualities(given: list[str]) -> dict[str, tuple[float, ...]] | None:
    """``jpeg-420=10,50`` for one codec or family, ``10,50`` for all others."""
    chosen: dict[str, tuple[float, ...]] = {}
    for text in given:
        name, equals, numbers = text.rpartition("=")
        example = "10,50,90 or jpeg-420=10,50,90"
        chosen[name if equals else "*"] = _numbers(f"--qualities {text}", numbers, example)
    return chosen or None


def _numbers(option: str, text: str, example: str) -> tuple[float, ...]:
    option = option if option.endswith(text) else f"{option} {text}"
    try:
        found = tuple(float(word) for word in words(text))
    except ValueError:
        raise CalotypeError(f"{option}: expected numbers such as {example}") from None
    if not found:
        raise CalotypeError(f"{option}: no number given")
    return found
