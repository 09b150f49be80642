"""What the adversarial term of HiFiC (Mentzer et al. 2020) does to a decoder, at the same bytes.

``python -m studies.adversarial --data FOLDER --out studies/adversarial``

For each seed a narrow HiFiC is trained without its discriminator.  From there on encoder and probabilities
stay as they are, so that every file stays the same to the byte, and only the decoder goes on: without the
adversarial term, and with it at some strengths (C_P), from the same weights on the same crops.  Held-out
photographs are then decoded by each.

OUT/results.json   everything that was measured, of the seeds that are through; a stopped run begins again
OUT/pictures.jpg   crops: original, then one column for each decoder of the first seed
OUT/README.md      the page, made of results.json alone; without ``--data`` it is made again
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from calotype.lab import registry
from calotype.lab.adversarial import feature_stand_in, sharpness
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy import Estimate
from calotype.lab.metrics import psnr
from calotype.lab.models.mentzer2020 import HiFiC
from calotype.lab.objective import RateDistortion
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.records.provenance import provenance
from calotype.records.script import guarded, made_of, run_as, usable
from studies.adversarial.page import markdown

RESULTS, PAGE, PICTURES = "results.json", "README.md", "pictures.jpg"
SIZES = {"width": 8, "m": 24, "n": 16, "blocks": 1, "critic": 16, "target": 0.3}
STRENGTHS = (0.0, 0.15, 0.6)
"""0: without; 0.15: published."""
WARMUP = 30
"""Steps over which the learning rate rises."""
GIVEN = ("steps", "branch_steps", "crop", "batch", "lr", "branch_lr")
SHOWN = 3
"""Photographs in the picture, 128 pixels square of each."""


def train(
    model: HiFiC,
    photos: Photos,
    indices: Sequence[int],
    steps: int,
    crop: int,
    batch: int,
    seed: int,
    lr: float,
) -> float:
    """Steps of Adam on crops that (seed, step) decides, its rate falling to nothing over the second half;
    returns the mean loss of the last tenth.
    """
    objective, schedule = (
        RateDistortion(model.train(), 1.0),
        TrainConfig(steps, lr=lr, warmup=WARMUP, decay=0.5),
    )
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.Adam(wanted, lr), list[float]()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = schedule.learning_rate(step)
        x = photos.crops(indices, (seed, step), batch, crop)
        torch.manual_seed(1000 * seed + step)
        loss, _ = objective.training_loss(x, None, hard=False)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(wanted, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if step % 100 == 0:
            print(f"step {step} of {steps}: {losses[-1]:.3f}", flush=True)
    model.eval()
    return float(np.mean(losses[-max(1, steps // 10) :]))


def branched(model: HiFiC, strength: float) -> HiFiC:
    """A copy of which only the decoder and the discriminator learn."""
    twin = copy.deepcopy(model)
    twin.strength, twin.deceive = strength, strength > 0
    for name, p in twin.named_parameters():
        p.requires_grad_(name.startswith(("g_s.", "discriminator.")))
    return twin


@torch.no_grad()
def measured(model: HiFiC, crops: Tensor) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Figures of each crop (uint8 ``[n, 3, S, S]``), and what files of them decode to."""
    codec = ModelCodec(model)
    rows: dict[str, list[float]] = {"bytes": [], "psnr": [], "sharpness": [], "features": []}
    shown = []
    for crop in crops.split(1):
        image = crop[0].permute(1, 2, 0).numpy()
        data = codec.encode(image)
        shown.append(codec.decode(data))
        x = crop / 255
        y = torch.from_numpy(shown[-1].copy()).permute(2, 0, 1)[None] / 255
        rows["bytes"].append(len(data))
        rows["psnr"].append(round(float(psnr(x, y)), 3))
        rows["sharpness"].append(round(float(sharpness(y) / sharpness(x)), 4))
        rows["features"].append(round(float(feature_stand_in(model.g_a, x, y)), 4))
    return rows, shown


def picture(crops: Tensor, columns: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """The middle of the first photographs: original, and what each decoder made."""
    originals = [crop.permute(1, 2, 0).numpy() for crop in crops]
    edge = (originals[0].shape[0] - 128) // 2
    rows = [
        np.concatenate(
            [images[i][edge : edge + 128, edge : edge + 128] for images in (originals, *columns)], 1
        )
        for i in range(min(SHOWN, len(originals)))
    ]
    return Image.fromarray(np.concatenate(rows, 0))


def run(
    photos: Photos, seed: int, say: Callable[[str], None], given: argparse.Namespace
) -> tuple[dict[str, Any], Image.Image]:
    """Train, branch, measure: what one seed gives."""
    indices, held_out = photos.split(given.held_out)
    crops = photos.centres(held_out, 256)
    torch.manual_seed(seed)
    model = registry.build("mentzer2020-hific", **SIZES)
    assert isinstance(model, HiFiC)
    model.deceive = False
    shape = {"crop": given.crop, "batch": given.batch}
    loss = train(model, photos, indices, given.steps, seed=seed, lr=given.lr, **shape)
    with torch.no_grad():
        bpp = float(np.mean([float(model(c[None] / 255, coder=Estimate("round")).bpp) for c in crops]))
    say(f"seed {seed}, without the discriminator: loss {loss:.3f}, {bpp:.3f} bpp")
    rows, columns = [], []
    for strength in given.strengths:
        twin = branched(model, strength)
        train(twin, photos, indices, given.branch_steps, seed=seed + 1000, lr=given.branch_lr, **shape)
        found, shown = measured(twin, crops)
        columns.append(shown)
        rows.append({"strength": strength, **found})
        say(f"C_P {strength:g}: " + ", ".join(f"{k} {np.mean(v):.4g}" for k, v in found.items()))
    return {"seed": seed, "decoders": rows}, picture(crops, columns)


def store(out: Path, record: dict[str, Any]) -> int:
    """Write the results and the page made of them."""
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULTS).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / PAGE).write_text(markdown(record), encoding="utf-8")
    return 0


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    options = argparse.ArgumentParser(
        prog="python -m studies.adversarial", description=__doc__.split("\n")[0]
    )
    add = options.add_argument
    add("--data", nargs="+", type=Path, metavar="FOLDER", help="photographs, as for calotype lab train")
    add("--out", type=Path, required=True, metavar="FOLDER", help="for the results and the page")
    add("--cache", type=Path, metavar="DIR", help="where decoded photographs are kept")
    add("--steps", type=int, default=1000, help="before decoders part; default: 1000")
    add("--branch-steps", type=int, default=500, help="of each decoder; default: 500")
    add("--crop", type=int, default=128, help="side; default: 128")
    add("--batch", type=int, default=4, help="crops; default: 4")
    add("--lr", type=float, default=4e-3, help="learning rate; default: 4e-3")
    add("--branch-lr", type=float, default=1e-3, help="of the decoders; default: 1e-3")
    add("--held-out", type=int, default=8, help="photographs to measure on; default: 8")
    add("--strengths", type=float, nargs="+", default=list(STRENGTHS), metavar="C_P", help="0 is without")
    add("--seeds", type=int, default=3, metavar="N", help="starts, each with its decoders; default: 3")
    given = options.parse_args(arguments)
    if not given.data:
        return made_of(given.out / RESULTS, partial(store, given.out))
    usable(given.out)
    torch.set_num_threads(1)
    photos = Photos.open(*given.data, cache=given.cache)
    runs = list[dict[str, Any]]()
    for seed in range(given.seeds):
        found, shown = run(photos, seed, partial(print, flush=True), given)
        runs.append(found)
        record = {
            **provenance(run_as("studies.adversarial", arguments)), "sizes": SIZES, "warmup": WARMUP,
            **{key: getattr(given, key) for key in GIVEN},
            "photographs": photos.describe(), "crops": [256, 256], "runs": runs,
        }  # fmt: skip
        store(given.out, record)
        if not seed:
            shown.save(given.out / PICTURES, quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
