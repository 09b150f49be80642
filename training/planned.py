"""The synthesis of a pack trained on, alone, on latents as files hold them: residuals on a trellis.

    python training/planned.py latents PACK PHOTOS --out FILE.npz [--each 4] [--seed 0]
    python training/planned.py train PACK RUN FILE.npz... --out RUN [--minutes 55] [--lr 2e-4]
                                        [--own] [--round]
    python training/planned.py pack PACK RUN FILE.npz... --out PACK

Training rounds residuals plainly, as slopes need it.  A file's residuals have other, smaller errors, and a
synthesis that knows them needs fewer bits.  ``latents`` codes crops with the pack, at random levels, and
keeps what a decoder restores of them; ``train`` begins with the weights of RUN (with ``--own``, those of the
pack, whose integers become floats), and lowers what the pack was trained for: the mean logarithm of the
squared error, or SSIMULACRA2 with a fifth of it, so that every crop and every level counts alike; with
``--round``, for a last run, it computes as decoders do (`calotype.lab.models.calotype_rounding`), with the
weights of 7 bits as they are rounded to at its start, and the others learn to live with that; ``pack`` puts
the synthesis of RUN, in integers, into a copy of the pack.  Files of both packs differ in nothing but their
pixels.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import floats  # beside this file
import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from calotype.codec import library, manifest, tensors
from calotype.codec.latents import Networks, quantise, restored
from calotype.codec.pack import Pack
from calotype.coder import DecoderNetworks, LevelPixels
from calotype.lab.export import RANGE_CROPS
from calotype.lab.losses.ssimulacra2 import ssimulacra2
from calotype.lab.metrics import mse255
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_objective import MSE_SHARE
from calotype.lab.models.calotype_transforms import Branch
from calotype.lab.pack.calibrate import SIDE as SIDE_OF_EDGES
from calotype.lab.pack.calibrate import Array, hard_pictures
from calotype.lab.pack.fixed_networks import FixedNetworks, golden_pixels
from calotype.lab.pack.fixed_synthesis import FixedSynthesis
from calotype.lab.pack.folder import publish
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.optim import build_optimizer, set_rates
from calotype.lab.train.state import State, load_weights
from calotype.lab.train.subject import Subject
from calotype.pack.levels import interpolated
from calotype.records.script import guarded, parser_of

SIDE = 20
"""Latents on a side of the crops that are kept; training takes ``PART`` of them, at random places."""
PART, BATCH = 16, 8
INNER = np.s_[:, :, 16:-16, 16:-16]
"""What of a crop's pixels is looked at: all but a latent's at its borders."""
RECORD, UNITS = "planned.json", "units.safetensors"
MOST = 0.03
"""Decibels that integers may lose: half a percent of rate, about."""
LOGGED = 500
HELD = 12
"""One photograph of so many is held out."""
LEAST = 0.3
"""Squared error that is added before the logarithm, so that flat crops do not count for all."""
SQUARED, POINTS = 1 / math.log(2), 1 / 18
"""What a unit of the logarithm of the squared error, and a point of SSIMULACRA2, are worth in octaves of
rate, about: an octave halves the error, and is 18 points."""


@guarded
def main() -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    for name, places in (("latents", ("photos",)), ("train", ("run", "files")), ("pack", ("run", "files"))):
        command = commands.add_parser(name)
        command.add_argument("base", metavar="PACK")
        for place in places:
            command.add_argument(place, type=Path, nargs="+" if place == "files" else None)
        command.add_argument("--out", type=Path, required=True)
        if name == "latents":
            command.add_argument("--each", type=int, default=4, help="crops of a photograph [4]")
            command.add_argument("--seed", type=int, default=0)
        if name == "pack":
            command.add_argument(
                "--most", type=float, default=MOST, help=f"dB that integers may lose [{MOST}]"
            )
        if name == "train":
            command.add_argument("--minutes", type=float, default=55, help="of a CPU [55]")
            command.add_argument("--lr", type=float, default=2e-4)
            command.add_argument("--own", action="store_true", help="begin with the weights of the pack")
            command.add_argument("--round", action="store_true", help="compute as decoders do")
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
            rows.append((coded(networks, pack, pixels), pixels, level, photo))
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
        self.looks = pack.manifest.distortion == "ssimulacra2"
        self.level = torch.tensor(level / 256, dtype=torch.float32)
        self.held, self.taken = np.flatnonzero(photo % HELD == 0), np.flatnonzero(photo % HELD)

    def shown(self, ids: Any, rows: Any, columns: Any, side: int) -> tuple[Tensor, Tensor]:
        """Crops and what the model shows for them, in 0..1, but for a latent's pixels at their borders."""
        places = list(zip(ids, rows, columns, strict=True))
        y = np.stack([self.latents[i, a : a + side, b : b + side] for i, a, b in places])
        x = np.stack(
            [self.pixels[i, 16 * a : 16 * (a + side), 16 * b : 16 * (b + side)] for i, a, b in places]
        )
        y_hat = (torch.from_numpy(y).float() * self.unit).permute(0, 3, 1, 2)
        x_hat = self.model.synthesis(
            y_hat.contiguous(memory_format=torch.channels_last), self.model.levels(self.level[ids]).vector
        )
        return (torch.from_numpy(x).permute(0, 3, 1, 2) / 255)[INNER], x_hat[INNER]

    def loss(self, ids: Any, rows: Any, columns: Any, side: int) -> Tensor:
        """Mean over the crops, in octaves of rate."""
        x, x_hat = self.shown(ids, rows, columns, side)
        squared = SQUARED * torch.log(mse255(x, x_hat) + LEAST)
        if not self.looks:
            return squared.mean()
        return (MSE_SHARE * squared + (1 - MSE_SHARE) * POINTS * (100 - ssimulacra2(x, x_hat))).mean()

    @torch.no_grad()
    def input(self, latents: Array, level: Tensor) -> Tensor:
        """What the synthesis reads, level vector included, ``[N, M, h, w]``."""
        y_hat = (torch.from_numpy(latents).float() * self.unit).permute(0, 3, 1, 2)
        return y_hat + self.model.levels(level).vector

    @torch.no_grad()
    def lost(self, decoder: DecoderNetworks, vectors: Array) -> dict[str, float]:
        """What integers lose on the crops that are held out, as means of `judged`."""
        whole, found = self.judged(), []
        for k in self.held:
            vector = interpolated(vectors, round(256 * float(self.level[k])))
            level = LevelPixels(vector.astype(np.int32), None)
            shown = decoder.synthesis(level, np.ascontiguousarray(self.latents[k]))
            x, x_hat = (
                (torch.from_numpy(pixels)[None].permute(0, 3, 1, 2) / 255)[INNER]
                for pixels in (self.pixels[k], shown)
            )
            one = {"dB": 10 * torch.log10(255**2 / mse255(x, x_hat))}
            if self.looks:
                one["points"] = ssimulacra2(x, x_hat)
            found.append({name: float(value) for name, value in one.items()})
        return {name: round(whole[name] - float(np.mean([one[name] for one in found])), 4) for name in whole}

    @torch.no_grad()
    def judged(self) -> dict[str, float]:
        """Means over the crops that are held out: PSNR in dB and, where it is what counts, SSIMULACRA2."""
        found: dict[str, list[Tensor]] = {}
        for k in range(0, len(self.held), BATCH):
            ids = self.held[k : k + BATCH]
            x, x_hat = self.shown(ids, np.zeros_like(ids), np.zeros_like(ids), SIDE)
            found.setdefault("dB", []).append(10 * torch.log10(255**2 / mse255(x, x_hat)))
            if self.looks:
                found.setdefault("points", []).append(ssimulacra2(x, x_hat))
        return {name: round(float(torch.cat(values).mean()), 4) for name, values in found.items()}


def train(given: argparse.Namespace, pack: Pack) -> None:
    """The synthesis and the level vectors; all else stays."""
    state, model = loaded(given.run)
    if given.own:
        floats.take(pack, model)
    crops = Crops(given.files, pack, model)
    held = [crops.judged()]
    hidden = fixed(crops, pack).hidden if given.round else {}
    still = rounding(model, hidden)
    held += [crops.judged()] if hidden else []
    print(f"held out: {', rounded: '.join(map(str, held))}", flush=True)
    average, step = descend(crops, "adam", given.lr, given.minutes, still=still)
    held.append(crops.judged())
    megapixels = step * BATCH * (16 * PART) ** 2 / 1e6
    print(f"held out: {held[-1]} after {step} steps, {megapixels:.0f} megapixels")
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / UNITS).unlink(missing_ok=True)
    if hidden:
        units = {f"{name}.{k}": unit for name, some in hidden.items() for k, unit in enumerate(some)}
        save_file(units, given.out / UNITS)
        average |= {name: weight for name, weight in model.named_parameters() if name.endswith(".weight")}
    replace(state, ema={**state.ema, **average}).average().save(given.out / "checkpoint.safetensors")
    record = {
        "trained on": "latents as files hold them (training/planned.py)",
        "crops": len(crops.taken), "megapixels": round(megapixels), "minutes": given.minutes, "lr": given.lr,
        "computed": "as decoders do" if hidden else "in floats", "held out": held,
    }  # fmt: skip
    (given.out / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def descend(
    crops: Crops,
    optimizer: str,
    lr: float,
    minutes: float,
    prepare: Callable[[float], None] | None = None,
    still: Sequence[nn.Parameter] = (),
) -> tuple[dict[str, Tensor], int]:
    """Train the synthesis and the level vectors; leaves the averaged weights in the model.

    minutes: of CPU time, of all threads together
    prepare: called before each step with what part of the time has gone
    still: what of it is not trained

    Returns the averaged weights that were trained, and the number of steps.
    """
    model = crops.model.train()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith("synthesis.") or name == "levels.vector")
    for weight in still:
        weight.requires_grad_(False)
    chosen = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    average = {name: weight.detach().clone() for name, weight in chosen.items()}
    made = build_optimizer(TrainConfig(optimizer=optimizer, lr=lr, precondition=50), model)
    begun, step, seen, rng = time.process_time(), 0, 0.0, np.random.default_rng(1)
    while (done := (time.process_time() - begun) / 60 / minutes) < 1:
        cosine = 0.02 + 0.49 * (1 + math.cos(math.pi * done))
        rate = lr * cosine * min(1, step / 100)
        set_rates(made, rate, torch.tensor(rate))
        if prepare is not None:
            prepare(done)
        at = rng.integers(0, SIDE - PART + 1, (2, BATCH))
        made.zero_grad()
        loss = crops.loss(rng.choice(crops.taken, BATCH, replace=False), at[0], at[1], PART)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(chosen.values()), 1.0)
        made.step()
        step, seen = step + 1, seen + loss.item()
        if step % LOGGED == 0:
            print(f"{step} steps, {60 * minutes * done:.0f} s, loss {seen / LOGGED:.4f}", flush=True)
            seen = 0.0
        with torch.no_grad():
            for name, weight in chosen.items():
                average[name].lerp_(weight, 1 - min(0.999, step / (step + 20)))
    model.load_state_dict(average, strict=False)
    model.eval()
    return average, step


def rounding(model: Calotype, hidden: Mapping[str, Sequence[Array]]) -> list[nn.Parameter]:
    """Compute as decoders do from now on, with these units of what branches hide (none: in floats).

    Returns the weights of 7 bits.  They are as they are rounded to, and to be left so: trained, many move to
    and fro over the edge of a step, and their mean ends there (Nagel et al. 2022).
    """
    found = []
    for name, units in hidden.items():
        part = model.synthesis.get_submodule(name)
        assert isinstance(part, Branch)
        part.units = [torch.from_numpy(unit).float() for unit in units]
        part.settle()
        found += [layer.weight for layer in part.readers()]
    return found


def chosen(crops: Crops) -> Array:
    """Crops to choose units on."""
    return crops.taken[:: -(-len(crops.taken) // RANGE_CROPS)]


def fixed(crops: Crops, base: Pack, hidden: Mapping[str, Sequence[Array]] | None = None) -> FixedSynthesis:
    """The synthesis of the crops' model in integers, for the latents of ``base``."""
    some = chosen(crops)
    edges = np.uint8(255 * hard_pictures(SIDE_OF_EDGES).permute(0, 2, 3, 1).numpy())
    networks = Networks(base, base.level(base.manifest.max_level), 1)
    extremes = np.stack([coded(networks, base, one) for one in edges])
    most = torch.full((len(edges),), base.manifest.max_level / 256)
    return FixedSynthesis(
        crops.model.synthesis,
        crops.input(crops.latents[some], crops.level[some]),
        crops.input(extremes, most),
        np.asarray(base.unit, np.float64).reshape(-1),
        hidden,
    )


def pack(given: argparse.Namespace, base: Pack) -> None:
    """A copy of a pack with the synthesis of a run; the units of its latents stay."""
    _, model = loaded(given.run)
    crops = Crops(given.files, base, model)
    some = chosen(crops)
    x = torch.from_numpy(crops.pixels[some, : 16 * PART, : 16 * PART]).permute(0, 3, 1, 2) / 255
    made = FixedNetworks(model, x, crops.level[some])
    made.unit = np.asarray(base.unit, np.float64).reshape(-1)
    made.synthesis = fixed(crops, base, units_of(given.run))
    tables = {**tensors.load(base.file(manifest.TABLES)), "level_vector": made.tables(model)["level_vector"]}
    networks = dict(tensors.load(base.file(manifest.NETWORKS)))
    for layer, name in (
        *((layer, f"mean.{name}") for name, layer in made.mean.layers().items()),
        (made.preview, "preview"),
    ):
        for part in ("weight", "bias", "mul"):
            ours = getattr(layer, part)
            setattr(layer, part, networks[f"{name}.{part}"].reshape(ours.shape).astype(ours.dtype))
    made.mean.base = networks["mean.base"].astype(made.mean.base.dtype)
    networks = {name: array for name, array in networks.items() if not name.startswith("synthesis.")}
    networks |= {name: array for name, array in made.arrays().items() if name.startswith("synthesis.")}
    tables |= golden_pixels(made, tables, tables)
    lost = crops.lost(DecoderNetworks(networks), tables["level_vector"])
    print(f"integers lose {lost}")
    if lost["dB"] > given.most:
        raise SystemExit(f"integers lose {lost['dB']:.3f} dB, and may lose {given.most}")
    about = json.loads((base.path / manifest.NAME).read_text())
    about = {key: value for key, value in about.items() if key not in ("id", "files")}
    record = json.loads((given.run / RECORD).read_text()) | {"integers lose": lost}
    about["training"] = about["training"] | {"synthesis": record}
    encoder = dict(tensors.load(base.file(manifest.ENCODER)))
    print(publish({"tables": tables, "networks": networks, "encoder": encoder}, about, given.out))


def coded(networks: Networks, pack: Pack, pixels: Array) -> Array:
    """What a file of pixels ``[16h, 16w, 3]`` holds: latents ``[h, w, M]``, words."""
    pixels = np.ascontiguousarray(pixels)
    return restored(networks, quantise(networks, pack.encoder.analysis(pixels)[None])).copy()


def units_of(run: Path) -> dict[str, list[Array]] | None:
    """What 1 stands for in what each branch hides, where a run rounded to it."""
    if not (run / UNITS).is_file():
        return None
    found: dict[str, list[Array]] = {}
    held = load_file(run / UNITS)
    for name in sorted(held, key=lambda name: int(name.rpartition(".")[2])):
        found.setdefault(name.rpartition(".")[0], []).append(held[name])
    return found


def loaded(run: Path) -> tuple[State, Calotype]:
    """A run's state, and its model with the averaged weights."""
    state = State.load(run)
    model = Subject.from_dict(state.model).build().model
    assert isinstance(model, Calotype)
    load_weights(model, state.ema, run)
    return state, model.eval()


if __name__ == "__main__":
    sys.exit(main())
