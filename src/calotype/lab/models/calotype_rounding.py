"""What decoders do to the hidden layers of bottlenecks and renderer (docs/FORMAT.md), for training.

Hidden layers are bytes there, and the weights that read them have 7 bits.  Slopes pass the rounding as if it
were not there, and end where a byte does (Jacob et al. 2018, section 3).  Streams and what reads them have 16
bits, which changes next to nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHT_PEAK = 63
"""Largest magnitude of a weight that bytes are multiplied by: with more, the 16-bit sums of x86 CPUs without
VNNI instructions could overflow (255 * 63 * 2 < 2^15).
"""


def as_bytes(x: Tensor, unit: Tensor) -> Tensor:
    """Sums ``[B, C, h, w]`` as bytes hold them, 0 and 1..255 times ``unit`` ``[C]``: a ReLU, too."""
    none = torch.zeros_like(unit, dtype=torch.int32)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(x, unit, none, 1, 0, 255)
    return rounded


def in_seven_bits(weight: Tensor, unit: Tensor) -> Tensor:
    """Weights ``[out, in, side, side]`` of a layer that reads bytes of ``unit`` ``[in]``, as a pack holds
    them: integers of at most `WEIGHT_PEAK`, times one step for each output.
    """
    scaled = weight * unit[:, None, None]
    step = scaled.detach().abs().amax((1, 2, 3)).clamp_min(1e-12) / WEIGHT_PEAK
    none = torch.zeros_like(step, dtype=torch.int32)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(scaled, step, none, 0, -WEIGHT_PEAK, WEIGHT_PEAK)
    return rounded / unit[:, None, None]
