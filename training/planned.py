"""The synthesis of a pack trained on, alone, on latents as files hold them: residuals on a trellis.

    python training/planned.py latents PACK PHOTOS --out FILE.npz [--each 4] [--seed 0]
    python training/planned.py train PACK RUN FILE.npz... --out RUN [--minutes 55] [--lr 2e-4]
    python training/planned.py pack PACK RUN PHOTOS --out PACK

Training rounds residuals plainly, as slopes need it.  A file's residuals have other, smaller errors, and a
synthesis that knows them needs fewer bits.  ``latents`` codes crops with the pack, at random levels, and
keeps what a decoder restores of them; ``train`` begins with the weights of RUN, and lowers the mean logarithm
of the squared error, so that every crop and every level counts alike; ``pack`` puts the synthesis of RUN, in
integers, into a copy of the pack.  Files of both packs differ in nothing but their pixels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from calotype.codec import library, manifest, tensors
from calotype.codec.latents import Networks, quantise, restored
from calotype.codec.pack import Pack
from calotype.lab.export import CROP, RANGE_CROPS, RANGES
from calotype.lab.models.calotype import Calotype
from calotype.lab.pack import fixed_synthesis
from calotype.lab.pack.calibrate import Array
from calotype.lab.pack.fixed_networks import FixedNetworks, golden_pixels
from calotype.lab.pack.folder import publish
from calotype.lab.train.data import Photos
from calotype.lab.train.state import State, load_weights
from calotype.lab.train.subject import Subject
from calotype.records.script import guarded, parser_of

SIDE = 20
"""Latents on a side of the crops that are kept; training takes ``PART`` of them, at random places."""
PART, BATCH = 16, 8
HELD = 12
"""One photograph of so many is held out."""
LEAST = 0.3
"""Squared error that is added before the logarithm, so that flat crops do not count for all."""
PACES = {"conv.": 0.4, "convs.": 0.4, "synthesis.patch": 0.1, "synthesis.split": 0.1}
"""Learning rates of some layers, as parts of the others' (`Calotype.learning_rate_factors`)."""


@guarded
def main() -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    for name, places in (("latents", ("photos",)), ("train", ("run", "files")), ("pack", ("run", "photos"))):
        command = commands.add_parser(name)
        command.add_argument("base", metavar="PACK")
        for place in places:
            command.add_argument(place, type=Path, nargs="+" if place == "files" else None)
        command.add_argument("--out", type=Path, required=True)
        if name == "latents":
            command.add_argument("--each", type=int, default=4, help="crops of a photograph [4]")
            command.add_argument("--seed", type=int, default=0)
        if name == "train":
            command.add_argument("--minutes", type=float, default=55)
            command.add_argument("--lr", type=float, default=2e-4)
    given = options.parse_args()
    {"latents": keep, "train": train, "pack": pack}[given.command](given, library.load(given.base))


def keep(given: argparse.Namespace, pack: Pack) -> None:
    """What files of crops of photographs hold: latents int16, their pixels, levels and photographs."""
    photos, rng = Photos.open(given.photos), np.random.default_rng(given.seed)
    rows: list[tuple[Any, ...]] = []
    for photo in range(len(photos.names)):
        for k in range(given.each):
            crop = photos.crops([photo], (given.seed, photo, k), 1, 16 * SIDE)[0].permute(1, 2, 0)
            pixels = np.ascontiguousarray(crop.numpy().astype(np.uint8))
            level = int(rng.integers(0, pack.manifest.max_level + 1))
            networks = Networks(pack, pack.level(level), 1)
            found = quantise(networks, pack.encoder.analysis(pixels)[None])
            rows.append((restored(networks, found).copy(), pixels, level, photo))
    arrays = dict(zip(("latents", "pixels", "level", "photo"), map(np.stack, zip(*rows, strict=True))))
    np.savez(given.out, **arrays)


class Crops:
    """What `keep` kept, and the error of a model's pixels."""

    def __init__(self, files: list[Path], pack: Pack, model: Calotype) -> None:
        stored = [np.load(file) for file in files]
        self.latents, self.pixels, level, photo = (
            np.concatenate([one[name] for one in stored]) for name in ("latents", "pixels", "level", "photo")
        )
        self.model, self.unit = model, torch.tensor(np.asarray(pack.unit, np.float32).reshape(-1))
        self.level = torch.tensor(level / 256, dtype=torch.float32)
        self.held, self.taken = np.flatnonzero(photo % HELD == 0), np.flatnonzero(photo % HELD)

    def errors(self, ids: Any, rows: Any, columns: Any, side: int) -> Tensor:
        """Mean squared error of each crop, but for a latent's pixels at its borders, on a 0..255 scale."""
        places = list(zip(ids, rows, columns, strict=True))
        y = np.stack([self.latents[i, a : a + side, b : b + side] for i, a, b in places])
        x = np.stack(
            [self.pixels[i, 16 * a : 16 * (a + side), 16 * b : 16 * (b + side)] for i, a, b in places]
        )
        y_hat = (torch.from_numpy(y).float() * self.unit).permute(0, 3, 1, 2)
        shown = self.model.synthesis(
            y_hat.contiguous(memory_format=torch.channels_last), self.model.levels(self.level[ids]).vector
        )
        wrong = 255 * shown - torch.from_numpy(x).permute(0, 3, 1, 2)
        return cast("Tensor", wrong[:, :, 16:-16, 16:-16].square().mean((1, 2, 3)))

    @torch.no_grad()
    def psnr(self) -> float:
        """Mean over the crops that are held out, in dB."""
        parts = [self.held[k : k + BATCH] for k in range(0, len(self.held), BATCH)]
        found = [self.errors(ids, np.zeros_like(ids), np.zeros_like(ids), SIDE) for ids in parts]
        return float((10 * torch.log10(255**2 / torch.cat(found))).mean())


def train(given: argparse.Namespace, pack: Pack) -> None:
    """The synthesis and the level vectors; all else stays."""
    state, model = loaded(given.run)
    crops, groups = Crops(given.files, pack, model), []
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith("synthesis.") or name == "levels.vector")
        if weight.requires_grad:
            pace = next((pace for part, pace in PACES.items() if part in name), 1.0)
            groups.append({"params": [weight], "pace": pace})
    chosen = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    average = {name: weight.detach().clone() for name, weight in chosen.items()}
    optimizer, rng = torch.optim.Adam(groups, betas=(0.9, 0.99)), np.random.default_rng(1)
    print(f"held out: {crops.psnr():.4f} dB", flush=True)
    begun, step = time.monotonic(), 0
    while (done := (time.monotonic() - begun) / 60 / given.minutes) < 1:
        for group in optimizer.param_groups:
            cosine = 0.02 + 0.49 * (1 + math.cos(math.pi * done))
            group["lr"] = given.lr * group["pace"] * cosine * min(1, step / 100)
        at = rng.integers(0, SIDE - PART + 1, (2, BATCH))
        errors = crops.errors(rng.choice(crops.taken, BATCH, replace=False), at[0], at[1], PART)
        optimizer.zero_grad()
        torch.log(errors + LEAST).mean().backward()
        torch.nn.utils.clip_grad_norm_(list(chosen.values()), 1.0)
        optimizer.step()
        step += 1
        with torch.no_grad():
            for name, weight in chosen.items():
                average[name].lerp_(weight, 1 - min(0.999, step / (step + 20)))
    model.load_state_dict(average, strict=False)
    megapixels = step * BATCH * (16 * PART) ** 2 / 1e6
    print(f"held out: {crops.psnr():.4f} dB after {step} steps, {megapixels:.0f} megapixels")
    given.out.mkdir(parents=True, exist_ok=True)
    replace(state, ema={**state.ema, **average}).average().save(given.out / "checkpoint.safetensors")


def pack(given: argparse.Namespace, base: Pack) -> None:
    """A copy of a pack with the synthesis of a run; the units of its latents stay."""
    _, model = loaded(given.run)
    photos = Photos.open(given.photos)
    taken, _ = photos.split(20)
    x = photos.crops(taken, (0, 0, RANGES), RANGE_CROPS, CROP) / 255.0
    levels = (torch.arange(RANGE_CROPS) + 0.5) / RANGE_CROPS * (len(model.config.lambdas) - 1)
    unit: Array = np.asarray(base.unit, np.float64).reshape(-1)
    units = fixed_synthesis.stream_units  # type: ignore[attr-defined]

    def units_of_base(*seen: Any) -> Array:
        found = units(*seen)
        return unit if len(found) == len(unit) else found

    fixed_synthesis.stream_units = units_of_base  # type: ignore[attr-defined, assignment]
    fixed = FixedNetworks(model, x, levels)
    tables = {**tensors.load(base.file(manifest.TABLES)), "level_vector": fixed.tables(model)["level_vector"]}
    networks = dict(tensors.load(base.file(manifest.NETWORKS)))
    for layer, name in (
        *((layer, f"mean.{name}") for name, layer in fixed.mean.layers().items()),
        (fixed.preview, "preview"),
    ):
        for part in ("weight", "bias", "mul"):
            ours = getattr(layer, part)
            setattr(layer, part, networks[f"{name}.{part}"].reshape(ours.shape).astype(ours.dtype))
    fixed.mean.base = networks["mean.base"].astype(fixed.mean.base.dtype)
    networks |= {name: array for name, array in fixed.arrays().items() if name.startswith("synthesis.")}
    tables |= golden_pixels(fixed, tables, tables)
    about = json.loads((base.path / manifest.NAME).read_text())
    about = {key: value for key, value in about.items() if key not in ("id", "files")}
    encoder = dict(tensors.load(base.file(manifest.ENCODER)))
    print(publish({"tables": tables, "networks": networks, "encoder": encoder}, about, given.out))


def loaded(run: Path) -> tuple[State, Calotype]:
    """A run's state, and its model with the averaged weights."""
    state = State.load(run)
    model = Subject.from_dict(state.model).build().model
    assert isinstance(model, Calotype)
    load_weights(model, state.ema, run)
    return state, model.eval()


if __name__ == "__main__":
    sys.exit(main())
