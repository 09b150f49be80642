"""Toderici, Vincent, Johnston, Hwang, Minnen, Shor, Covell: Full resolution image compression with recurrent
neural networks.  CVPR 2017, arXiv 1608.05148.

::

    r_0 = x;  then 16 times:

    g r --encoder--> 32 maps --tanh, sign--> bits --decoder--> D      x_hat = D              one-shot
     ^                                        :                       x_hat = x_hat + D      additive
     |                              probability of each               x_hat = x_hat + D / g  scaled
     |                                        ^
     |                    [ masked 7x7 conv of these bits, LSTM over those of iterations before ]
     '--- r = x - x_hat,  g = gain(x_hat): 1 unless scaled

Three units (`lab/layers/recurrent.py`): LSTM, a GRU with residual paths, associative LSTM (in the decoder).
The model of the bits follows the paper's BinaryRNN without its LSTM along the rows; bits of one position
are coded together.  Its rate trains only itself, the rest learns from ``|r|`` of all iterations.

Published on Kodak (bpp: PSNR): 0.125: 23.01, 0.25: 25.65, 0.5: 28.27, 1: 31.62, 2: 34.63.

Coding order: iteration after iteration, each a part of the file: its bits position after position in raster
order, all maps together.  A file cut after any iteration decodes.
"""

from __future__ import annotations

from typing import Any

from calotype.lab.models.base import Entry
from calotype.lab.models.recurrent import Recurrent


class FullResolution(Recurrent):
    """Recurrent autoencoder of any unit and reconstruction; codes are ``[B, bits, H/16, W/16]``."""

    def __init__(
        self, n: int = 512, bits: int = 32, iterations: int = 16, cell: str = "gru",
        reconstruction: str = "one-shot", context: int = 64, truncate: int = 0,
    ) -> None:  # fmt: skip
        given = {"n": n, "bits": bits, "iterations": iterations, "cell": cell, "context": context}
        given |= {"reconstruction": reconstruction, "truncate": truncate}
        super().__init__(**given)  # type: ignore[arg-type]
        self.config: dict[str, Any] = given


_PAPER = "Toderici et al., CVPR 2017, arXiv 1608.05148"
_THIN = {"n": 64, "bits": 8, "iterations": 3, "context": 8}

SYSTEMS = {
    "toderici2017-lstm": Entry(
        FullResolution,
        "recurrent (LSTM), one-shot, bits entropy coded; progressive",
        _PAPER,
        {"cell": "lstm"},
        {},
        {**_THIN, "cell": "lstm"},
    ),
    "toderici2017-gru": Entry(
        FullResolution,
        "the same with residual GRUs and residual scaling",
        _PAPER,
        {"cell": "gru", "reconstruction": "scaled"},
        {},
        {**_THIN, "cell": "gru", "reconstruction": "scaled"},
    ),
    "toderici2017-associative": Entry(
        FullResolution,
        "the same with associative LSTMs in the decoder, additive",
        _PAPER,
        {"cell": "associative", "reconstruction": "additive"},
        {},
        {**_THIN, "cell": "associative", "reconstruction": "additive"},
    ),
}
