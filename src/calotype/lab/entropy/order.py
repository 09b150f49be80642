"""Orders: raster scan in wavefronts and checkerboard over positions, slices over channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy.coders import Coder, parts, place, take
from calotype.lab.entropy.distributions import Gaussian
from calotype.lab.layers.masked import MaskedConv

Parameters = Callable[[Tensor, Tensor], Any]
"""(side ``[B, S, n, 1]``, context ``[B, K, n, 1]``) to a law over ``[B, C, n, 1]``; pointwise over n."""
Groups = Callable[[int, int, int], list[Tensor]]
"""(height, width, reach) to the positions (flat, int64) that a raster scan codes together, group by group."""
Support = Callable[[int, list[Tensor]], tuple[Tensor, Tensor]]
"""(i, decoded slices before the i-th) to what its networks see: for the mean, for the scale."""


def wavefronts(height: int, width: int, reach: int) -> list[Tensor]:
    """Groups of positions (flat, int64) that a raster scan with a context of ``reach`` may code together.

    A position's context ends ``reach`` columns to the right in the row above, so row i can follow row i - 1
    at a distance of reach + 1 columns: group t holds all positions with ``column + (reach + 1) row = t``.
    That makes ``width + (reach + 1) (height - 1)`` steps instead of ``width * height``, with the same result.
    """
    slope = reach + 1
    groups = []
    for t in range(width + slope * (height - 1)):
        rows = torch.arange(max(0, -(-(t - width + 1) // slope)), min(height - 1, t // slope) + 1)
        groups.append(rows * width + (t - slope * rows))
    return groups


def one_by_one(height: int, width: int, reach: int) -> list[Tensor]:
    """Every position in a group of its own, as published coders do; for comparison."""
    return list(torch.arange(height * width)[:, None])


def raster(
    coder: Coder,
    name: str,
    y: Tensor | None,
    side: Tensor,
    context: MaskedConv,
    parameters: Parameters,
    groups: Groups = wavefronts,
    *,
    plain: bool = False,
) -> Tensor:
    """Code a map position by position, all channels together.  Returns ``y_hat`` ``[B, C, h, w]``.

    Where every ``y_hat`` is known before the parameters (noise in training; anything but files, if the laws
    are ``plain``, without a centre), one pass does the same.
    """
    b, _, h, w = side.shape

    def at_points(s: Tensor, c: Tensor) -> Any:  # [B, S, n] as pictures of n x 1 pixels
        return _squeeze(parameters(s[..., None], c[..., None]))

    y_hat = coder.ahead(y, plain=plain)
    if y_hat is not None:
        assert y is not None
        coder.count(name, y, y_hat, parameters(side, context(y_hat)))
        return y_hat
    weight, offsets = context.taps()
    reach = len(context.mask) // 2
    wide = w + 2 * reach
    side = side.flatten(2)
    # y_hat with a border of zeros, channels last
    seen = side.new_zeros(b, (h + 2 * reach) * wide, context.in_channels)
    shift = (offsets[:, 0] * wide + offsets[:, 1]).to(side.device)
    for group in groups(h, w, reach):
        group = group.to(side.device)
        inner = (group // w + reach) * wide + group % w + reach  # the same positions within the border
        patch = seen[:, inner[:, None] + shift].flatten(2)  # [B, n, taps * C]
        c = F.linear(patch, weight, context.bias)
        part = coder.code(name, y, at_points(side.index_select(2, group), c.transpose(1, 2)), at=group)
        put = seen.index_copy if torch.is_grad_enabled() else seen.index_copy_
        seen = put(1, inner, part.transpose(1, 2))
    inside = seen.view(b, -1, wide, seen.shape[2])[:, reach:-reach, reach:-reach]
    return inside.permute(0, 3, 1, 2).contiguous()


def checkerboard(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Flat positions of the anchors (row + column even) and of the others."""
    odd = ((torch.arange(height)[:, None] + torch.arange(width)) % 2).flatten()
    return (odd == 0).nonzero()[:, 0], odd.nonzero()[:, 0]


def two_pass(
    coder: Coder, name: str, y: Tensor | None, side: Tensor, context: MaskedConv, parameters: Parameters
) -> Tensor:
    """Code the anchors from ``side`` alone, then the others from them too.  Returns ``y_hat``."""
    b, _, h, w = side.shape
    anchors, others = (group.to(side.device) for group in checkerboard(h, w))
    nothing = side.new_zeros(b, context.out_channels, len(anchors), 1)
    p = _squeeze(parameters(take(side, anchors)[..., None], nothing))
    y_hat = side.new_zeros(b, context.in_channels, h, w)
    y_hat = place(y_hat, anchors, coder.code(name, y, p, at=anchors))
    if len(others):
        p = _squeeze(parameters(take(side, others)[..., None], take(context(y_hat), others)[..., None]))
        y_hat = place(y_hat, others, coder.code(name, y, p, at=others))
    return y_hat


def channel_slices(
    coder: Coder,
    name: str,
    y: Tensor | None,
    sizes: list[int],
    support: Support,
    mean: nn.ModuleList,
    scale: nn.ModuleList,
    lrp: nn.ModuleList | None = None,
) -> Tensor:
    """Code channels slice after slice, each at all positions.  Returns ``y_hat`` ``[B, C, h, w]``.

    sizes: channels of each slice; their sum is C.
    mean, scale: a network for each slice, from its support to the parameters of its Gaussian.
    lrp: latent residual prediction, a network for each slice that estimates the rounding error (within 1/2)
    from the mean's support and the slice; added before later slices see it.
    """
    done: list[Tensor] = []
    for i, y_i in enumerate(parts(y, sizes)):
        for_mean, for_scale = support(i, done)
        y_hat = coder.code(f"{name}/{i}", y_i, Gaussian(mean[i](for_mean), scale[i](for_scale)))
        if lrp is not None:
            y_hat = y_hat + 0.5 * torch.tanh(lrp[i](torch.cat((for_mean, y_hat), 1)))
        done.append(y_hat)
    return torch.cat(done, 1)


def _squeeze(p: Any) -> Any:
    """Drop the last axis, of length 1, of all tensors of a distribution."""
    return type(p)(**{k: v[..., 0] if isinstance(v, Tensor) else v for k, v in vars(p).items()})
