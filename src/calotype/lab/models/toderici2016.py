"""Toderici, O'Malley, Hwang, Vincent, Minnen, Baluja, Covell, Sukthankar: Variable rate image compression
with recurrent neural networks.  ICLR 2016, arXiv 1511.06085.

::

    r_0 = x;  then 16 times:

    r --encoder (LSTM)--> 32 maps --tanh, sign--> bits --decoder (LSTM)--> + --> x_hat
    ^                                               :                      ^        |
    |                                         a bit each                previous    |
    '------------------------------ x - x_hat <-------------------------------------'

The first of the family: every iteration codes what the one before left over, and the reconstructions add up.
The paper codes patches of 32 x 32 pixels each by itself; here the same convolutional units run over the whole
picture.  Bits are stored as they are, 1/8 bit per pixel for each iteration.  In training a bit is drawn
(+1 with probability (1 + v) / 2) and gradients pass straight through.

Coding order: iteration after iteration, each a part of the file: its bits, map after map.  A file cut after
any iteration decodes.
"""

from __future__ import annotations

from calotype.lab.models.base import Entry
from calotype.lab.models.recurrent import Recurrent


class VariableRate(Recurrent):
    """Residual LSTM autoencoder; codes are ``[B, bits, H/16, W/16]``."""

    def __init__(self, n: int = 512, bits: int = 32, iterations: int = 16, truncate: int = 0) -> None:
        super().__init__(
            n=n, bits=bits, iterations=iterations, cell="lstm", reconstruction="additive", context=0,
            truncate=truncate,
        )  # fmt: skip
        self.config = {"n": n, "bits": bits, "iterations": iterations, "truncate": truncate}


SYSTEMS = {
    "toderici2016": Entry(
        VariableRate,
        "recurrent, additive, bits stored as they are; progressive",
        "Toderici et al., ICLR 2016, arXiv 1511.06085",
        {},
        {},
        {"n": 64, "bits": 8, "iterations": 3},
    ),
}
