"""Learned systems beside classical codecs in one table: briefly trained ones, the pack that ships, and
published curves.

    python -m studies.short_runs.beside train --data PHOTOS --out RUN         weights, resumable (--minutes)
    python -m studies.short_runs.beside cut --kodak KODAK --large LARGE --out RUN       pictures
    calotype bench RUN/kodak RUN/large --codecs ... --out RUN/bench           `command` below has all of it
    python -m studies.short_runs.beside keep --out RUN                        RUN/beside.json and beside.md
    python -m studies.short_runs.beside report --out studies/short_runs       beside.md of beside.json there
    python -m studies.short_runs.beside renew --bench BENCH/results.json --out studies/short_runs
                                          the rows of our packs from a later run, of the same pictures

The weights of five families are trained here for some minutes with few channels, which says nothing
of a system; the table says so at each of them, and has the published curve of the same system beside it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from calotype.bench.runner import find_images
from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, read_info, save_checkpoint
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import commit, shown
from calotype.records.script import by_points, guarded, made_of, parser_of, usable
from studies.short_runs.beside_page import SHIPPED, page
from studies.training import MODEL, train_part, trained

RESULTS, PAGE = "beside.json", "beside.md"
WEIGHTS = "weights"
SIZE = (768, 512)
"""Width and height of what is cut from the middle of large pictures."""
TRAIN = {
    "batch": 4, "crop": 128, "lr": 2e-3, "warmup": 50, "decay": 0.5, "hard": 0.0, "ema": 0.99, "held_out": 1,
    "save_every": 200, "validate_every": 100_000, "log_every": 100,
}  # fmt: skip


class Run(NamedTuple):
    """One system: multipliers, each trained from the weights of the one before, and steps of each."""

    lambdas: tuple[float, ...]
    steps: tuple[int, ...]
    options: dict[str, Any] | None = None
    """Sizes; None: those of the registry for tests."""
    train: dict[str, Any] | None = None
    """What is otherwise than in `TRAIN`."""


RUNS = {
    "balle2018-factorized": Run((0.1,), (3500,), {"n": 16, "m": 24}),
    "balle2018-hyperprior": Run((0.1,), (3200,), {"n": 16, "m": 24}),
    "he2021-minnen": Run((0.1,), (700,), {"n": 16, "m": 24}),
    "jpegai-bop": Run((0.1,), (350,)),
    "toderici2017-lstm": Run(
        (0.02,), (300,), {"n": 64, "bits": 32, "iterations": 4, "context": 8, "cell": "lstm"},
        {"batch": 4, "crop": 64},
    ),
}  # fmt: skip
"""Half a minute to three minutes each, on a core with AVX-512.  The recurrent one has as many bits
for each iteration as published, and the smallest crops it takes."""
QUALITIES = {
    "jpeg-444": (2, 8, 28, 70), "webp": (0, 12, 50, 85), "avif-444": (8, 20, 45, 75),
    "vvc": (42,), **dict.fromkeys(SHIPPED, (0, 28, 57, 85)),
}  # fmt: skip
RECURRENT = ("toderici2017-lstm",)
PARTS = (1, 2, 4)
"""Iterations of the recurrent system's files: 0.125, 0.25 and 0.5 bits per pixel before entropy coding."""


def train(
    data: Sequence[Path], out: Path, deadline: float, runs: Any = None, cache: Path | None = None
) -> bool:
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there."""
    torch.set_num_threads(1)
    photos = Photos.open(*data, cache=cache)
    for name, run in (runs or RUNS).items():
        options, before = run.options or registry.entry(name).thin, None
        for lam, steps in zip(run.lambdas, run.steps, strict=True):
            kept = out / WEIGHTS / name / f"{lam:g}.safetensors"
            if not kept.is_file():
                if time.monotonic() > deadline:
                    return False
                here = out / "runs" / name / f"{lam:g}"
                config = TrainConfig.from_dict({**TRAIN, **(run.train or {}), "steps": steps})
                first = None if before is None else partial(load_checkpoint, before, expect=name)
                notes = {"lambda": lam, "commit": commit()}
                begin, subject = time.process_time(), Subject(name, options, lam=lam)
                done = trained(subject, photos, config, here, deadline, first=first, notes=notes)
                spent = _spent(here, time.process_time() - begin)
                if not done:
                    return False
                info = read_info(here / MODEL)
                kept.parent.mkdir(parents=True, exist_ok=True)
                told = {**info.training, "processor_seconds": round(spent)}
                save_checkpoint(kept, load_checkpoint(here / MODEL), told)
                print(f"{name}, lambda {lam:g}: {steps} steps, {spent:.0f} s of the processor", flush=True)
            before = kept
    return True


def _spent(here: Path, seconds: float) -> float:
    """Seconds of the processor that a training took until now, over all its sessions."""
    file = here / "spent.json"
    seconds += json.loads(file.read_text()) if file.is_file() else 0.0
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(seconds))
    return seconds


def cut(kodak: Sequence[Path], large: Sequence[Path], out: Path) -> None:
    """Kodak's pictures as they are, and the middles of large ones, as files."""
    from PIL import Image

    for name, paths in (("kodak", kodak), ("large", large)):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
            if name == "large":
                left, top = ((a - b) // 2 for a, b in zip(image.size, SIZE))
                image = image.crop((left, top, left + SIZE[0], top + SIZE[1]))
            image.save(folder / f"{path.stem}.png")


def command(out: Path) -> list[str]:
    """The arguments of `calotype bench` for what was trained."""
    folders = sorted(p.name for p in (out / WEIGHTS).iterdir())
    codecs = [*QUALITIES, *(f"lab:{out / WEIGHTS / name}" for name in folders)]
    words = [str(out / "kodak"), str(out / "large"), "--codecs", ",".join(codecs)]
    for name, qualities in QUALITIES.items():
        words += ["--qualities", f"{name}={','.join(map(str, qualities))}"]
    for codec, name in zip(codecs[len(QUALITIES) :], folders, strict=True):
        if name in RECURRENT:
            words += ["--qualities", f"{codec}={','.join(map(str, PARTS))}"]
    rest = "--metrics psnr_rgb --timing 0 --pictures 0 --no-report --workers 1 --timeout 3000"
    return ["bench", *words, *rest.split(), "--out", str(out / "bench")]


def keep(out: Path) -> dict[str, Any]:
    """What is stored of a run of the benchmark: points, and how the weights were trained."""
    results = json.loads((out / "bench" / "results.json").read_text())
    kodak = {p.name for p in (out / "kodak").iterdir()}
    weights = {}
    for folder in sorted((out / WEIGHTS).iterdir()):
        infos = sorted(map(read_info, folder.iterdir()), key=lambda i: i.training["lambda"])
        notes = [
            {k: i.training[k] for k in ("lambda", "steps", "processor_seconds", "commit")} for i in infos
        ]
        weights[folder.name] = {"config": infos[0].config, "trained": notes}
        if other := RUNS[folder.name].train:
            weights[folder.name]["train"] = other
    return {
        **_made(results), "failures": results["failures"], "train": TRAIN, "weights": weights,
        "points": _points(results, kodak),
    }  # fmt: skip


def renewed(record: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """What is stored, with the points of our packs from a later run of the benchmark.

    Raises:
        ValueError: when that run has none, or not of all pictures.
    """
    pictures = {(p["set"], p["image"]) for p in record["points"]}
    points = _points(results, {image for where, image in pictures if where == "kodak"})
    ours = [p for p in points if p["codec"] in SHIPPED]
    if {(p["set"], p["image"]) for p in ours} != pictures or results["failures"]:
        raise ValueError("the run has not our packs on all the pictures")
    others = {name: v for name, v in record["versions"].items() if name not in SHIPPED}
    kept = [p for p in record["points"] if p["codec"] not in SHIPPED]
    return record | {"versions": others, "shipped": _made(results), "points": kept + ours}


def _made(results: dict[str, Any]) -> dict[str, Any]:
    keys = ("commit", "hardware", "libraries", "finished")
    versions = {n: c["version"] for n, c in results["codecs"].items() if not n.startswith("lab:")}
    told = {key: results[key] for key in keys}
    return {"command": shown(results["command"]), **told, "versions": versions}


def _points(results: dict[str, Any], kodak: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "codec": m["codec"].removeprefix("lab:").removesuffix(" (short training)"),
            "set": "kodak" if m["image"] in kodak else "large", "image": m["image"], "quality": m["quality"],
            "bpp": round(m["bpp"], 5), "psnr": round(m["metrics"]["psnr_rgb"], 4),
        }
        for m in results["measurements"]
    ]  # fmt: skip


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("part", choices=("train", "cut", "command", "keep", "renew", "report"))
    add("--out", type=Path, required=True, metavar="DIR")
    add("--data", nargs="+", type=Path, default=[], metavar="FOLDER", help="photographs to train on")
    add("--kodak", nargs="+", type=Path, default=[], metavar="PATH", help="pictures of Kodak")
    add("--large", nargs="+", type=Path, default=[], metavar="PATH", help="large pictures")
    add("--bench", type=Path, metavar="FILE", help="results.json of calotype bench, to renew from")
    add("--minutes", type=float, default=math.inf, metavar="N", help="stop training after so long")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "train":
        train_part(parser, given, begun, train)
    elif given.part == "cut":
        if not (given.kodak and given.large):
            parser.error("--kodak and --large are needed")
        cut(find_images(given.kodak), find_images(given.large), given.out)
    elif given.part == "command":
        print(shown(["calotype", *command(given.out)]))
    else:
        if given.part == "keep":
            (given.out / RESULTS).write_text(by_points(keep(given.out)))
        if given.part == "renew":
            if not given.bench:
                parser.error("--bench is needed")
            record = made_of(given.out / RESULTS, partial(renewed, results=made_of(given.bench, dict)))
            (given.out / RESULTS).write_text(by_points(record))
        (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))
        print((given.out / PAGE).read_text())


if __name__ == "__main__":
    sys.exit(main())
