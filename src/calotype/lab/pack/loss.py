"""What a pack loses by computing in integers: more rate for the same PSNR, against its model in float32.

Pictures are coded at every trained level twice, both times to real streams by the pack's own coder:

* by the model in float32: its analysis, its means, its synthesis;
* by the pack: all of it in integers, as encoders and decoders run it.

The loss is a BD-rate (Bjontegaard 2001) of the two curves of mean bits per pixel and mean PSNR: the mean
difference of log rate over the PSNRs that both reach.  Between its points a curve is straight in log rate,
not cubic as in `calotype.bench.bdrate`: both curves have their points at nearly the same places, so that what
the straight lines miss falls away in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calotype.coder import (
    DecoderNetworks,
    EncoderNetworks,
    LatentCoder,
    LevelIntegers,
    LevelPixels,
    LevelSteps,
    TableSet,
    Wish,
)
from calotype.lab.models.calotype import Calotype
from calotype.lab.pack.calibrate import Array
from calotype.lab.pack.exact import ExportError
from calotype.lab.pack.trellis import Plan
from calotype.pack import Z_LIMIT
from calotype.pack.levels import CODING, powers_of_two

MOST = 0.5
"""Percent that a pack may lose."""
Pixels = npt.NDArray[np.uint8]


class InIntegers:
    """A pack's networks and tables, at its trained levels.

    files: arrays of ``tables``, ``networks`` and ``encoder``, as `folder.publish` takes them, or as they
    are in a pack
    """

    def __init__(self, files: Mapping[str, Mapping[str, Array]]) -> None:
        self.tables = files["tables"]
        self.decoder, self.encoder = DecoderNetworks(files["networks"]), EncoderNetworks(files["encoder"])
        parts = ("frequencies", "lengths", "offsets")
        laws = (
            TableSet.from_frequencies(*(self.tables[kind + part] for part in parts)) for kind in ("z_", "r_")
        )
        z_laws, self.r_laws = laws
        self.coder = LatentCoder(self.tables, z_laws, self.r_laws)

    def code(self, pixels: Pixels, anchor: int) -> tuple[int, Pixels]:
        """Bytes of a picture ``[16h, 16w, 3]`` at a trained level, and what they decode to."""
        t = {name: array[anchor] for name, array in self.tables.items() if _by_level(name)}
        low, high = (t[name].astype(np.float32) for name in ("low_gain", "high_gain"))
        wish = Wish(self.tables["unit"], low, high, float(self.tables["half_step"][0]))
        low, high = (powers_of_two(t[name]) for name in ("low_log_step", "high_log_step"))
        grid, finest = (
            LevelSteps(low, high, t["z_mul"]),
            np.concatenate((wish.low_gain[-1], wish.high_gain[-1])),
        )
        y = self.encoder.analysis(pixels)
        z = self.encoder.hyper(y, finest, grid.z_mul, Z_LIMIT)
        r, _ = self.coder.choose(self._integers(anchor), self.decoder, grid, wish, y, z)
        size = self.size(z, r, anchor)
        plain = LevelPixels(t["level_vector"], None)  # there is no float32 of a filter
        return size, self.decoder.synthesis(plain, self.decoder.restore(grid, z, r))

    def size(self, z: Array, r: Array, anchor: int) -> int:
        """Bytes of a tile's integers."""
        level = self._integers(anchor)
        return len(self.coder.write(level, z, self.coder.classes(level, z, r).r))

    def _integers(self, anchor: int) -> LevelIntegers:
        return LevelIntegers(**{name: self.tables[name][anchor] for name in CODING})


def _by_level(name: str) -> bool:
    return name.endswith(("_gain", "_log_step")) or name in ("level_vector", "z_mul")


def check(model: Calotype, pack: InIntegers, pictures: Tensor, most: float) -> dict[str, Any]:
    """What `lost` finds, for the record: ``percent`` (None where there is none) and ``pictures``.

    Raises ExportError where it is more than ``most``.
    """
    percent = lost(model, pack, pictures)
    known = math.isfinite(percent)
    if percent > most:
        found = f"cost {percent:.2f} % of rate" if known else "leave no PSNR that rises with the level"
        raise ExportError(
            f"integers {found} on {len(pictures)} pictures, and may cost {most:g} % against float32: "
            "calibrate on more or other photographs, or allow more (--loss)"
        )
    return {"percent": round(percent, 3) if known else None, "pictures": len(pictures)}


@torch.no_grad()
def lost(model: Calotype, pack: InIntegers, pictures: Tensor) -> float:
    """Percent of rate that ``pack`` loses against ``model`` on pictures uint8 ``[n, 3, H, W]`` (sides
    multiples of 128); inf where PSNR does not rise with the level, or no PSNR is reached by both.
    """
    points, plan = [], Plan(pack.r_laws)
    for anchor in range(len(model.config.lambdas)):
        found = []
        for x in pictures.split(1):
            pixels = x[0].permute(1, 2, 0).contiguous().numpy()
            out = model(x / 255.0, torch.tensor([float(anchor)]), hard=True, plan=plan)
            shown = (out.x_hat[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
            z, r = (t[0].numpy().astype(np.int32) for t in (out.latents.z, out.latents.r))
            size, decoded = pack.code(pixels, anchor)
            found.append((pack.size(z, r, anchor), _psnr(pixels, shown), size, _psnr(pixels, decoded)))
        points.append(np.mean(found, axis=0))
    rate, quality, own_rate, own_quality = np.transpose(points)
    return more_rate((rate, quality), (own_rate, own_quality))


def _psnr(a: Array, b: Array) -> float:
    return 10 * math.log10(255**2 / max(float(np.square(a.astype(np.float64) - b).mean()), 1e-10))


def more_rate(anchor: tuple[Array, Array], test: tuple[Array, Array]) -> float:
    """Percent of rate that ``test`` needs more for the same quality; each is rates and qualities ``[n]``,
    both rising.  inf where they do not rise, or have no quality in common.
    """
    curves = [(np.log(rate), quality) for rate, quality in (anchor, test)]
    low, high = max(quality[0] for _, quality in curves), min(quality[-1] for _, quality in curves)
    if low >= high or any((np.diff(values) <= 0).any() for curve in curves for values in curve):
        return math.inf
    grid = np.linspace(low, high, 1001)
    ours, theirs = (np.interp(grid, quality, log) for log, quality in curves)
    return 100 * math.expm1(float((theirs - ours).mean()))
