"""The ablation of the VCIP 2023 paper at the size that a machine allows: train every variant of JPEG AI's
decoder with the same budget, write real files, and compare by the seven metrics of JPEG AI.

    python -m studies.jpegai.ablation --data PHOTOS --images KODAK --out runs/jpegai-ablation

All variants see the same crops in the same order for the same number of steps at each lambda; each lambda
begins from the result of the one before.  A run that was stopped goes on.  The BD-rate of a metric is the
mean over pictures of their BD-rates against the baseline; the average is over the seven metrics.  Short
training with narrow widths (the JSON file beside this one): the order of the variants may hold, absolute
numbers do not.  Published, after full training: CS or DS alone lose 0.8 %, shuffle 0.2 %, activation 0.1 %;
the combination gains 0.2 %; trainings differ by 0.5 %.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench.bdrate import Curve, bd_rate_per_image
from calotype.bench.metrics import JPEG_AI, METRICS, measure
from calotype.bench.runner import find_images
from calotype.records.markdown import table, wrapped
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable

BASE = "baseline"
AGAIN = "baseline, again"
"""The baseline's decoder from other first weights, with the crops in another order."""
CONFIG, PAGE = Path(__file__).with_suffix(".json"), "ablation.md"
Points = dict[str, dict[str, list[dict[str, float]]]]
"""By variant and picture: one point per lambda, with "bpp" and metrics."""


@dataclass
class Config:
    """What is trained and how."""

    variants: list[str]
    """Names in `calotype.lab.models.jpegai2023.VARIANTS`, the baseline first."""
    options: dict[str, Any]
    """Widths of the model."""
    lambdas: list[float]
    """Multipliers, two or more, rising (four for a BD-rate worth the name)."""
    train: dict[str, Any]
    """Fields of the training configuration."""
    encoder: dict[str, Any] | None = None
    """If given, the training of one whole baseline, whose files every decoder then learns to read
    (`studies.jpegai.decoders`); the baseline's decoder twice, to see chance."""
    chain: float = 1.0
    """With ``encoder``: steps of every lambda but the first, as a fraction of the first one's."""

    def names(self) -> list[str]:
        """What is compared."""
        return [*self.variants, *([AGAIN] if self.encoder else [])]

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read a JSON file.  Raises ValueError for unknown or missing keys and values that do not fit."""
        return made_of(path, cls.from_dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from what the file holds."""
        from calotype.lab.models.jpegai2023 import VARIANTS

        given = dict(values)
        given["lambdas"] = given.pop("lambda", None)
        names = {f.name for f in fields(cls)}
        wrong = set(given) ^ names
        wrong -= {"encoder", "chain"}
        if wrong:
            raise ValueError(f"unknown or missing key {sorted(wrong)[0]!r}")
        config = cls(**given)
        unknown = [v for v in config.variants if v not in VARIANTS]
        if unknown or config.variants[:1] != [BASE]:
            raise ValueError(f"variants are {', '.join(VARIANTS)}, the baseline first")
        if config.lambdas is None or len(config.lambdas) < 2 or sorted(config.lambdas) != config.lambdas:
            raise ValueError("lambda must be a list of two or more rising numbers")
        return config


def train(config: Config, variant: str, data: Sequence[Path], out: Path, threads: int) -> None:
    """Train one variant at every lambda, or go on with it."""
    from calotype.lab.train.command import main

    folder = out / variant
    folder.mkdir(parents=True, exist_ok=True)
    asked = folder / "config.json"
    wanted = {"model": f"jpegai2023-{variant}", "options": config.options, "lambda": config.lambdas}
    asked.write_text(json.dumps({**wanted, "train": config.train}, indent=1) + "\n")
    arguments = [asked, "--recipe", "short", "--chain", "--resume", "--threads", threads, "--out", folder]
    status = main([str(a) for a in [*arguments, "--data", *data]])
    if status:
        raise SystemExit(status)


def train_decoders(config: Config, data: Sequence[Path], out: Path, threads: int, deadline: float) -> bool:
    """Train the baseline's encoder and then every decoder on its files; returns whether all is there."""
    import torch

    from calotype.lab.train.data import Photos
    from studies.jpegai import decoders

    torch.set_num_threads(threads)
    assert config.encoder is not None
    wanted = {name: (f"jpegai2023-{name.partition(',')[0]}", int(name == AGAIN)) for name in config.names()}
    return decoders.train(
        wanted, config.options, config.lambdas, config.encoder, config.train, config.chain,
        Photos.open(*data), out, deadline,
    )  # fmt: skip


def checkpoint(out: Path, variant: str, lam: float) -> Path:
    """Where `train` leaves a model."""
    return out / variant / f"{lam:g}" / "model.safetensors"


def points(config: Config, out: Path, images: Sequence[Path], metrics: tuple[str, ...]) -> Points:
    """Code every picture with every model and measure the files."""
    from PIL import Image

    from calotype.lab import use

    found: Points = {variant: {image.name: [] for image in images} for variant in config.names()}
    for variant in config.names():
        for lam in config.lambdas:
            codec = use.open(checkpoint(out, variant, lam))
            for path in images:
                with Image.open(path) as opened:
                    image = np.asarray(opened.convert("RGB"))
                data = codec.encode(image)
                bpp = 8 * len(data) / (image.shape[0] * image.shape[1])
                values = measure(image, codec.decode(data), metrics)
                found[variant][path.name].append({"lambda": lam, "bpp": bpp, **values})
            print(f"measured {variant} at lambda {lam:g}", file=sys.stderr, flush=True)
    return found


def summary(found: Points, metrics: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """BD-rate in percent of each variant against the baseline, by metric, and the "average" over those of
    JPEG AI.

    None where a metric's curves have nothing in common; then there is no average either.
    """
    table: dict[str, dict[str, float | None]] = {}
    for variant, pictures in found.items():
        row: dict[str, float | None] = {}
        for name in metrics:
            anchor, test = (
                {
                    p: Curve([q["bpp"] for q in c], [METRICS[name].for_bd(q[name]) for q in c])
                    for p, c in source.items()
                }
                for source in (found[BASE], pictures)
            )
            rate = bd_rate_per_image(anchor, test)
            row[name] = rate.mean if rate.count == len(anchor) and math.isfinite(rate.mean) else None
        seven = [row.get(name) for name in JPEG_AI]
        row["average"] = None if None in seven else statistics.fmean(v for v in seven if v is not None)
        table[variant] = row
    return table


def render(results: Mapping[str, Any]) -> str:
    """A Markdown table of stored results."""
    metrics = results["metrics"]
    heads = ["decoder", "kMAC/px", *(METRICS[m].label for m in metrics), "average of seven"]
    rows = [
        [
            variant,
            f"{results['kmacs'][variant]:.2f}",
            *("-" if row[m] is None else f"{row[m]:+.2f}" for m in [*metrics, "average"]),
        ]
        for variant, row in results["summary"].items()
    ]
    lines = table(heads, rows)
    train, encoder = results["config"]["train"], results["config"].get("encoder")
    if encoder:
        return "\n".join([*lines, "", _of_decoders(results)])
    lines += [
        "",
        f"BD-rate in percent against the baseline, {len(results['pictures'])} pictures, "
        f"{len(results['config']['lambdas'])} lambdas of {train['steps']} steps each with {train['batch']} "
        f"crops of {train['crop']} pixels; widths {results['config']['options']}.  Short training: "
        "differences of a few percent are chance.",
    ]
    return "\n".join(lines)


def _of_decoders(results: Mapping[str, Any]) -> str:
    """What a reader of the table of decoders must know."""
    config = results["config"]
    train, encoder, lambdas = config["train"], config["encoder"], config["lambdas"]
    later = round(train["steps"] * config["chain"])
    again = results["summary"].get(AGAIN, {}).get("average")
    chance = "unknown" if again is None else f"{abs(again):.1f} %"
    return (
        f"BD-rate in percent against the baseline, {len(results['pictures'])} pictures of Kodak, lambdas "
        f"{', '.join(f'{v:g}' for v in lambdas)}; widths {config['options']}. One whole baseline "
        f"({encoder['steps']} steps of {encoder['batch']} crops of {encoder['crop']} pixels at the first "
        f"lambda, {round(encoder['steps'] * config['chain'])} at the other) gives the files; every "
        f"decoder then learns to read them in {train['steps']} and {later} steps of {train['batch']} crops "
        f"of {train['crop']} pixels. Layers that all decoders have begin with that baseline's weights, "
        f"attention, activation and upsampling with fresh ones, in the baseline too. `{AGAIN}` is the same "
        f"decoder from other first weights: chance is at least {chance}. One training of each gives no "
        "interval: what the changes do *cannot be told at this budget*."
    )


def page(results: Mapping[str, Any]) -> str:
    """The page beside stored results."""
    found, _, notes = render(results).partition("\n\n")
    made = (
        f"Made by `{results['command']}` at commit `{results['commit']}` on "
        f"{results['hardware']['processor']} with torch {results['libraries'].get('torch', '?')}. Generated "
        "from `results.json`: `--stored FOLDER`."
    )
    published = (
        "Published, after full training of whole systems: CS or DS alone lose 0.8 %, shuffle 0.2 %, the "
        "activation 0.1 %, the combination gains 0.2 %; two trainings of one network differ by 0.5 %."
    )
    parts = [["# JPEG AI's decoder, briefly trained"], [found], *map(wrapped, (notes, published, made))]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def costs(config: Config) -> dict[str, float]:
    """kMAC per pixel of the decoder's transform, exact rule, at the widths of this run."""
    from calotype.lab import registry
    from studies.jpegai.complexity import decoder_kmacs

    found = {}
    for variant in config.names():
        model = registry.build(f"jpegai2023-{variant.partition(',')[0]}", **config.options)
        found[variant] = decoder_kmacs(model.g_s, sum(model.channels))[0]["exact"]
    return found


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, store ``OUT/results.json`` and print the table."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("--data", nargs="+", type=Path, default=[], metavar="FOLDER", help="photographs to train on")
    add("--images", nargs="+", type=Path, default=[], metavar="PATH", help="pictures to measure on")
    add("--out", type=Path, metavar="DIR", help="folder of the runs, of results.json and ablation.md")
    add("--stored", type=Path, metavar="DIR", help="make ablation.md of stored results again, nothing else")
    add("--config", type=Path, default=CONFIG, metavar="FILE", help=f"default: {CONFIG.name} beside this")
    add("--limit", type=int, metavar="N", help="measure on the first N pictures only")
    add("--threads", type=int, default=1, metavar="N", help="CPU threads for torch; default: 1")
    add("--minutes", type=float, default=math.inf, metavar="N", help="stop training decoders after so long")
    given = parser.parse_args(arguments)
    if given.stored:
        (given.stored / PAGE).write_text(made_of(given.stored / "results.json", page))
        return
    if not (given.data and given.images and given.out):
        parser.error("--data, --images and --out are needed")
    usable(given.out)
    config = Config.load(given.config)
    images = find_images(given.images)[: given.limit]
    metrics = tuple(m for m in ("psnr_rgb", *JPEG_AI) if METRICS[m].missing() is None)
    for name in JPEG_AI:
        if name not in metrics:
            print(f"without {METRICS[name].label}: {METRICS[name].missing()}; no average", file=sys.stderr)
    if config.encoder is None:
        for variant in config.variants:
            train(config, variant, given.data, given.out, given.threads)
    elif not train_decoders(config, given.data, given.out, given.threads, begun + 60 * given.minutes):
        print("stopped before the end; the same command goes on", flush=True)
        return
    found = points(config, given.out, images, metrics)
    results = {
        **provenance(run_as(__file__, arguments)),
        "config": asdict(config),
        "metrics": metrics,
        "pictures": [p.name for p in images],
        "kmacs": costs(config),
        "points": found,
        "summary": summary(found, metrics),
    }
    (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (given.out / PAGE).write_text(page(results))
    print(render(results))


if __name__ == "__main__":
    sys.exit(main())
