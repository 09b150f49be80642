"""Convolutional recurrent units of Toderici et al. 2017, and the encoder and decoder that are made of them.

A unit is called as ``out, state = unit(x, state)``: ``[B, cin, H, W]`` to ``[B, width, H/stride, W/stride]``;
``state`` None is the beginning.  None has biases.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv

State = Any
"""What a unit remembers; a list of them for several."""


def _conv(cin: int, cout: int, kernel: int, stride: int, gain: float) -> nn.Conv2d:
    """Without bias; outputs start with ``gain`` times the size of the inputs, not with the usual third of it:
    gates halve what passes, and seven units with small inputs would learn nothing for long.
    """
    layer = conv(cin, cout, kernel, stride, bias=False)
    nn.init.normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
    return layer


class _Unit(nn.Module):
    """One convolution of the input, one of the hidden state; their sum is cut into gates."""

    GAIN: ClassVar[float] = 1.0

    def __init__(self, cin: int, width: int, gates: int, stride: int, hidden: int) -> None:
        super().__init__()
        self.width = width
        self.of_input = _conv(cin, gates, 3, stride, self.GAIN)
        self.of_state = _conv(width, gates, hidden, 1, self.GAIN)

    def nothing(self, like: Tensor) -> Tensor:
        """The hidden state at the beginning; ``like``: a map of its size."""
        return like.new_zeros(len(like), self.width, *like.shape[2:])


class LstmCell(_Unit):
    """Long short-term memory: input, forget, candidate and output gates."""

    GAIN = 1.5

    def __init__(self, cin: int, width: int, stride: int = 1, hidden: int = 1) -> None:
        super().__init__(cin, width, 4 * width, stride, hidden)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        t = self.of_input(x)
        h, c = (self.nothing(t), self.nothing(t)) if state is None else state
        i, f, j, o = (t + self.of_state(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(j)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class GruCell(_Unit):
    """Gated recurrent unit with residual paths past its gates: the state gets ``alpha`` times a projection
    of itself, the output that of the input.
    """

    ALPHA = 0.1

    def __init__(self, cin: int, width: int, stride: int = 1, hidden: int = 1) -> None:
        super().__init__(cin, width, 3 * width, stride, hidden)
        self.past_state = _conv(width, width, hidden, 1, self.GAIN)
        self.past_input = _conv(cin, width, 3, stride, self.GAIN)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        t = self.of_input(x)
        h = self.nothing(t) if state is None else state
        w = self.width
        of_z_r, of_new = self.of_state.weight.split((2 * w, w))
        pad = self.of_state.padding
        z, r = torch.sigmoid(t[:, : 2 * w] + F.conv2d(h, of_z_r, padding=pad)).chunk(2, 1)
        new = torch.tanh(t[:, 2 * w :] + F.conv2d(r * h, of_new, padding=pad))
        h = (1 - z) * h + z * new + self.ALPHA * self.past_state(h)
        return h + self.ALPHA * self.past_input(x), h


class AssociativeCell(_Unit):
    """Associative LSTM (Danihelka et al. 2016): complex numbers, the halves of the channels; what is written
    is multiplied by a key and what is read by another, in ``COPIES`` memories with keys in other orders, of
    which the mean is taken, so that what belongs to other keys averages out.
    """

    COPIES = 3

    def __init__(self, cin: int, width: int, stride: int = 1, hidden: int = 1) -> None:
        if width % 2:
            raise ValueError(f"an associative unit has an even number of channels, got {width}")
        super().__init__(cin, width, 3 * width // 2 + 3 * width, stride, hidden)
        generator = torch.Generator().manual_seed(0)  # the same orders in every model
        orders = [torch.randperm(width // 2, generator=generator, device="cpu") for _ in range(self.COPIES)]
        self.register_buffer("orders", torch.stack(orders), persistent=False)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        t = self.of_input(x)
        if state is None:
            h = self.nothing(t)
            state = h, h[:, None].expand(-1, self.COPIES, -1, -1, -1)
        h, memories = state
        half = self.width // 2
        gates, *rest = (t + self.of_state(h)).split((3 * half, *3 * (self.width,)), 1)
        f, i, o = (torch.sigmoid(gate).repeat(1, 2, 1, 1) for gate in gates.chunk(3, 1))
        new, write, read = _bounded(rest[0]), self._near_one(rest[1]), self._near_one(rest[2])
        written = self._keys(write), (i * new)[:, None]
        memories = f[:, None] * memories + _product(*written)
        found = _product(self._keys(read), memories).mean(1)
        h = o * _bounded(found)
        return h, (h, memories)

    def _near_one(self, key: Tensor) -> Tensor:
        """Keys begin as 1, so that at first what is written can be read: without, little learns for long."""
        half = self.width // 2
        return _bounded(torch.cat((key[:, :half] + 1, key[:, half:]), 1))

    def _keys(self, key: Tensor) -> Tensor:
        """``[B, width, H, W]`` to ``[B, COPIES, width, H, W]``: both halves in each of the orders."""
        real, imaginary = (part[:, self.orders] for part in key.chunk(2, 1))
        return torch.cat((real, imaginary), 2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Of complex numbers whose parts are the halves of the third axis."""
    (ar, ai), (br, bi) = a.chunk(2, 2), b.chunk(2, 2)
    return torch.cat((ar * br - ai * bi, ar * bi + ai * br), 2)


def _bounded(z: Tensor) -> Tensor:
    """Complex ``z / max(1, |z|)``."""
    real, imaginary = z.chunk(2, 1)
    size = (real.square() + imaginary.square() + 1e-12).sqrt().clamp_min(1)
    return torch.cat((real / size, imaginary / size), 1)


CELLS: dict[str, type[LstmCell | GruCell | AssociativeCell]] = {
    "lstm": LstmCell,
    "gru": GruCell,
    "associative": AssociativeCell,
}


class RecurrentEncoder(nn.Module):
    """Pixels ``[B, 3, H, W]`` to ``[B, n, H/16, W/16]``: a convolution and three units, each of stride 2."""

    def __init__(self, n: int, cell: str) -> None:
        super().__init__()
        unit, widths = CELLS[cell], (n // 8, n // 2, n, n)
        self.first = _conv(3, widths[0], 3, 2, unit.GAIN)
        self.units = nn.ModuleList(unit(a, b, 2, 1) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor, states: State = None) -> tuple[Tensor, State]:
        return _through(self.units, self.first(x), states)


class RecurrentDecoder(nn.Module):
    """A code ``[B, bits, H/16, W/16]`` to pixels ``[B, 3, H, W]`` in -1/2 .. 1/2: a convolution, and four
    units with a pixel shuffle behind each.
    """

    def __init__(self, n: int, bits: int, cell: str) -> None:
        super().__init__()
        unit = CELLS[cell]
        sizes = ((n, n, 1), (n // 4, n, 1), (n // 4, n // 2, 3), (n // 8, n // 4, 3))
        self.first = _conv(bits, n, 1, 1, unit.GAIN)
        self.units = nn.ModuleList(unit(a, b, 1, hidden) for a, b, hidden in sizes)
        self.last = _conv(n // 16, 3, 1, 1, unit.GAIN)

    def forward(self, code: Tensor, states: State = None) -> tuple[Tensor, State]:
        t, states = _through(self.units, self.first(code), states, shuffle=True)
        return torch.tanh(self.last(t)) / 2, states


def _through(
    units: nn.ModuleList, t: Tensor, states: State, *, shuffle: bool = False
) -> tuple[Tensor, State]:
    found = []
    for unit, state in zip(units, states or [None] * len(units), strict=True):
        t, new = unit(t, state)
        found.append(new)
        t = F.pixel_shuffle(t, 2) if shuffle else t
    return t, found


def detached(states: State) -> State:
    """The same states, through which no gradient goes further back."""
    if isinstance(states, Tensor):
        return states.detach()
    return None if states is None else type(states)(detached(s) for s in states)
