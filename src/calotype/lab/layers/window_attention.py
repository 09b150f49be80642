"""Attention within windows, plain and shifted, and what Swin transformers are made of (Liu et al., arXiv
2103.14030).

All modules map ``[B, C, H, W]``.  Any size works: a map that its windows do not tile is filled up at the
right and bottom, and what fills it is masked, so that no position sees it.  For maps that windows tile,
results equal those of the usual implementations.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Span = tuple[int, int, "tuple[int, ...] | None"]


@lru_cache(maxsize=256)
def spans(size: int, window: int, shift: int) -> tuple[Span, ...]:
    """Runs of windows along one axis: (first, last + 1, labels).

    The axis of ``size`` positions is filled up to a multiple of ``window`` and rolled by ``shift`` towards 0.
    Positions of a window see each other if their labels are equal: the last window joins both ends of the
    axis, which are no neighbours, and positions that fill up are no pixels at all.  Labels of None: all see
    all.  Only the last two windows can have labels, so most windows form one run.
    """
    count = -(-size // window)
    runs: list[Span] = []
    for i in range(count):
        labels = []
        for j in range(i * window, (i + 1) * window):
            wrapped, origin = divmod(j + shift, count * window)
            labels.append(-1 if origin >= size else wrapped)
        mixed = tuple(labels) if len(set(labels)) > 1 else None
        if runs and mixed is None and runs[-1][2] is None:
            runs[-1] = (runs[-1][0], i + 1, None)
        else:
            runs.append((i, i + 1, mixed))
    return tuple(runs)


def _allowed(rows: tuple[int, ...] | None, columns: tuple[int, ...] | None, window: int) -> Tensor | None:
    """Which positions of a window see which: bool ``[T, T]``, T = window²; None if all see all."""
    if rows is None and columns is None:
        return None
    r, c = (torch.tensor(labels or (0,) * window) for labels in (rows, columns))
    same = (r[:, None, None, None] == r[None, None, :, None]) & (
        c[None, :, None, None] == c[None, None, None, :]
    )
    return same.reshape(window * window, -1)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows of ``window`` x ``window``, with a learned bias per relative
    position.

    ``shifted`` moves the windows by half their size (SW-MSA), which lets neighbours exchange what they know.
    Parameters: 4 C² + 4 C + heads (2 window - 1)².
    """

    def __init__(self, width: int, head_width: int = 32, window: int = 8, *, shifted: bool = False) -> None:
        super().__init__()
        head_width = min(head_width, width)
        if width % head_width:
            raise ValueError(f"heads of {head_width} channels do not divide {width} channels")
        self.heads, self.window, self.shift = width // head_width, window, window // 2 if shifted else 0
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.relative = nn.Parameter(torch.empty(self.heads, 2 * window - 1, 2 * window - 1))
        nn.init.trunc_normal_(self.relative, std=0.02)
        i = torch.arange(window)
        gap = i[:, None] - i + window - 1  # query - key, from 0
        offset = gap[:, None, :, None] * (2 * window - 1) + gap[None, :, None, :]
        self.register_buffer("offset", offset.reshape(window**2, window**2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def attend(self, x: Tensor) -> Tensor:
        """The same for channels last, ``[B, H, W, C]``."""
        b, h, w, c = x.shape
        p, s = self.window, self.shift
        qkv = self.qkv(x)
        if h % p or w % p:
            qkv = F.pad(qkv, (0, 0, 0, -w % p, 0, -h % p))
        if s:
            qkv = qkv.roll((-s, -s), (1, 2))
        tiles = qkv.view(b, qkv.shape[1] // p, p, qkv.shape[2] // p, p, 3, self.heads, c // self.heads)
        bias = self.relative.flatten(1)[:, self.offset][None]  # [1, heads, T, T]
        bands = [
            torch.cat([self._block(tiles, bias, row, column) for column in spans(w, p, s)], 2)
            for row in spans(h, p, s)
        ]
        y = torch.cat(bands, 1)
        if s:
            y = y.roll((s, s), (1, 2))
        return self.out(y[:, :h, :w])

    def _block(self, tiles: Tensor, bias: Tensor, row: Span, column: Span) -> Tensor:
        """Attention in a rectangle of windows that share one mask: ``[B, rows, columns, C]``."""
        part = tiles[:, row[0] : row[1], :, column[0] : column[1]]
        b, m, p, n, _, _, heads, d = part.shape
        q, k, v = part.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, b * m * n, heads, p * p, d)
        allowed = _allowed(row[2], column[2], p)
        if allowed is not None:
            bias = bias.masked_fill(~allowed.to(bias.device), float("-inf"))
        y = F.scaled_dot_product_attention(q, k, v, bias.to(q.dtype))
        return (
            y.view(b, m, n, heads, p, p, d).permute(0, 1, 4, 2, 5, 3, 6).reshape(b, m * p, n * p, heads * d)
        )


class SwinBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))`` with four times the width inside and GELU."""

    def __init__(self, width: int, head_width: int = 32, window: int = 8, *, shifted: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, head_width, window, shifted=shifted)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = x + self.attention.attend(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x.permute(0, 3, 1, 2)


def swin_blocks(depth: int, width: int, head_width: int = 32, window: int = 8) -> list[nn.Module]:
    """Blocks that take turns: plain windows, shifted windows, plain ..."""
    return [SwinBlock(width, head_width, window, shifted=i % 2 == 1) for i in range(depth)]


class PatchMerging(nn.Module):
    """2x2 positions become one: LayerNorm over their 4C channels, linear without bias to ``cout``.  Even H
    and W.
    """

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * cin)
        self.linear = nn.Linear(4 * cin, cout, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        patches = (
            x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 5, 3, 1).reshape(b, h // 2, w // 2, 4 * c)
        )
        return self.linear(self.norm(patches)).permute(0, 3, 1, 2)


class PatchSplitting(nn.Module):
    """One position becomes 2x2: linear without bias to 4 ``cout``, LayerNorm, depth to space.

    The last one of a network (``unpack``) has a bias and no norm, so that its outputs are free.
    """

    def __init__(self, cin: int, cout: int, *, unpack: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(cin, 4 * cout, bias=unpack)
        self.norm = nn.Identity() if unpack else nn.LayerNorm(4 * cout)

    def forward(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        y = self.norm(self.linear(x.permute(0, 2, 3, 1))).view(b, h, w, 2, 2, -1)
        return y.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, 2 * h, 2 * w)
