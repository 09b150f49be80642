"""The factorized prior: one learned distribution per channel (Balle et al. 2018, appendix)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy.distributions import P_MIN
from calotype.lab.layers.bounds import lower_bound

if TYPE_CHECKING:
    from calotype.lab.entropy.stream import Reader, Writer

TAIL = 1e-9  # mass that the outer two quantiles leave outside
CODED_TAIL = 2.0**-16  # mass left to a table's escape
RADIUS = 1 << 12  # widest table


class FactorizedPrior(nn.Module):
    """A monotone network per channel that maps a value to the logit of its cumulative probability.

    61 parameters per channel with the usual filters (3, 3, 3, 3), three of which are the quantiles at 1e-9 /
    2, 1/2 and 1 - 1e-9 / 2.  The middle one, the median, aligns the rounding; `quantile_loss` pulls all
    three into place.  A file is right whatever they hold.
    """

    def __init__(
        self, channels: int, filters: tuple[int, ...] = (3, 3, 3, 3), init_scale: float = 10.0
    ) -> None:
        super().__init__()
        self.channels = channels
        widths = (1, *filters, 1)
        scale = init_scale ** (1 / (len(filters) + 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for i, (cin, cout) in enumerate(itertools.pairwise(widths)):
            start = math.log(math.expm1(1 / scale / cout))
            self.matrices.append(nn.Parameter(torch.full((channels, cout, cin), start)))
            self.biases.append(nn.Parameter(torch.empty(channels, cout, 1).uniform_(-0.5, 0.5)))
            if i < len(filters):
                self.factors.append(nn.Parameter(torch.zeros(channels, cout, 1)))
        self.quantiles = nn.Parameter(torch.tensor([-init_scale, 0.0, init_scale]).repeat(channels, 1, 1))
        self.frozen = False  # set on a copy made for coding, whose weights no longer change
        self._tables: Any = None

    def logits(self, v: Tensor, *, detach: bool = False) -> Tensor:
        """Logits of the cumulative distribution, increasing in ``v``: ``[C, 1, n]`` to the same shape."""
        for i, matrix in enumerate(self.matrices):
            bias = self.biases[i]
            factor = self.factors[i] if i < len(self.factors) else None
            if detach:
                matrix, bias = matrix.detach(), bias.detach()
                factor = factor.detach() if factor is not None else None
            v = F.softplus(matrix) @ v + bias
            if factor is not None:
                v = v + torch.tanh(factor) * torch.tanh(v)
        return v

    @property
    def medians(self) -> Tensor:
        """``[1, C, 1, 1]``, no gradient."""
        return self.quantiles[:, 0, 1].detach()[None, :, None, None]

    def likelihood(self, v: Tensor) -> Tensor:
        """Probability of the unit interval around ``v`` ``[B, C, ...]``, same shape."""
        flat = v.transpose(0, 1).reshape(self.channels, 1, -1)
        lower, upper = self.logits(flat - 0.5), self.logits(flat + 0.5)
        p = _sigmoid_gap(lower, upper).reshape(self.channels, v.shape[0], *v.shape[2:]).transpose(0, 1)
        return lower_bound(p, P_MIN)

    def quantile_loss(self) -> Tensor:
        """Distance of the three quantiles from their places, in logits; no gradient to the network."""
        t = math.log(2 / TAIL - 1)
        target = torch.tensor([-t, 0.0, t], device=self.quantiles.device)
        return (self.logits(self.quantiles, detach=True) - target).abs().sum()

    @torch.no_grad()
    def tables(self) -> Any:
        """Integer tables, one per channel, over ``v - median``."""
        from calotype.coder import TableSet

        if self._tables is not None:
            return self._tables
        median = self.quantiles[:, :, 1:2]
        radius = 16
        while True:
            edges = torch.arange(-radius, radius + 2, dtype=median.dtype, device=median.device) - 0.5
            logit = self.logits(median + edges)[:, 0]
            outside = torch.sigmoid(logit[:, 0]) + torch.sigmoid(-logit[:, -1])
            if radius >= RADIUS or bool((outside < CODED_TAIL).all()):
                break
            radius *= 2
        pmf = _sigmoid_gap(logit[:, :-1], logit[:, 1:]).double().cpu().numpy()
        pmfs, offsets = [], []
        for row in pmf:
            keep = np.flatnonzero(row > CODED_TAIL / 8)
            low, high = (int(keep[0]), int(keep[-1])) if len(keep) else (radius, radius)
            low, high = min(low, radius), max(high, radius)  # the median's own step is always in the table
            inside = row[low : high + 1]
            pmfs.append(np.append(inside, max(1 - float(inside.sum()), 0.0)))
            offsets.append(low - radius)
        tables = TableSet(pmfs, offsets)
        if self.frozen:
            self._tables = tables
        return tables

    def forward(self, grid: tuple[int, int, int]) -> Factorized:
        """The distribution of ``[B, C, h, w]`` latents; ``grid`` is (B, h, w)."""
        return Factorized(self, grid)


def _sigmoid_gap(lower: Tensor, upper: Tensor) -> Tensor:
    """``sigmoid(upper) - sigmoid(lower)``, both taken in the tail where sigmoids stay precise."""
    sign = torch.where(lower + upper > 0, -1.0, 1.0).to(lower.dtype).detach()
    return (torch.sigmoid(sign * upper) - torch.sigmoid(sign * lower)).abs()


@dataclass
class Factorized:
    """A `FactorizedPrior` laid over a grid of positions."""

    prior: FactorizedPrior
    grid: tuple[int, int, int]

    @property
    def centre(self) -> Tensor:
        return self.prior.medians

    @property
    def dtype(self) -> torch.dtype:
        return self.prior.quantiles.dtype

    def likelihood(self, v: Tensor) -> Tensor:
        return self.prior.likelihood(v)

    def _index(self) -> np.ndarray:
        b, h, w = self.grid
        c = self.prior.channels
        return np.broadcast_to(np.arange(c, dtype=np.uint16)[None, :, None, None], (b, c, h, w))

    def write(self, stream: Writer, symbols: Tensor) -> None:
        stream.put(symbols, self._index(), self.prior.tables())

    def read(self, stream: Reader) -> Tensor:
        return stream.get(self._index(), self.prior.tables())
