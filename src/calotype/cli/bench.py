"""``calotype bench``: measure codecs on pictures; ``bench list`` names codecs and metrics; ``bench report``
redraws.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calotype.cli import FAILURE
from calotype.cli.options import count, parser
from calotype.errors import CalotypeError

if TYPE_CHECKING:
    from calotype.bench.runner import Settings

_EXAMPLES = """\
other forms:
  calotype bench list                       codecs and metrics, and what is missing
  calotype bench report DIR [--anchor NAME] draw the report of a run again

examples:
  calotype bench photos/ --codecs calotype,avif,jpeg --out results
  calotype bench a.png b.png --codecs webp,jxl --qualities webp=20,50,80 --qualities jxl=1,2,4 --out results
  calotype bench photos/ --codecs default,vvc,lab:runs/a/last.pt --metrics psnr_rgb,ms_ssim,vmaf --out results
  --resume
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status: 0 when every measurement was made, 1 when some failed."""
    forms: dict[str, Callable[[list[str]], int]] = {"list": _list, "report": _report}
    if arguments and arguments[0] in forms:
        return forms[arguments[0]](arguments[1:])
    return _bench(arguments)


def _bench(arguments: list[str]) -> int:
    options = parser("bench", "Measure codecs on pictures: rate, quality, time and memory.", _EXAMPLES)
    add = options.add_argument
    add("images", nargs="+", metavar="IMAGE", type=Path, help="pictures, or folders of pictures")
    add(
        "--codecs",
        default="default",
        metavar="LIST",
        help="names, families, 'default', 'all', lab:CHECKPOINT, FILE.py",
    )
    add(
        "--qualities",
        action="append",
        metavar="[CODEC=]LIST",
        help="quality settings, for one codec or for all",
    )
    add("--metrics", metavar="LIST", help="names, 'basic', 'jpeg-ai' or 'all'; default: basic")
    add(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the journal, results and report",
    )
    add("--resume", action="store_true", help="go on with the run in DIR, measuring only what it has not")
    add("--retry-failed", action="store_true", help="with --resume: try again what failed")
    add("--workers", type=count, metavar="N", help="measurements made at a time; default: one per core")
    add("--engine", choices=("local", "ray"), default="local", help="this machine, or a Ray cluster")
    add(
        "--ray-address",
        metavar="HOST:PORT",
        help="a running cluster ('auto' finds one); else a local one is started",
    )
    add("--timeout", type=float, default=600.0, metavar="S", help="seconds for one measurement; default: 600")
    add(
        "--repeats",
        type=int,
        default=0,
        metavar="N",
        help="timed runs after the first in the main pass; default: 0",
    )
    add(
        "--timing",
        type=int,
        default=3,
        metavar="N",
        help="pictures of the undisturbed timing pass; default: 3, 0: none",
    )
    add(
        "--pictures",
        type=int,
        default=3,
        metavar="N",
        help="pictures shown side by side; default: 3, 0: none",
    )
    add(
        "--picture-bpp",
        type=float,
        default=0.25,
        metavar="BPP",
        help="the rate they are shown at; default: 0.25",
    )
    add("--anchor", metavar="NAME", help="codec that the report compares with at first")
    add("--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html and figures")
    given = options.parse_intermixed_args(arguments)

    from calotype.bench import runner

    settings = runner.Settings(
        out=given.out,
        codecs=tuple(_words(given.codecs)),
        qualities=_qualities(given.qualities or []),
        metrics=_metrics(given.metrics),
        engine=given.engine,
        ray_address=given.ray_address,
        workers=given.workers or 0,
        timeout=given.timeout,
        repeats=given.repeats,
        timing_images=given.timing,
        pictures=given.pictures,
        picture_bpp=given.picture_bpp,
        resume=given.resume,
        retry_failed=given.retry_failed,
        command=("calotype", "bench", *arguments),
    )
    return _run(given.images, settings, given.anchor, report=given.report)


def _run(images: list[Path], settings: Settings, anchor: str | None, *, report: bool) -> int:
    from calotype.bench import runner

    if report:
        from calotype.bench.report import check

        check()  # now, not after hours of measuring
    with _progress() as progress:
        run = runner.Run(images, settings, progress)
        names = [codec.name for codec in run.codecs.values()]
        if anchor is not None and anchor not in names and not anchor.startswith("ref:"):
            raise CalotypeError(f"--anchor {anchor} is not among the codecs of this run: {', '.join(names)}")
        for m in run.missing:
            _note(f"{m['codec']} is left out: {m['reason']}; {m['install']}")
        try:
            results = run()
        except KeyboardInterrupt:
            _note(f"interrupted; go on with: {_again(settings.command)}")
            raise
    made = len(results["measurements"])
    print(f"{settings.out / 'results.json'}: {made} measurements, {run.measured} tasks done now")
    if report:
        _write_report(settings.out, anchor)
    for failure in results["failures"][:10]:
        where = " ".join(str(failure[k]) for k in ("codec", "image", "quality") if failure[k] is not None)
        _note(f"{failure['kind']}: {where}: {failure['message']}")
    if len(results["failures"]) > 10:
        _note(f"and {len(results['failures']) - 10} more failures, in the results")
    return FAILURE if results["failures"] else 0


def _list(arguments: list[str]) -> int:
    parser(
        "bench list", "Codecs and metrics of the benchmark, and what is missing for those that cannot run."
    ).parse_args(arguments)
    from calotype.bench import codecs
    from calotype.bench.metrics import METRICS

    print("codecs")
    for codec in codecs.every().values():
        reason = codec.missing()
        slow = "; slow, runs only when named" if codec.slow else ""
        state = f"{codec.version()}{slow}" if reason is None else f"MISSING: {reason}; {codec.install}"
        print(f"  {codec.name:14} {state}")
    print("\nmetrics")
    for metric in METRICS.values():
        reason = metric.missing()
        print(
            f"  {metric.name:14} {metric.label}; {metric.plane}" + (f"; MISSING: {reason}" if reason else "")
        )
    return 0


def _report(arguments: list[str]) -> int:
    options = parser("bench report", "Write report.html and figures/ for a run again.")
    options.add_argument("folder", metavar="DIR", type=Path, help="folder of a run (--out)")
    options.add_argument("--anchor", metavar="NAME", help="codec to compare with at first")
    given = options.parse_args(arguments)
    _write_report(given.folder, given.anchor)
    return 0


def _write_report(folder: Path, anchor: str | None) -> None:
    from calotype.bench import report

    for path in report.build(folder, anchor):
        if path.suffix == ".html":
            print(path)


def _qualities(given: list[str]) -> dict[str, tuple[float, ...]] | None:
    """``jpeg-420=10,50`` for one codec or family, ``10,50`` for all others."""
    chosen: dict[str, tuple[float, ...]] = {}
    for text in given:
        name, equals, numbers = text.rpartition("=")
        try:
            chosen[name if equals else "*"] = tuple(float(n) for n in _words(numbers))
        except ValueError:
            raise CalotypeError(
                f"--qualities {text}: expected numbers such as 10,50,90 or jpeg-420=10,50,90"
            ) from None
        if not all(chosen.values()):
            raise CalotypeError(f"--qualities {text}: no number given")
    return chosen or None


def _metrics(text: str | None) -> tuple[str, ...]:
    from calotype.bench.metrics import BASIC, JPEG_AI, METRICS

    groups = {"basic": BASIC, "jpeg-ai": JPEG_AI, "all": tuple(METRICS)}
    names = [name for word in _words(text or "basic") for name in groups.get(word, (word,))]
    return tuple(dict.fromkeys(names))


def _words(text: str) -> list[str]:
    return [word for word in (w.strip() for w in text.split(",")) if word]


def _again(command: tuple[str, ...]) -> str:
    return shlex.join(command if "--resume" in command else (*command, "--resume"))


def _note(text: str) -> None:
    print(f"calotype: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with the time left, on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bars: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=300) as progress:

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total, completed=done)
            progress.update(bars[what], completed=done, total=total)

        yield show
