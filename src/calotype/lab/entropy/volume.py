"""Latents as a volume: every channel of every position is conditioned on those before it, in the order
channel, row, column (van den Oord et al. 2016 in three dimensions; Mentzer et al. 2018, Chen et al. 2021).

A context network is written once, with layers of `MaskedConv3d` that it calls through ``see``:

    ``net(see, side) -> parameters``        with ``t = see(layer, t)``; ``see(layer, None)`` sees the latents

In training ``see`` is the convolution of the whole volume.  For files it works on the positions of one
group, and remembers what each layer was given, so that no value is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy.coders import Coder

See = Callable[["MaskedConv3d", "Tensor | None"], Tensor]
Network = Callable[[See, "Tensor | None"], Tensor]
"""(see, side ``[B, S, C, h, w]``) to parameters ``[B, K, C, h, w]``, pointwise but for what it sees; for a
group of n positions ``[1, S, n, 1, 1]`` to ``[1, K, n, 1, 1]``."""


class MaskedConv3d(nn.Conv3d):
    """``[B, cin, C, h, w]`` to ``[B, cout, C, h, w]``, from what comes before in the order channel, row,
    column.

    ``first``: without the position itself, as the layer that sees the latents must be.  What is outside of
    the volume counts as 0.
    """

    mask: Tensor

    def __init__(self, cin: int, cout: int, kernel: int, *, first: bool = False) -> None:
        super().__init__(cin, cout, kernel, padding=kernel // 2)
        mask = torch.zeros(kernel**3)
        mask[: kernel**3 // 2 + (not first)] = 1
        self.register_buffer("mask", mask.view(kernel, kernel, kernel), persistent=False)
        with torch.no_grad():
            self.weight *= self.mask

    def forward(self, x: Tensor) -> Tensor:
        reach = len(self.mask) // 2  # nothing is seen of later channels
        weight = (self.weight * self.mask)[:, :, : reach + 1]
        padded = F.pad(x, (reach, reach, reach, reach, reach, 0))
        return F.conv3d(padded, weight, self.bias)

    def taps(self) -> tuple[Tensor, Tensor]:
        """Live taps as ``[cout, taps * cin]``, tap-major, and their offsets ``[taps, 3]``."""
        live = self.mask.nonzero()
        weight = self.weight[:, :, live[:, 0], live[:, 1], live[:, 2]]
        return weight.transpose(1, 2).reshape(len(weight), -1), live - len(self.mask) // 2


def fronts(size: tuple[int, int, int], reach: int) -> list[Tensor]:
    """Groups of positions (flat, int64) of a volume (channels, rows, columns) that a context of ``reach``
    may code together: those with ``column + (reach + 1) row + (reach + 1)^2 channel = t``.
    """
    axes = [torch.arange(n) * (reach + 1) ** k for n, k in zip(size, (2, 1, 0))]
    time = (axes[0][:, None, None] + axes[1][:, None] + axes[2]).flatten()
    order = torch.argsort(time, stable=True)
    counts = torch.bincount(time)
    return list(order.split(counts[counts > 0].tolist()))


class _Grown:
    """``see`` for one group of positions after the other: what layers were given is remembered."""

    def __init__(self, size: tuple[int, int, int], like: Tensor) -> None:
        self.size, self.like = size, like
        self.given: dict[MaskedConv3d | None, Tensor] = {}
        self.layers: dict[MaskedConv3d, tuple[Tensor, Tensor]] = {}
        self.reach = 0

    def enter(self, at: Tensor) -> None:
        """Turn to a group: positions in the volume."""
        h, w = self.size[1:]
        self.at = torch.stack((at // (h * w), at // w % h, at % w), 1)

    def store(self, layer: MaskedConv3d | None, t: Tensor) -> None:
        """Remember ``t`` ``[n, cin]``, of the group's positions, as what ``layer`` is given (None: the
        latents).
        """
        if layer not in self.given:
            c, h, w = self.size
            r = self.reach
            self.given[layer] = self.like.new_zeros((c + r) * (h + 2 * r) * (w + 2 * r), t.shape[1])
        self.given[layer].index_copy_(0, self._place(self.at), t)

    def _place(self, at: Tensor) -> Tensor:
        """Flat positions within the border of zeros, where channels have one in front only."""
        _, h, w = self.size
        r = self.reach
        return ((at[..., 0] + r) * (h + 2 * r) + at[..., 1] + r) * (w + 2 * r) + at[..., 2] + r

    def __call__(self, layer: MaskedConv3d, t: Tensor | None) -> Tensor:
        if layer not in self.layers:
            self.layers[layer] = layer.taps()
        weight, offsets = self.layers[layer]
        n = len(self.at)
        if t is not None:
            self.store(layer, t[0].flatten(1).T)
        source = layer if t is not None else None
        if source not in self.given:  # the very first group
            patch = weight.new_zeros(n, weight.shape[1])
        else:
            patch = self.given[source][self._place(self.at[:, None] + offsets)].flatten(1)
        return F.linear(patch, weight, layer.bias).T.reshape(1, -1, n, 1, 1)


def volume(
    coder: Coder,
    name: str,
    y: Tensor | None,
    size: tuple[int, int, int, int],
    net: Network,
    law: Callable[[Tensor], Any],
    side: Tensor | None = None,
    *,
    reach: int,
    value: Callable[[Tensor], Tensor] = lambda v: v,
    seen: Tensor | None = None,
) -> Tensor:
    """Code a map ``y`` latent by latent; the laws have no centre.  Returns ``y_hat`` ``[B, C, h, w]``.

    size:  (B, C, h, w).
    net:   see above; ``side``: ``[B, S, C, h, w]``.
    law:   parameters ``[B, K, C, h, w]``, or ``[1, K, 1, n]``, to the law of ``[B, C, h, w]``, ``[1, 1, n]``.
    reach: the largest of the net's layers.
    value: what the first layer sees of ``y_hat``; ``seen``: the same ``[B, C, h, w]``, where it is known.
    """
    y_hat = coder.ahead(y, plain=True)
    if y_hat is not None:
        assert y is not None
        latents = (value(y_hat) if seen is None else seen)[:, None]
        coder.count(name, y, y_hat, law(net(lambda layer, t: layer(latents if t is None else t), side)))
        return y_hat
    b, c, h, w = size
    assert b == 1, "a file holds one picture"
    like = next(p for p in net.parameters() if p.is_floating_point())  # type: ignore[attr-defined]
    see, found = _Grown((c, h, w), like), like.new_zeros(c * h * w)
    see.reach = reach
    flat = None if y is None else y.reshape(1, 1, c * h, w)
    sides = None if side is None else side.flatten(2)
    for group in fronts((c, h, w), reach):
        at = group.to(like.device)
        see.enter(at)
        given = None if sides is None else sides.index_select(2, at)[..., None, None]
        part = coder.code(name, flat, law(net(see, given).flatten(2)[:, :, None]), at=at)
        found[at] = part.flatten()
        see.store(None, value(part).reshape(-1, 1))
    return found.view(1, c, h, w)
