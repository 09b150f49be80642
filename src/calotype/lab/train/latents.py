"""Training the latent networks alone, on latents that the frozen analysis gave once.

Neither transform runs in a step, and the distortion is counted where the latents are: squared error of each
channel, times what it makes of squared error in pixels.  That is several times the pace of whole pictures.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor

from calotype.lab.models.calotype import MULTIPLE, Calotype
from calotype.lab.models.calotype_coding import padded
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.models.calotype_start import STEP
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.stores import Pixels, cache_folder

ENLARGED, REDUCED = (1.3, 2.0), (0.4, 0.8)
PART = 700
"""Largest side of what is enlarged, in pixels."""
TILE, MARGIN = 1024, 128
"""Pixels that the analysis works on at a time, and what it sees around them."""
LONG = 1.55
"""How much longer than a square's a side of a tile may be; as much shorter, too."""
SAMPLES, AROUND, CHUNK = 6, 2, 64
"""Of `visible_error`: places, latents around each, channels at a time."""
OFTEN = 20.0
"""Seconds between lines while latents are computed."""
CHECKED, AGREED = (8, 208), 1.5
"""Crops that the two errors are compared on, and their size; how far apart they may be."""
Say = Callable[[str], None]


def alone(trainer: Trainer, cache: Path | None = None) -> None:
    """Let a trainer, whose weights are there, train the latent networks alone.

    Raises:
        ValueError: for another model or distortion, where no photograph is as large as a tile, or if the
            error in latents says nothing of that in pixels.
    """
    model, say = trainer.model, trainer.reporter.say
    if not isinstance(model, Calotype) or trainer.subject.distortion != "mse" or trainer.subject.correlation:
        raise ValueError(
            "latents alone (latents=true) are trained of calotype only, for MSE, without --distortion"
        )
    if trainer.rank:
        dist.barrier()
    maps = LatentMaps(compute(model, trainer.photos, cache_folder(cache), say))
    if not trainer.rank and trainer.world > 1:
        dist.barrier()
    maps.check(trainer.train_set, trainer.config.crop)
    patches = maps.squares(trainer.train_set, SAMPLES, 2 * AROUND + 1)
    objective = LatentsAlone(model, visible_error(model, patches.to(trainer.device)))
    if any(p.requires_grad for part in (model.latents.mean, model.latents.hyper) for p in part.parameters()):
        check(objective, trainer.photos.crops(trainer.train_set, (2,), *CHECKED).to(trainer.device))
    trainer.turn_to(maps, objective)


class LatentsAlone(AllQualities):
    """As `AllQualities` for MSE, of tiles of latents.

    weights: what `visible_error` gives.
    """

    def __init__(self, model: Calotype, weights: Tensor) -> None:
        super().__init__(model)
        self.weights = weights

    @staticmethod
    def given(x: Tensor) -> Tensor:
        """Latents ``[B, M, h, w]`` of any size."""
        return x.contiguous(memory_format=torch.channels_last)

    def rate_distortion(self, x: Tensor, level: Tensor, **how: Any) -> dict[str, Tensor]:
        """As that of `AllQualities`, with an estimate for ``mse``; takes no ``ends``."""
        h, w = x.shape[2:]
        pixels, y = h * w * MULTIPLE**2, padded(x)
        out = self.model.latents(y, self.model.levels(level), size=(h, w), **how)
        r_bpp, z_bpp = out.bits / pixels
        error = (out.y_hat - y)[:, :, :h, :w].square().sum((2, 3))
        mse = (error * self.weights).sum(1) * (255**2 / (3 * pixels))
        lam, bpp = self.model.lam(level), r_bpp + z_bpp
        return {"loss": (bpp + lam * mse) / lam.sqrt(), "bpp": bpp, "z_bpp": z_bpp, "mse": mse}


@torch.no_grad()
def check(objective: LatentsAlone, x: Tensor) -> None:
    """Whether what the latent networks make of y may be judged by y: that holds of transforms that are nearly
    linear. Those that were trained together with the latent networks have agreed on something else.

    x: crops ``[B, 3, h, w]``, 0 to 255.

    Raises:
        ValueError: if not.
    """
    model = objective.model
    whole = AllQualities(model)
    pixels = whole.given(x)
    level = torch.full((len(x),), (len(model.config.lambdas) - 1) / 2, device=x.device)
    model.eval()
    mse = whole.rate_distortion(pixels, level, hard=True)["mse"].sum()
    ratio = float(objective.rate_distortion(model.analysis(pixels), level, hard=True)["mse"].sum() / mse)
    model.train()
    if ratio > AGREED:
        raise ValueError(
            f"with these weights the error counted in latents is {ratio:.1f} times that in pixels, so means "
            "trained for it would be worse; add --set 'freeze=levels.*,latents.mean.*,latents.hyper.*'"
        )


@torch.no_grad()
def visible_error(model: Calotype, patches: Tensor) -> Tensor:
    """Squared error in pixels (0..1, summed over colours and pixels) that a unit of squared error in each
    channel of the latents makes, ``[M]``; at the middle level.

    patches: latents ``[n, M, s, s]``; the one in the middle gets the error, about half a quantisation step.
    """
    model.eval()
    middle = torch.tensor([(len(model.config.lambdas) - 1) / 2], device=patches.device)
    vector = model.levels(middle).vector
    # As the closed-form start quantises, not by gains that are trained: a resumed run must find the same.
    delta = (
        0.5
        * STEP
        / (255 * model.lam(middle).sqrt() * patches.square().mean((0, 2, 3)).sqrt().clamp_min(0.01))
    )
    total, centre = torch.zeros_like(delta), patches.shape[2] // 2
    for y in patches.split(1):
        clean = model.synthesis(y, vector)
        for channels in torch.arange(len(delta), device=y.device).split(CHUNK):
            moved = y.repeat(len(channels), 1, 1, 1)
            moved[torch.arange(len(channels)), channels, centre, centre] += delta[channels]
            total[channels] += (model.synthesis(moved, vector) - clean).square().sum((1, 2, 3))
    model.train()
    return total / (len(patches) * delta.square())


class Cut(NamedTuple):
    """A part of a map of latents."""

    number: int
    top: int
    left: int
    height: int
    width: int


class LatentMaps:
    """Latents of photographs, float16, memory-mapped: a source of tiles as `Photos` is one of crops.

    packed: as `compute` leaves it.
    """

    def __init__(self, packed: Path) -> None:
        index = json.loads(packed.with_suffix(".json").read_text())
        self.channels: int = index["channels"]
        maps = np.array(index["maps"], np.int64).reshape(-1, 4)
        self.photo, self.height, self.width, self.offset = maps.T
        self.data = np.memmap(packed.with_suffix(".f16"), np.float16, "r")
        if int(self.offset[-1] + self.height[-1] * self.width[-1] * self.channels) != len(self.data):
            raise ValueError(f"{packed}.f16: its size does not match the index; delete both, to compute anew")

    def plan(self, indices: Sequence[int], key: Sequence[int], count: int, size: int) -> list[Cut]:
        """``count`` random tiles of the photographs ``indices``, decided by ``key`` alone: all of one shape,
        with the area of a crop of ``size`` x ``size`` pixels but any of the sides of `shapes`.
        """
        rng = np.random.default_rng(list(key))
        choice = shapes(size)
        return self._tiles(rng, indices, count, choice[rng.integers(len(choice))])

    def cut(self, tiles: Sequence[Cut], size: int) -> Tensor:
        """The tiles of a plan, float32 ``[n, M, height, width]``."""
        parts = []
        for t in tiles:
            shape = self.height[t.number], self.width[t.number], self.channels
            whole = self.data[self.offset[t.number] :][: np.prod(shape)].reshape(shape)
            parts.append(whole[t.top : t.top + t.height, t.left : t.left + t.width])
        return torch.from_numpy(np.stack(parts).astype(np.float32)).permute(0, 3, 1, 2)

    def centres(self, indices: Sequence[int], size: int) -> Tensor:
        """The central tile of each photograph at its own size; smaller ones where not all are as large."""
        first = [int(np.flatnonzero(self.photo == i)[0]) for i in indices]
        side = min(size // MULTIPLE, *(int(min(self.height[k], self.width[k])) for k in first))
        places = [(k, int(self.height[k] - side) // 2, int(self.width[k] - side) // 2) for k in first]
        return self.cut([Cut(*place, side, side) for place in places], size)

    def squares(self, indices: Sequence[int], count: int, side: int) -> Tensor:
        """The same random tiles of ``side`` x ``side`` latents each time."""
        return self.cut(self._tiles(np.random.default_rng(1), indices, count, (side, side)), side * MULTIPLE)

    def check(self, indices: Sequence[int], size: int) -> None:
        """Whether there is a photograph for every shape of a tile.

        Raises:
            ValueError: if not.
        """
        for shape in shapes(size):
            self._fitting(indices, shape)

    def _fitting(self, indices: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
        h, w = shape
        fit = np.isin(self.photo, indices) & (self.height >= h) & (self.width >= w)
        if not fit.any():
            sides = f"{w * MULTIPLE}x{h * MULTIPLE}"
            raise ValueError(
                f"no photograph has {sides} pixels, as a tile may; try smaller ones (--set crop=N)"
            )
        return fit

    def _tiles(
        self, rng: np.random.Generator, indices: Sequence[int], count: int, shape: tuple[int, int]
    ) -> list[Cut]:
        p = (self.height * self.width * self._fitting(indices, shape)).astype(np.float64)
        tiles = []
        for k in rng.choice(len(p), count, p=p / p.sum()):
            top = rng.integers(self.height[k] - shape[0] + 1)
            left = rng.integers(self.width[k] - shape[1] + 1)
            tiles.append(Cut(int(k), int(top), int(left), *shape))
        return tiles


@functools.cache
def shapes(size: int) -> list[tuple[int, int]]:
    """Heights and widths of tiles of latents with the area of ``size`` x ``size`` pixels: 20 x 48 to 48 x 20
    for 496.
    """
    side = size / MULTIPLE
    heights = range(max(1, round(side / LONG)), round(side * LONG) + 1)
    return [(h, max(1, round(side * side / h))) for h in heights]


def compute(model: Calotype, photos: Photos, folder: Path, say: Say = lambda text: None) -> Path:
    """Compute the latents of all photographs into ``folder``, unless that is done; returns the files' name
    without its suffix.  Of every third photograph a part is added enlarged, every fourth is added reduced.

    The index is written last, so there is one only of whole files: an interruption leaves nothing.
    """
    digest = hashlib.sha256(photos.describe()["sha256"].encode())
    for value in model.analysis.state_dict().values():
        digest.update(value.cpu().contiguous().numpy().tobytes())
    packed = folder / f"latents-{digest.hexdigest()[:16]}"
    if packed.with_suffix(".json").is_file():
        return packed
    folder.mkdir(parents=True, exist_ok=True)
    maps, offset, told = [], 0, time.monotonic()
    say(f"latents of {len(photos.names)} photographs: computing them once")
    model.eval()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=packed.name, delete=False) as out:
        try:
            for i in range(len(photos.names)):
                for pixels in _scales(photos.picture(i), i):
                    y = analyse(model, pixels)
                    out.write(y.tobytes())
                    maps.append((i, *y.shape[:2], offset))
                    offset += y.size
                if time.monotonic() - told > OFTEN:
                    told = time.monotonic()
                    say(f"latents of {i + 1} photographs, {2e-9 * offset:.2f} GB")
        except BaseException:
            Path(out.name).unlink()
            raise
    model.train()
    Path(out.name).replace(packed.with_suffix(".f16"))
    index = packed.with_suffix(".new")
    index.write_text(json.dumps({"channels": model.config.latents, "maps": maps}))
    index.replace(packed.with_suffix(".json"))
    return packed


def _scales(picture: Pixels, number: int) -> Iterator[Pixels]:
    """A photograph as it is, and what is added to it."""
    yield picture
    rng, (h, w) = np.random.default_rng([0, number]), picture.shape[:2]
    if number % 3 == 0:
        factor, how = rng.uniform(*ENLARGED), (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC)[number % 2]
        top, left = rng.integers(max(0, h - PART) + 1), rng.integers(max(0, w - PART) + 1)
        part = Image.fromarray(picture[top : top + PART, left : left + PART])
        yield np.asarray(part.resize((int(part.width * factor), int(part.height * factor)), how))
    if number % 4 == 1:
        factor = rng.uniform(*REDUCED)
        size = max(64, int(w * factor)), max(64, int(h * factor))
        yield np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


@torch.no_grad()
def analyse(model: Calotype, pixels: Pixels) -> np.ndarray:
    """Latents of a picture of any size, float16 ``[h, w, M]``; worked through in parts."""
    h, w = pixels.shape[:2]
    pixels = np.pad(pixels, ((0, -h % MULTIPLE), (0, -w % MULTIPLE), (0, 0)), mode="edge")
    (h, w), n = pixels.shape[:2], MULTIPLE
    y = np.empty((h // n, w // n, model.config.latents), np.float16)
    for top in range(0, h, TILE):
        for left in range(0, w, TILE):
            t, u = max(0, top - MARGIN), max(0, left - MARGIN)
            part = pixels[t : top + TILE + MARGIN, u : left + TILE + MARGIN]
            x = torch.from_numpy(part.copy()).permute(2, 0, 1)[None].to(model.log_lambda.device) / 255.0
            found = model.analysis(x.contiguous(memory_format=torch.channels_last))[0].permute(1, 2, 0)
            found = found[(top - t) // n :, (left - u) // n :][: TILE // n, : TILE // n]
            y[top // n : top // n + found.shape[0], left // n : left // n + found.shape[1]] = (
                found.cpu().half().numpy()
            )
    return y
