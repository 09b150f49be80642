"""The loop that the recurrent systems share: encode what is missing, decode, see what is missing still.

    ``b_t = bits(encoder(g_t r_(t-1)))``    ``x_hat_t = D_t``, or ``x_hat_(t-1) + D_t / g_t``
    ``r_t = x - x_hat_t``                   ``D_t = decoder(b_t)``

Weights are the same in every iteration, only the states of the units change.  An iteration is a part of the
file; any number of them decodes.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, raster
from calotype.lab.entropy.binary import Binary, BitModel
from calotype.lab.layers.conv import conv
from calotype.lab.layers.recurrent import CELLS, RecurrentDecoder, RecurrentEncoder, State, detached
from calotype.lab.models.base import LabModel, Output

RECONSTRUCTIONS = ("one-shot", "additive", "scaled")


class Gain(nn.Module):
    """What is decoded so far ``[B, 3, H, W]`` to a gain of at least 1 for each block of 32 x 32 pixels."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, width, width, width, 1)
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [conv(a, b, 3, 2), nn.ELU()]
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.net(x) + 2, scale_factor=32.0, mode="nearest")


class Recurrent(LabModel):
    """Codes are ``[B, bits, H/16, W/16]`` of -1 and +1, one for each iteration: bits / 256 bpp before entropy
    coding.

    n:              channels of the widest units.
    cell:           of the units, a name in `CELLS`; associative ones are in the decoder only.
    reconstruction: ``one-shot``, ``additive``, or ``scaled`` (additive, with a gain for what is missing).
    context:        channels of the model of the bits; 0: a bit costs a bit.
    truncate:       iterations that gradients go back through; 0: all.
    prime, diffuse: how often encoder and decoder go over the same before the first code, and before others.
    """

    multiple = 32
    quantisation = "round"
    encoder_only = ("encoder", "binarizer", "decoder", "gain")
    progressive = True
    adaptive: ClassVar[bool] = False
    """Whether `allocate` chooses where further bits go."""

    def __init__(
        self, *, n: int, bits: int, iterations: int, cell: str, reconstruction: str, context: int,
        truncate: int, prime: int = 0, diffuse: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
        if reconstruction not in RECONSTRUCTIONS:
            known = ", ".join(RECONSTRUCTIONS)
            raise ValueError(f"reconstruction must be one of {known}, got {reconstruction!r}")
        if n % 16:
            raise ValueError(f"n must be a multiple of 16, got {n}")
        self.iterations, self.truncate, self.primes = iterations, truncate, (prime, diffuse)
        self.reconstruction = reconstruction
        self.encoder = RecurrentEncoder(n, "lstm" if cell == "associative" else cell)
        self.binarizer = conv(n, bits, 1, 1, bias=False)
        self.decoder = RecurrentDecoder(n, bits, cell)
        self.gain = Gain() if reconstruction == "scaled" else None
        self.bits = BitModel(bits, context) if context else None
        self.depth = bits

    def analyse(self, x: Tensor) -> Tensor:
        """Pixels: the walk needs them, to see what is missing."""
        return x - 0.5

    def analyse_part(self) -> nn.Module:
        return _FirstCode(self)

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        return y_hat + 0.5

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Returns the last reconstruction; when gradients are asked for, also those before it, in order."""
        batch, height, width = coder.grid(1)
        x_hat = self.binarizer.weight.new_zeros(batch, 3, height, width)
        encoder: State = None
        decoder: State = None
        memory: State = None
        active = x_hat.new_ones(batch, 1, height // 16, width // 16)
        code: Tensor | None = None
        known = list[Tensor]()
        for t in range(self.iterations):
            if not coder.next_part():
                break
            again = self.primes[t > 0]
            gain = 1.0 if self.gain is None else self.gain(x_hat)
            if self.adaptive and t:
                active = self.allocate(coder, t, y, x_hat, active)
            found = None
            if y is not None:
                missing = (y - x_hat) * gain
                for _ in range(again + 1):
                    features, encoder = self.encoder(missing, encoder)
                found = self.binarise(features, getattr(coder, "generator", None)) * active
            code, memory = self.code(coder, t, found, active, code, memory)
            for _ in range(again + 1):
                out, decoder = self.decoder(code, decoder)
            x_hat = out if self.reconstruction == "one-shot" else x_hat + out / gain
            known.append(x_hat)
            if self.truncate and (t + 1) % self.truncate == 0:
                encoder, decoder, memory = (detached(s) for s in (encoder, decoder, memory))
                x_hat = x_hat.detach()
        return (known[-1], *known[:-1]) if torch.is_grad_enabled() else known[-1]

    def binarise(self, features: Tensor, generator: torch.Generator | None) -> Tensor:
        """Bits -1 or +1; in training +1 with probability ``(1 + v) / 2``.  Straight-through."""
        v = torch.tanh(self.binarizer(features))
        threshold: Tensor | float = 0.0
        if self.training:
            threshold = 2 * torch.rand(v.shape, generator=generator, device=v.device, dtype=v.dtype) - 1
        return 2.0 * (v >= threshold) - 1 + (v - v.detach())

    def code(
        self, coder: Coder, t: int, found: Tensor | None, active: Tensor, last: Tensor | None, memory: State
    ) -> tuple[Tensor, State]:
        """Code the bits of an iteration; returns them and what the model of the bits remembers."""
        b, _, h, w = active.shape
        like = self.binarizer.weight
        bits = None if found is None else found.detach()
        if self.bits is None:
            law = Binary(like.new_zeros(b, self.depth, h, w), active)
            code, memory = coder.code(f"b/{t}", bits, law), None
        else:
            side, memory = self.bits.side(last, memory, (b, h, w))
            side = torch.cat((side, active.to(side.dtype)), 1)
            code = raster(coder, f"b/{t}", bits, side, self.bits.past, self.bits, plain=True)
        code = code.to(like.dtype)
        return code if found is None else code + (found - found.detach()), memory

    def allocate(self, coder: Coder, t: int, x: Tensor | None, x_hat: Tensor, active: Tensor) -> Tensor:
        """Where there are bits in iteration t, ``[B, 1, H/16, W/16]`` of 0 and 1."""
        raise NotImplementedError

    def loss(self, x: Tensor, out: Output, objective: Any) -> Tensor:
        """``bpp + lambda 255 |x - x_hat|``, the mean of all iterations; the objective's own distance in place
        of the absolute one unless that is MSE.  The rate only trains the model of the bits.
        """
        h, w = x.shape[2:]
        steps = [*out.known[1:], out.known[0]]
        seen = [self.synthesise(step)[:, :, :h, :w] for step in steps]
        distance = self.distance if objective.distortion == "mse" else objective.distance
        return (out.bpp + objective.lam * sum(distance(x, s) for s in seen) / len(seen)).mean()

    def distance(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Mean absolute error on a 0..255 scale, ``[B]``."""
        return 255 * (x - x_hat).abs().flatten(1).mean(1)


class _FirstCode(nn.Module):
    """Pixels to the first code before it is made bits, for measurements."""

    def __init__(self, model: Recurrent) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.binarizer(self.model.encoder(x)[0])
