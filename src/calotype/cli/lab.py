"""``calotype lab``: train models, make packs of them, look at the published systems. Needs calotype[lab]."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from calotype.cli import FAILURE, USAGE
from calotype.cli.options import count, number, pair, parser
from calotype.cli.report import complain, print_json

COMMANDS = {
    "train": "train a model on a folder of photographs",
    "export": "make a pack of a training run or a checkpoint",
    "loss": "what a pack loses by its integers, against the run it was made of",
    "promote": "put a pack in the place of the one that ships, if it is better",
    "list": "the systems of the laboratory",
    "describe": "what one system is and costs",
    "complexity": "multiply-accumulates per pixel, part by part",
    "eval": "rate, distortion and times of checkpoints on pictures, with real files",
    "convert": "take over weights of CompressAI, and give back",
}
NEEDS = ("torch", "safetensors", "rich")


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else USAGE
    if name not in COMMANDS:
        print(
            f"calotype lab: there is no command {name!r}; it is one of {', '.join(COMMANDS)}", file=sys.stderr
        )
        return USAGE
    if missing := [module for module in NEEDS if importlib.util.find_spec(module) is None]:
        print(f"calotype lab: {missing[0]} is not installed; pip install 'calotype[lab]'", file=sys.stderr)
        return FAILURE
    from calotype.cli import systems

    run: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "export": _export,
        "loss": _loss,
        "promote": _promote,
        "list": systems.list_all,
        "describe": systems.describe,
        "complexity": systems.complexity,
        "eval": systems.evaluate,
        "convert": systems.convert,
    }
    try:
        return run[name](arguments[1:])
    except ValueError as error:  # how the laboratory says that a value does not fit
        complain(None, error)
        return FAILURE


def _help() -> str:
    lines = ["usage: calotype lab COMMAND ...", "", "The laboratory of learned codecs.", ""]
    lines += [f"  {name:10} {text}" for name, text in COMMANDS.items()]
    return "\n".join([*lines, "", "'calotype lab COMMAND --help' explains one."])


def _train(arguments: list[str]) -> int:
    from calotype.lab.train.command import main as train

    return train(arguments)


def _export(arguments: list[str]) -> int:
    options = parser(
        "lab export",
        "Make a pack of a training run's averaged weights, or of a checkpoint of a published system whose "
        "probabilities depend on side information alone.",
    )
    add = options.add_argument
    add(
        "run",
        type=Path,
        metavar="RUN",
        help="a run: its folder, checkpoint, or a folder of pieces; or a published system's checkpoint",
    )
    add(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="PACK",
        help="the folder to write; a pack there is replaced",
    )
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs; default: those of the run")
    add(
        "--batches",
        type=count,
        default=64,
        metavar="N",
        help="of 8 crops, to calibrate the tables on; default: 64",
    )
    add("--name", default="photo", help="the pack's name; default: photo")
    add(
        "--note",
        action="append",
        default=[],
        metavar="KEY=TEXT",
        help="for the training record, such as sources='CLIC 2025 (Unsplash)'",
    )
    add(
        "--check",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="photographs to measure on what integers lose; default: those that the run held out",
    )
    add(
        "--loss",
        type=number(0, math.inf),
        default=0.5,
        metavar="PERCENT",
        help="of rate that integers may lose at equal PSNR; default: 0.5; inf lets any pack pass",
    )
    given = options.parse_args(arguments)
    notes = dict(pair(text) for text in given.note)

    from calotype.lab.export import export_run
    from calotype.records.provenance import commit

    record = {"commit": commit(), **notes}
    with _progress("calibrating") as progress:
        identity, training = export_run(
            given.run,
            given.out,
            data=given.data,
            batches=given.batches,
            name=given.name,
            record=record,
            check=given.check,
            most=given.loss,
            progress=progress,
        )
    size = sum(file.stat().st_size for file in given.out.iterdir())
    print(
        f"{given.out}: pack {identity[:8]}, {size / 1e6:.1f} MB, {training['steps']} steps{_lost(training)}"
    )
    return 0


def _loss(arguments: list[str]) -> int:
    options = parser(
        "lab loss",
        "Measure how much more rate a pack needs for the same PSNR than its model in float32, and write it "
        "into the pack's manifest, as an export does. The pack's id stays.",
    )
    add = options.add_argument
    add("pack", type=Path, metavar="PACK", help="a pack's folder")
    add("run", type=Path, metavar="RUN", help="the run it was made of: its folder, or checkpoint")
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs; default: those of the run")
    add(
        "--check",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="photographs to measure on; default: those that the run held out",
    )
    given = options.parse_args(arguments)
    from calotype.lab.export import measure_loss

    found = measure_loss(given.pack, given.run, data=given.data, check=given.check)
    told = _lost({"integer_loss": found}) or "; PSNR does not rise with the level, so nothing can be said"
    print(f"{given.pack}, {found['pictures']} pictures{told}")
    return 0


def _lost(training: dict[str, Any]) -> str:
    percent = training["integer_loss"]["percent"]
    return "" if percent is None else f"; integers lose {percent:.2f} % of rate against float32"


def _promote(arguments: list[str]) -> int:
    from calotype.bench import gate, gate_measure

    options = parser("lab promote", gate.DESCRIPTION)
    add = options.add_argument
    add("pack", type=Path, metavar="PACK", help="the candidate")
    add(
        "--images",
        nargs="+",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="pictures to judge by, never trained on; each folder is a set, and it must be better on each",
    )
    add("--target", type=Path, default=gate.SHIPPED, metavar="PACK", help="default: the one that ships")
    add("--history", type=Path, metavar="FILE", help=f"default: {gate.HISTORY} in the source tree")
    add("--threads", type=count, default=2, metavar="N", help="for encoding and decoding; default: 2")
    add(
        "--slower",
        type=number(1, 100),
        default=gate.SLOWER,
        metavar="X",
        help=f"how many times longer it may take to decode; default: {gate.SLOWER}, for the noise",
    )
    add(
        "--repeats",
        type=count,
        default=gate_measure.REPEATS,
        metavar="N",
        help="of decoding four pictures, to take the time; a fifth of it of encoding; fewer for a slow "
        f"machine; default: {gate_measure.REPEATS}",
    )
    add("--dry-run", action="store_true", help="judge, and change nothing")
    add("--json", action="store_true", help="print the verdict as JSON")
    given = options.parse_args(arguments)
    with _progress("measuring") as progress:
        verdict = gate.promote(
            given.pack,
            given.target,
            given.images,
            given.history or gate.default_history(),
            threads=given.threads,
            slower=given.slower,
            repeats=given.repeats,
            dry_run=given.dry_run,
            progress=progress,
        )
    if given.json:
        print_json(verdict)
    else:
        print(gate.text(verdict))
    return 0 if verdict["better"] else FAILURE


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr when a person is there to see it."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
