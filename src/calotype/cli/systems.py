"""``calotype lab list``, ``describe``, ``complexity``, ``eval`` and ``convert``: the published systems."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from calotype.cli.options import count, pair, parser
from calotype.cli.report import print_json


def list_all(arguments: list[str]) -> int:
    """The systems, by year.  Returns the exit status."""
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


def describe(arguments: list[str]) -> int:
    """What one system is and costs.  Returns the exit status."""
    options = parser("lab describe", "What one system is and costs.")
    _add_model(options)
    given = options.parse_args(arguments)

    found = _described(given)
    if given.json:
        print_json(found)
        return 0
    print(
        f"{found['name']}: {found['summary']}\n{found['citation']}\n{found['file']}\n\n{found['document']}\n"
    )
    print(f"sizes            {_sizes(found['config'])}")
    if found["high"]:
        print(f"for high rates   {_sizes(found['high'])}")
    print(f"parameters       {found['parameters']:,}")
    for name, shape in found["latents"].items():
        print(f"latents {name:8} {' x '.join(map(str, shape))} of {given.size[0]} x {given.size[1]} pixels")
    print(
        f"receptive field  {found['receptive_field'][0]} x {found['receptive_field'][1]} pixels per latent\n"
    )
    _print_costs(found["kmacs_per_pixel"], found["parameters_by_part"])
    return 0


def complexity(arguments: list[str]) -> int:
    """Multiply-accumulates per pixel, part by part.  Returns the exit status."""
    options = parser("lab complexity", "Thousands of multiply-accumulates per pixel, part by part.")
    _add_model(options)
    given = options.parse_args(arguments)

    found = _described(given)
    if given.json:
        print_json({k: found[k] for k in ("name", "config", "parameters_by_part", "kmacs_per_pixel")})
    else:
        _print_costs(found["kmacs_per_pixel"], found["parameters_by_part"])
    return 0


def evaluate(arguments: list[str]) -> int:
    """A checkpoint on pictures.  Returns the exit status."""
    options = parser("lab eval", "Rate, distortion and times of a checkpoint, with real files.")
    add = options.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="model.safetensors, or a run's folder")
    add("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    add("--device", default="cpu", help="default: cpu")
    add("--json", action="store_true", help="one JSON object per picture")
    given = options.parse_args(arguments)

    from calotype.lab.evaluate import evaluate as measure

    columns = ("bpp", "estimated_bpp", "psnr", "ms_ssim", "encode_seconds", "decode_seconds")
    for number, record in enumerate(measure(given.checkpoint, given.images, given.device)):
        if number == 0 and not given.json:
            print(f"{'':24}" + "".join(f"{c:>16}" for c in columns))
        if skipped := record.get("skipped"):
            print(f"skipped {len(skipped)} files that could not be read:", file=sys.stderr)
            for name, why in skipped.items():
                print(f"  {name}: {why}", file=sys.stderr)
        if given.json:
            print_json(record)
        else:
            values = ("-" if record[c] is None else f"{record[c]:.4f}" for c in columns)
            print(f"{record['image'][:24]:24}" + "".join(f"{v:>16}" for v in values), flush=True)
    return 0


def convert(arguments: list[str]) -> int:
    """Weights of CompressAI to a checkpoint of ours and back.  Returns the exit status."""
    options = parser(
        "lab convert",
        "Take over weights of CompressAI or of TCM's authors as a checkpoint of ours, or give back.",
    )
    add = options.add_argument
    add("source", type=Path, metavar="WEIGHTS", help=".pth, .pth.tar or .safetensors")
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="the file to write")
    add("--model", metavar="NAME", help="their name or ours, such as mbt2018-mean or liu2023-tcm-small")
    add("--back", action="store_true", help="a checkpoint of ours to weights with CompressAI's names")
    given = options.parse_args(arguments)
    if (given.model is None) != given.back:
        options.error("--model NAME says what the weights are of; --back needs none")

    from calotype.lab import convert_compressai

    if given.back:
        name = convert_compressai.convert_back(given.source, given.out)
        print(f"{given.out}: CompressAI's {name}")
        return 0
    model = convert_compressai.convert(given.model, given.source, given.out)
    print(f"{given.out}: {model.name} {model.config}")
    return 0


def _described(given: Any) -> dict[str, Any]:
    from calotype.lab.analysis import summary

    return summary.describe(given.model, tuple(given.size), **dict(_option(text) for text in given.set))


def _sizes(config: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in config.items())


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


def _option(text: str) -> tuple[str, Any]:
    """A size of a model: JSON where it is that, else text."""
    key, value = pair(text)
    with contextlib.suppress(ValueError):
        return key, json.loads(value)
    return key, value
