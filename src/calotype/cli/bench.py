"""``calotype bench``: measure codecs on pictures; ``bench list`` names codecs and metrics; ``bench report``
redraws; ``bench blind`` makes a page to choose blindly between two codecs.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calotype.cli import FAILURE
from calotype.cli.bench_options import add_look, bench_parser, look, settings
from calotype.cli.options import count, parser
from calotype.errors import CalotypeError

if TYPE_CHECKING:
    from calotype.bench.report import Look
    from calotype.bench.settings import Settings


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status: 0 when every measurement was made, 1 when some failed."""
    forms: dict[str, Callable[[list[str]], int]] = {
        "list": _list,
        "--list": _list,
        "report": _report,
        "blind": _blind,
    }
    if arguments and arguments[0] in forms:
        return forms[arguments[0]](arguments[1:])
    given = bench_parser().parse_intermixed_args(arguments)
    shown = look(given) if given.report else None
    return _run(given.images, settings(given, arguments), given.anchor, shown)


def _run(images: list[Path], chosen: Settings, anchor: str | None, shown: Look | None) -> int:
    """Measure, and write the report unless `shown` is None."""
    from calotype.bench import runner

    if shown is not None:
        from calotype.bench.report import check

        check()  # now, not after hours of measuring
    with _progress() as progress:
        run = runner.Run(images, chosen, progress)
        names = [run.selection.names[spec] for spec in run.codecs] + [*(run.before or {}).get("codecs", [])]
        if anchor is not None and anchor not in names and not anchor.startswith("ref:"):
            raise CalotypeError(f"--anchor {anchor} is not among the codecs of this run: {', '.join(names)}")
        for m in run.missing:
            _note(f"{m['codec']} is left out: {m['reason']}; {m['install']}")
        try:
            results = run()
        except KeyboardInterrupt:
            _note(f"interrupted; go on with: {_again(chosen.command)}")
            raise
    for text in run.notes:
        _note(text)
    made = len(results["measurements"])
    print(f"{chosen.out / 'results.json'}: {made} measurements, {run.measured} tasks done now")
    if shown is not None:
        _write_report(chosen.out, anchor, shown)
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
    from calotype.bench.metrics import GROUPS, METRICS

    print("codecs")
    for codec in codecs.every().values():
        reason, version = codecs.state(codec)
        slow = "; slow, runs only when named" if codec.slow else ""
        known = (
            f"{version}; quality: {codec.quality_unit}{slow}"
            if reason is None
            else f"MISSING: {reason}; {codec.install}"
        )
        print(f"  {codec.name:14} {known}")
    print("\nmetrics")
    for metric in METRICS.values():
        reason = metric.missing()
        state = f"; MISSING: {reason}" if reason else "".join(f"; {v}" for v in [metric.version()] if v)
        print(f"  {metric.name:14} {metric.label}; {metric.plane}{state}")
    print("\ngroups of metrics")
    for group, names in GROUPS.items():
        print(f"  {group:14} {'all of them' if group == 'all' else ', '.join(names)}")
    return 0


def _report(arguments: list[str]) -> int:
    options = parser("bench report", "Write report.html and figures/ for a run again.")
    options.add_argument("folder", metavar="DIR", type=Path, help="folder of a run (--out)")
    add_look(options)
    given = options.parse_args(arguments)
    _write_report(given.folder, given.anchor, look(given))
    return 0


def _blind(arguments: list[str]) -> int:
    options = parser("bench blind", "A page to choose blindly between the decoded pictures of two codecs.")
    options.add_argument("folder", metavar="DIR", type=Path, help="folder of a run with --pictures (--out)")
    options.add_argument("first", metavar="CODEC", help="by its name in the run")
    options.add_argument("second", metavar="OTHER", help="the one it is shown beside")
    options.add_argument("--pairs", metavar="N", type=count, help="at most so many; default 24")
    given = options.parse_args(arguments)
    from calotype.bench.report import blind

    path = blind.build(given.folder, (given.first, given.second), most=given.pairs or blind.PAIRS)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _write_report(folder: Path, anchor: str | None, shown: Look) -> None:
    from calotype.bench import report

    for path in report.build(folder, anchor, look=shown):
        if path.suffix == ".html":
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _again(command: tuple[str, ...]) -> str:
    return shlex.join(command if "--resume" in command else (*command, "--resume"))


def _note(text: str) -> None:
    print(f"calotype: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar with the time left, on stderr; none without the extra calotype[bench]."""
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        yield lambda what, done, total: None
        return

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
