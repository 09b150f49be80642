"""``calotype lab``: train models, make packs of them, look at the published systems. Needs calotype[lab]."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from calotype.cli import FAILURE, USAGE
from calotype.cli.options import count, parser
from calotype.cli.report import complain, print_json

COMMANDS = {
    "train": "train a model on a folder of photographs",
    "export": "make a pack of a training run",
    "promote": "put a pack in the place of the one that ships, if it is better",
    "list": "the systems of the laboratory",
    "describe": "what one system is and costs",
    "complexity": "multiply-accumulates per pixel, part by part",
    "eval": "rate, distortion and times of checkpoints on pictures, with real files",
    "convert": "take over weights of CompressAI",
    "analyse": "receptive field, latent deviation, correlation map: figures and numbers",
    "experiment": "check a published claim: train, measure, report",
}
NEEDS = ("torch", "safetensors")


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
    run: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "export": _export,
        "promote": _promote,
        "list": _list,
        "describe": _describe,
        "complexity": _complexity,
        "eval": _eval,
        "convert": _convert,
        "analyse": _analyse,
        "experiment": _experiment,
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
    options = parser("lab export", "Make a pack of a training run's averaged weights.")
    add = options.add_argument
    add(
        "run",
        type=Path,
        metavar="RUN",
        help="a run of calotype: its folder, checkpoint, or a folder of pieces",
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
    given = options.parse_args(arguments)
    notes = dict(_pair(text) for text in given.note)

    from calotype.bench import hardware
    from calotype.lab.export import export_run

    record = {"commit": hardware.commit(), **notes}
    with _progress("calibrating") as progress:
        identity, training = export_run(
            given.run,
            given.out,
            data=given.data,
            batches=given.batches,
            name=given.name,
            record=record,
            progress=progress,
        )
    size = sum(file.stat().st_size for file in given.out.iterdir())
    print(f"{given.out}: pack {identity[:8]}, {size / 1e6:.1f} MB, {training['steps']} steps")
    return 0


def _promote(arguments: list[str]) -> int:
    from calotype.cli import gate

    options = parser("lab promote", gate.DESCRIPTION)
    add = options.add_argument
    add("pack", type=Path, metavar="PACK", help="the candidate")
    add("--kodak", type=Path, required=True, metavar="FOLDER", help="pictures to judge by, never trained on")
    add("--target", type=Path, default=gate.SHIPPED, metavar="PACK", help="default: the one that ships")
    add("--history", type=Path, metavar="FILE", help=f"default: {gate.HISTORY} in the source tree")
    add("--threads", type=count, default=2, metavar="N", help="for encoding and decoding; default: 2")
    add("--dry-run", action="store_true", help="judge, and change nothing")
    add("--json", action="store_true", help="print the verdict as JSON")
    given = options.parse_args(arguments)
    with _progress("measuring") as progress:
        verdict = gate.promote(
            given.pack,
            given.target,
            given.kodak,
            given.history or gate.default_history(),
            threads=given.threads,
            dry_run=given.dry_run,
            progress=progress,
        )
    if given.json:
        print_json(verdict)
    else:
        print(gate.text(verdict))
    return 0 if verdict["better"] else FAILURE


def _list(arguments: list[str]) -> int:
    options = parser("lab list", "The systems of the laboratory, by year.")
    options.add_argument("--json", action="store_true", help="one JSON object per system")
    given = options.parse_args(arguments)

    from calotype.lab import registry

    for name in registry.names():
        entry = registry.entry(name)
        if given.json:
            print_json({"name": name, "summary": entry.summary, "citation": entry.citation})
        else:
            print(f"{name:26} {entry.summary}")
    return 0


def _describe(arguments: list[str]) -> int:
    options = parser("lab describe", "What one system is and costs.")
    _add_model(options)
    given = options.parse_args(arguments)

    from calotype.lab import registry

    found = registry.describe(given.model, tuple(given.size), **dict(_option(text) for text in given.set))
    if given.json:
        print_json(found)
        return 0
    print(
        f"{found['name']}: {found['summary']}\n{found['citation']}\n{found['file']}\n\n{found['document']}\n"
    )
    print(f"sizes            {', '.join(f'{k}={v}' for k, v in found['config'].items())}")
    print(f"parameters       {found['parameters']:,}")
    for name, shape in found["latents"].items():
        print(f"latents {name:8} {' x '.join(map(str, shape))} of {given.size[0]} x {given.size[1]} pixels")
    print(
        f"receptive field  {found['receptive_field'][0]} x {found['receptive_field'][1]} pixels per latent\n"
    )
    _print_costs(found["kmacs_per_pixel"], found["parameters_by_part"])
    return 0


def _complexity(arguments: list[str]) -> int:
    if arguments[:1] == ["jpegai"]:
        from calotype.lab.analysis.jpegai_table import main as table

        return table(arguments[1:])
    options = parser(
        "lab complexity",
        "Thousands of multiply-accumulates per pixel, part by part. 'lab complexity jpegai' sets JPEG AI's "
        "decoders beside their published costs.",
    )
    _add_model(options)
    given = options.parse_args(arguments)

    from calotype.lab import registry

    found = registry.describe(given.model, tuple(given.size), **dict(_option(text) for text in given.set))
    if given.json:
        print_json({k: found[k] for k in ("name", "config", "parameters_by_part", "kmacs_per_pixel")})
    else:
        _print_costs(found["kmacs_per_pixel"], found["parameters_by_part"])
    return 0


def _eval(arguments: list[str]) -> int:
    options = parser("lab eval", "Rate, distortion and times of a checkpoint, with real files.")
    add = options.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="model.safetensors")
    add("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    add("--device", default="cpu", help="default: cpu")
    add("--json", action="store_true", help="one JSON object per picture")
    given = options.parse_args(arguments)

    from calotype.lab import evaluate

    columns = ("bpp", "estimated_bpp", "psnr", "ms_ssim", "encode_seconds", "decode_seconds")
    if not given.json:
        print(f"{'':24}" + "".join(f"{c:>16}" for c in columns))
    for record in evaluate.evaluate(given.checkpoint, given.images, given.device):
        if given.json:
            print_json(record)
        else:
            values = ("-" if record[c] is None else f"{record[c]:.4f}" for c in columns)
            print(f"{record['image'][:24]:24}" + "".join(f"{v:>16}" for v in values), flush=True)
    return 0


def _convert(arguments: list[str]) -> int:
    options = parser("lab convert", "Take over weights of CompressAI as a checkpoint of ours.")
    add = options.add_argument
    add("source", type=Path, metavar="WEIGHTS", help=".pth, .pth.tar or .safetensors")
    add("-o", "--out", type=Path, required=True, metavar="CHECKPOINT", help="the file to write")
    add("--model", required=True, metavar="NAME", help="their name or ours, such as mbt2018-mean")
    given = options.parse_args(arguments)

    from calotype.lab.convert_compressai import convert

    model = convert(given.model, given.source, given.out)
    print(f"{given.out}: {model.name} {model.config}")
    return 0


def _analyse(arguments: list[str]) -> int:
    from calotype.cli.lab_analyse import main as analyse

    return analyse(arguments)


def _experiment(arguments: list[str]) -> int:
    from calotype.cli.lab_experiment import main as experiment

    return experiment(arguments)


def _add_model(options: Any) -> None:
    options.add_argument("model", metavar="MODEL", help="a name from calotype lab list")
    options.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another size, such as n=192"
    )
    options.add_argument(
        "--size",
        nargs=2,
        type=count,
        default=(256, 256),
        metavar=("H", "W"),
        help="of the picture; default: 256 256",
    )
    options.add_argument("--json", action="store_true", help="print one JSON object")


def _print_costs(kmacs: dict[str, dict[str, float]], parameters: dict[str, int]) -> None:
    print(
        f"{'':12}{'parameters':>14}"
        + "".join(f"{rule:>12}" for rule in kmacs)
        + "   kMAC/pixel by counting rule"
    )
    parts = list(dict.fromkeys(part for counts in kmacs.values() for part in counts))
    for part in [*[p for p in parts if p != "total"], "total"]:
        number = sum(parameters.values()) if part == "total" else parameters.get(part, 0)
        print(
            f"{part:12}{number:14,}" + "".join(f"{counts.get(part, 0.0):12.2f}" for counts in kmacs.values())
        )


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"expected KEY=VALUE, got {text!r}")
    return key, value


def _option(text: str) -> tuple[str, Any]:
    """A size of a model: JSON where it is that, else text."""
    import json

    key, value = _pair(text)
    with contextlib.suppress(ValueError):
        return key, json.loads(value)
    return key, value


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
