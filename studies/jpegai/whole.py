"""What each simplification of JPEG AI's decoder costs whole systems: pairs of trainings from one start.

    python -m studies.jpegai.whole train --data PHOTOS --out runs/whole       resumable (--minutes)
    python -m studies.jpegai.whole measure --images KODAK --out runs/whole    whole.json, whole.md
    python -m studies.jpegai.whole report --out studies/jpegai                whole.md of whole.json there

One baseline is trained first.  From it all systems go on: they have its weights in the encoder, the entropy
model and what all decoders have in common.  The other layers of the decoder are drawn afresh in all of them,
in the baseline too, by a seed; those that two systems have in common are drawn alike.  The systems of a seed
see the same crops and the same noise, and train their encoder, entropy model and decoder for as many steps;
they differ in the decoder's design alone.  Seeds come one after the other, so that a run that is stopped has
whole pairs.  What is compared are real files of the averaged weights, on the same middles of pictures.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.bench.runner import find_images
from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, read_info
from calotype.lab.evaluate import evaluate
from calotype.lab.models.base import LabModel
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from calotype.records.provenance import commit, provenance
from calotype.records.script import guarded, made_of, parser_of, run_as, usable
from studies.jpegai.decoders import shared
from studies.jpegai.whole_page import BASE, page
from studies.training import MODEL, train_part, trained

VARIANTS = (BASE, "attention-cs", "shuffle", "activation", "attention-ds", "combination")
OPTIONS = {"luma": 32, "chroma": 16, "hidden": [16, 8]}
LAMBDA = 0.0067
TRAIN = {
    "steps": 50, "batch": 4, "crop": 64, "lr": 1e-3, "warmup": 10, "decay": 0.5, "hard": 0.0, "ema": 0.95,
    "held_out": 1, "save_every": 200, "validate_every": 100_000, "log_every": 20,
}  # fmt: skip
START_TRAIN = {**TRAIN, "steps": 480, "lr": 2e-3, "warmup": 30, "ema": 0.99}
"""Of the baseline that all begin with."""
START = "start"
SEEDS = 5
"""At most; what is measured are those that all systems were trained with."""
START_SEED = 1000
"""Of the baseline that all begin with: its crops and its noise are not those of the pairs."""
SIDE = 256
"""Of the middles that are measured."""
RESULTS, PAGE = "whole.json", "whole.md"


def name(variant: str) -> str:
    """In the registry."""
    return f"jpegai2023-{variant}"


def build(variant: str, seed: int, start: Path | None = None, **options: Any) -> LabModel:
    """A system with the first weights of ``seed``: the baseline's wherever it has the same layers, else those
    of the first variant that has them; and with those of the checkpoint ``start`` in all that every system
    has.
    """

    def drawn(system: str) -> LabModel:
        torch.manual_seed(seed)
        model = registry.build(name(system), **options)
        assert isinstance(model, LabModel)
        return model

    model = drawn(variant)
    for other in reversed(VARIANTS[: VARIANTS.index(variant)]):
        _take(model, drawn(other), [name(other), name(variant)], options)
    if start is not None:
        _take(model, load_checkpoint(start), [name(v) for v in VARIANTS], options)
    return model


def _take(model: LabModel, other: LabModel, systems: Sequence[str], options: dict[str, Any]) -> None:
    """Give ``model`` the weights of ``other`` but for layers of the decoder that not all ``systems`` have."""
    decoder = {f"g_s.{key}" for key in shared(systems, options)}
    weights = other.state_dict()
    same = {key: v for key, v in weights.items() if key in decoder or not key.startswith("g_s.")}
    model.load_state_dict(same, strict=False)


def place(out: Path, variant: str, seed: int) -> Path:
    """Where a training lies."""
    return out / f"{variant}-{seed}"


def train(
    data: Sequence[Path], out: Path, deadline: float, *, seeds: int = SEEDS, options: Any = OPTIONS,
    steps: int = 0, cache: Path | None = None,
) -> bool:  # fmt: skip
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there."""
    torch.set_num_threads(1)
    photos = Photos.open(*data, cache=cache)

    def one(variant: str, seed: int, here: Path, of: dict[str, Any], start: Path | None) -> bool:
        if (here / MODEL).is_file():
            return True
        if time.monotonic() > deadline:
            return False
        config = TrainConfig.from_dict({**of, "seed": seed, **({"steps": steps} if steps else {})})
        subject = Subject(name(variant), options, lam=LAMBDA)
        first, begin = partial(build, variant, seed, start, **options), time.process_time()
        notes = {"lambda": LAMBDA, "commit": commit()}
        if not trained(subject, photos, config, here, deadline, first=first, notes=notes):
            return False
        spent = time.process_time() - begin
        print(f"{here.name}: {config.steps} steps, {spent:.0f} s of the processor", flush=True)
        return True

    start = out / START / MODEL
    return one(BASE, START_SEED, start.parent, START_TRAIN, None) and all(
        one(variant, seed, place(out, variant, seed), TRAIN, start)
        for seed in range(seeds)
        for variant in VARIANTS
    )


def middles(images: Sequence[Path], out: Path) -> list[Path]:
    """The middles of pictures, `SIDE` pixels on each side, as files."""
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    found = []
    for path in images:
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        top, left = (max(0, side - SIDE) // 2 for side in pixels.shape[:2])
        found.append(out / f"{path.stem}.png")
        Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(found[-1])
    return found


def measure(out: Path, images: Sequence[Path]) -> dict[str, Any]:
    """Code the middles with every system that is trained, of all seeds that have a baseline.

    Raises:
        ValueError: where fewer than two seeds have all systems.
    """
    there = {(v, s) for s in range(SEEDS) for v in VARIANTS if (place(out, v, s) / MODEL).is_file()}
    seeds = [s for s in range(SEEDS) if (BASE, s) in there]
    whole = [s for s in seeds if all((v, s) in there for v in VARIANTS)]
    if len(whole) < 2:
        raise ValueError(f"{out}: two seeds with all systems are needed, found {len(whole)}")
    pictures, runs = middles(images, out / "pictures"), []
    begun = _measured(out / START, pictures)
    for seed in seeds:
        for variant in (v for v in VARIANTS if (v, seed) in there):
            runs.append({"variant": variant, "seed": seed, **_measured(place(out, variant, seed), pictures)})
    return {
        "options": OPTIONS, "lambda": LAMBDA, "train": TRAIN, "start_train": START_TRAIN, "side": SIDE,
        "start": begun,
        "pictures": [p.stem for p in pictures], "kmacs": _kmacs(), "runs": runs,
    }  # fmt: skip


def _measured(here: Path, pictures: Sequence[Path]) -> dict[str, Any]:
    """Means over pictures of one trained system, measured once; its steps and the commit of its training."""
    kept, keys = here / "measures.json", ("bpp", "estimated_bpp", "psnr")
    if not kept.is_file():
        found = list(evaluate(here / MODEL, pictures))[:-1]
        kept.write_text(json.dumps([{key: row[key] for key in ("image", *keys)} for row in found]))
    rows, notes = json.loads(kept.read_text()), read_info(here / MODEL).training
    means = {key: statistics.fmean(r[key] for r in rows) for key in keys}
    return {**{key: notes[key] for key in ("steps", "commit")}, "cost": cost(rows, LAMBDA), **means}


def cost(rows: Sequence[dict[str, Any]], lam: float) -> float:
    """J: bits per pixel and lambda times MSE (0..255), the mean over pictures."""
    return statistics.fmean(r["bpp"] + lam * 255**2 * 10 ** (-r["psnr"] / 10) for r in rows)


def _kmacs() -> dict[str, float]:
    """kMAC per pixel of each decoder's transform, exact rule, at the widths of this run."""
    from studies.jpegai.complexity import decoder_kmacs

    found = {}
    for variant in VARIANTS:
        model: Any = registry.build(name(variant), **OPTIONS)
        found[variant] = decoder_kmacs(model.g_s, sum(model.channels))[0]["exact"]
    return found


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part."""
    begun = time.monotonic()
    parser = parser_of(__file__, __doc__)
    add = parser.add_argument
    add("part", choices=("train", "measure", "report"))
    add("--out", type=Path, required=True, metavar="DIR")
    add("--data", nargs="+", type=Path, default=[], metavar="FOLDER", help="photographs to train on")
    add("--images", nargs="+", type=Path, default=[], metavar="PATH", help="pictures to measure on")
    add("--limit", type=int, default=12, metavar="N", help="pictures to measure on; default: 12")
    add("--seeds", type=int, default=SEEDS, metavar="N", help=f"to train, at most {SEEDS}; default: {SEEDS}")
    add("--minutes", type=float, default=math.inf, metavar="N", help="stop training after so long")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "train":
        if not 1 <= given.seeds <= SEEDS:
            parser.error(f"--seeds must be 1 to {SEEDS}, got {given.seeds}")
        train_part(parser, given, begun, partial(train, seeds=given.seeds))
        return
    if given.part == "measure":
        if not given.images:
            parser.error("--images is needed for measuring")
        shown = find_images(given.images)[: given.limit]
        record = provenance(run_as(__file__, arguments)) | measure(given.out, shown)
        (given.out / RESULTS).write_text(json.dumps(record, indent=1) + "\n")
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))
    print((given.out / PAGE).read_text())


if __name__ == "__main__":
    sys.exit(main())
