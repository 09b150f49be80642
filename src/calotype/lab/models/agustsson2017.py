"""Agustsson, Mentzer, Tschannen, Cavigelli, Timofte, Benini, Van Gool: Soft-to-hard vector quantization for
end-to-end learning compressible representations.  NeurIPS 2017, arXiv 1704.00648; in the scalar form of
Mentzer et al., Conditional probability models for deep image compression.  CVPR 2018, arXiv 1801.04260.

::

    x --g_a--> y -- nearest of L centres --> y_hat --g_s--> x_hat
                             :
               index, one learned distribution per channel

Only the quantisation is theirs: the transforms are those of Balle et al. 2018, and in place of their
histogram and 3-D convolutions there is one distribution of the indices per channel.  Forward takes the
nearest centre, gradients are those of the soft assignment, for pixels and rate alike.  The sharpness
rises during training from 1 to ``sharpness`` (2017), or stays 1 (2018, the default).

Coding order: the indices of all of y at once, channel after channel; nothing is conditioned on anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calotype.errors import FormatError
from calotype.lab.entropy import Coder, given
from calotype.lab.entropy.quantize import VectorQuantizer
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis
from calotype.lab.models.base import Entry, LabModel


@dataclass
class Categorical:
    """Distributions ``logits`` ``[C, L]`` of indices ``[B, C, h, w]``; ``grid`` is (B, h, w).

    ``assigned`` ``[B, C, h, w, L]``, where known, are the soft assignments that the rate's gradient goes to.
    """

    logits: Tensor
    grid: tuple[int, int, int]
    assigned: Tensor | None = None

    @property
    def centre(self) -> Tensor:
        return torch.zeros_like(self.logits[0, 0])

    @property
    def dtype(self) -> torch.dtype:
        return self.logits.dtype

    def likelihood(self, v: Tensor) -> Tensor:
        log = torch.log_softmax(self.logits, 1)[None, :, None, None].expand(*v.shape, -1)
        found = log.gather(-1, v.detach().long()[..., None])[..., 0]
        if self.assigned is not None:
            soft = (self.assigned * log).sum(-1)
            found = found + soft - soft.detach()
        return torch.exp(found)

    def tables(self) -> Any:
        from calotype.coder import TableSet

        pmf = torch.softmax(self.logits.detach().double(), 1).cpu().numpy()
        return TableSet([np.append(row, 0.0) for row in pmf], np.zeros(len(pmf), np.int32))

    def _index(self) -> np.ndarray:
        b, h, w = self.grid
        c = len(self.logits)
        return np.broadcast_to(np.arange(c, dtype=np.uint16)[None, :, None, None], (b, c, h, w))

    def write(self, stream: Any, symbols: Tensor) -> None:
        stream.put(symbols, self._index(), self.tables())

    def read(self, stream: Any) -> Tensor:
        symbols: Tensor = stream.get(self._index(), self.tables())
        if symbols.numel() and not 0 <= int(symbols.min()) <= int(symbols.max()) < self.logits.shape[1]:
            raise FormatError("latents: an index beyond the centres; the file is damaged")
        return symbols


class SoftToHard(LabModel):
    """y is ``[B, m, H/16, W/16]``, each one of ``levels`` centres that all channels share."""

    multiple = 16
    quantisation = "round"  # of the indices, which are whole numbers; the centres do the rest

    def __init__(self, n: int = 128, m: int = 32, levels: int = 6, sharpness: float = 1.0) -> None:
        super().__init__()
        self.config = {"n": n, "m": m, "levels": levels, "sharpness": sharpness}
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.quantizer = VectorQuantizer(levels)
        self.logits = nn.Parameter(torch.zeros(m, levels))
        self.sharpness = sharpness
        self.progress(1.0)

    def progress(self, done: float) -> None:
        """Set the sharpness for when a part ``done`` (0..1) of the training is over."""
        self.quantizer.sharpness = float(self.sharpness**done)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        y_hat, index = (None, None) if y is None else self.quantizer(y)
        p = Categorical(self.logits, coder.grid(16), given(self.quantizer.assign, y))
        known = coder.code("y", given(lambda i: i.to(p.dtype), index), p)
        if y_hat is not None and torch.is_grad_enabled():
            return y_hat  # the same but for rounding, and with the gradient of the soft assignment
        return self.quantizer.centres[known.long()]

    def aux(self) -> Tensor:
        return super().aux() + self.quantizer.penalty()


_PAPER = "Agustsson et al., NeurIPS 2017, arXiv 1704.00648; Mentzer et al., CVPR 2018, arXiv 1801.04260"

SYSTEMS = {
    "agustsson2017": Entry(
        SoftToHard,
        "soft-to-hard vector quantisation to learned centres, GDN transforms",
        _PAPER,
        {"n": 128, "m": 32},
        {"n": 192, "m": 64},
        {"n": 8, "m": 12},
    ),
}
