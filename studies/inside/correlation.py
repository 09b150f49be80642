"""Correlation map: how much a latent still says about its neighbours once mean and scale are known (the
maps of Ali et al., NeurIPS 2023, openreview 1ihGy9vAIg).

    map[i, j] = mean of u(c, h, w) u(c, h + i, w + j)        u = (y - mu) / sigma

over channels, positions and pictures, for |i|, |j| <= r, without padding.  The centre is 1 where sigma is
right; what is left around it, a context model could use, and the correlation loss (`calotype.lab.losses`)
removes.  Averages over channels hide signs that cancel, so maps are kept per channel too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from studies.inside.specimens import AnalysisError, Specimen


def channel_maps(u: Tensor, radius: int = 2) -> tuple[Tensor, Tensor]:
    """Sums of products per channel ``[C, 2r + 1, 2r + 1]`` and their counts ``[2r + 1, 2r + 1]``, of ``[B, C,
    h, w]``.

    Offsets that do not fit into the map have a count of 0.
    """
    b, c, h, w = u.shape
    u = u.double()
    size = 2 * radius + 1
    sums, counts = u.new_zeros(c, size, size), u.new_zeros(size, size)
    for i in range(-radius, radius + 1):
        for j in range(-radius, radius + 1):
            height, width = h - abs(i), w - abs(j)
            if height < 1 or width < 1:
                continue
            top, left = max(0, -i), max(0, -j)
            here = u[:, :, top : top + height, left : left + width]
            there = u[:, :, top + i : top + i + height, left + j : left + j + width]
            sums[:, radius + i, radius + j] = torch.einsum("bchw,bchw->c", here, there)
            counts[radius + i, radius + j] = b * height * width
    return sums, counts


class CorrelationMap:
    """Collects pictures of one model."""

    def __init__(self, label: str, radius: int = 2) -> None:
        if radius < 1:
            raise ValueError(f"radius must be at least 1, got {radius}")
        self.label, self.radius = label, radius
        self.sums: Tensor | None = None
        self.counts: Tensor | None = None
        self.pictures: list[str] = []

    def add(self, u: Tensor, name: str = "") -> None:
        """``u`` ``[B, C, h, w]``; the number of channels must stay the same."""
        sums, counts = channel_maps(u, self.radius)
        self.sums = sums if self.sums is None else self.sums + sums
        self.counts = counts if self.counts is None else self.counts + counts
        self.pictures.append(name)

    @property
    def channels(self) -> Tensor:
        """``[C, 2r + 1, 2r + 1]``; nan where no pair of positions had that offset."""
        if self.sums is None or self.counts is None:
            raise ValueError("no pictures were added")
        return self.sums / self.counts

    @property
    def map(self) -> Tensor:
        """The mean over channels, ``[2r + 1, 2r + 1]``."""
        return self.channels.mean(0)

    def numbers(self) -> dict[str, Any]:
        """For JSON.  ``off_centre``: root mean square of the map around its centre; ``channel_off_centre``:
        the same over all channels' maps, where signs cannot cancel.  None for offsets that no pair of
        positions had; means leave them out.
        """
        r = self.radius
        channels, counts = self.channels, self.counts
        assert counts is not None  # `channels` says so first
        around = counts > 0
        around[r, r] = False
        each = channels[:, around].square().mean(1)
        known = bool(around.any())
        return {
            "model": self.label,
            "radius": r,
            "map": _rounded(self.map),
            "centre": float(self.map[r, r]),
            "off_centre": float(self.map[around].square().mean().sqrt()) if known else None,
            "channel_off_centre": float(each.mean().sqrt()) if known else None,
            "strongest_channels": each.argsort(descending=True)[:8].tolist(),
            "channels": _rounded(channels),
            "pictures": self.pictures,
        }


def _rounded(t: Tensor) -> Any:
    """Nested lists of five decimals; None for nan, which JSON does not have."""
    if t.ndim:
        return [_rounded(part) for part in t]
    return None if torch.isnan(t) else round(float(t), 5)


def measure(specimen: Specimen, pictures: list[tuple[str, Tensor]], radius: int = 2) -> CorrelationMap:
    """The correlation map of a model over pictures ``[1, 3, H, W]``, with means and scales of test time.

    Raises:
        AnalysisError: if the entropy model is not Gaussian, or latents are too few for the radius.
    """
    result = CorrelationMap(specimen.label, radius)
    for name, x in pictures:
        u = specimen.latents(x).u
        h, w = u.shape[2:]
        if radius >= min(h, w):
            raise AnalysisError(
                f"{specimen.label}: radius {radius} is too large for the {h} x {w} latents of {name}; "
                f"give at most {min(h, w) - 1}, or larger pictures"
            )
        result.add(u, name)
    return result
