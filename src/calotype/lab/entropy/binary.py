"""Maps of bits, -1 and +1, with a probability for each; places that are switched off are 0 and cost
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.entropy.categories import Logits
from calotype.lab.entropy.distributions import P_MIN
from calotype.lab.entropy.stream import Reader, Writer
from calotype.lab.layers.bounds import lower_bound
from calotype.lab.layers.conv import Pointwise
from calotype.lab.layers.masked import RasterConv
from calotype.lab.layers.recurrent import LstmCell


@dataclass
class Binary(Logits):
    """Bits ``[B, C, ...]``: ``sigmoid(logits)`` is the probability of +1.

    ``active`` ``[B, 1, ...]``, 0 or 1: where there are bits; None: everywhere.
    """

    logits: Tensor
    active: Tensor | None = None

    def likelihood(self, v: Tensor) -> Tensor:
        p = torch.sigmoid(self.logits * torch.sign(v.detach()))
        if self.active is not None:
            p = torch.where(self.active > 0, p, torch.ones_like(p))
        return lower_bound(p, P_MIN)

    def _on(self) -> Any:
        """Which of the flattened bits there are, and their cumulative frequencies ``[n, 3]``."""
        from calotype.coder import cdf_rows

        on = torch.ones_like(self.logits) if self.active is None else self.active.expand_as(self.logits)
        chosen = (on > 0).flatten().cpu().numpy()
        p = torch.sigmoid(self.logits).flatten().double().cpu().numpy()[chosen]
        return chosen, cdf_rows(np.stack((1 - p, p), 1))

    def write(self, stream: Writer, symbols: Tensor) -> None:
        on, rows = self._on()
        if not on.any():
            return
        i, j = np.arange(len(rows)), (symbols.flatten().cpu().numpy()[on] > 0).astype(np.int64)
        start = rows[i, j]
        stream.put_slots(start, rows[i, j + 1] - start)

    def read(self, stream: Reader) -> Tensor:
        on, rows = self._on()
        found = np.zeros(len(on), np.int64)
        if on.any():
            found[on] = 2 * stream.get_search(rows).astype(np.int64) - 1
        return torch.from_numpy(found).reshape(self.logits.shape)


class BitModel(nn.Module):
    """Probabilities of a map of ``bits`` at each position from the positions before it, and from the maps
    of the iterations before through an LSTM (after the BinaryRNN of Toderici et al. 2017, whose second LSTM,
    along the rows, is left out).

    `past` is the masked convolution for `calotype.lab.entropy.raster`, `forward` what follows it.
    """

    def __init__(self, bits: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.past = RasterConv(bits, width, 7)
        self.earlier = LstmCell(bits, width, hidden=1)
        self.joint = nn.Sequential(
            nn.LeakyReLU(), Pointwise(2 * width, width), nn.LeakyReLU(), Pointwise(width, bits)
        )

    def side(self, code: Tensor | None, state: Any, grid: tuple[int, int, int]) -> tuple[Tensor, Any]:
        """What the iterations before say, ``[B, width, h, w]``, and the state with it; ``code``: the last."""
        if code is None:
            b, h, w = grid
            return self.past.weight.new_zeros(b, self.width, h, w), None
        return self.earlier(code.detach().to(self.past.weight.dtype), state)

    def forward(self, side: Tensor, context: Tensor) -> Binary:
        """``side`` with what is active as its last channel."""
        logits = self.joint(torch.cat((side[:, :-1], context), 1))
        return Binary(logits, side[:, -1:])
