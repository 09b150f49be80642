"""The three coders that a model's walk is handed: estimate, write a file, read a file.

A model states its coding order once, as a walk that calls

    ``values_hat = coder.code(name, values, distribution, at=None)``

for one group of latents after the other.  `Estimate` counts bits and lets gradients through, `FileEncoder`
writes, `FileDecoder` ignores ``values`` (they are None) and reads.  So a file cannot drift from the forward
pass.

Each map has a name of its own; "y/0", "y/1", ... are slices of "y", counted as one.  ``values`` is a whole
map ``[B, C, h, w]``; ``at``, int64 ``[n]``, chooses positions of the flattened grid,
and then the distribution and the result are ``[B, C, n]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from calotype.errors import FormatError
from calotype.lab.entropy import sections
from calotype.lab.entropy.distributions import Mixture
from calotype.lab.entropy.quantize import Quantizer, noise, plain, shifted
from calotype.lab.entropy.stream import Reader, Writer


class Coder(Protocol):
    """What a walk may ask for."""

    def grid(self, stride: int) -> tuple[int, int, int]:
        """(batch, rows, columns) of a map at 1/stride of the padded picture."""
        ...

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        """Code one group under ``name`` ("y", "z", ...); returns what the decoder knows of it."""
        ...

    def ahead(self, values: Tensor | None, *, plain: bool = False) -> Tensor | None:
        """``values_hat``, if it does not depend on the distributions (training with noise); else None.

        ``plain``: the distributions have no centre, so that an estimate needs none for rounding either.
        """
        ...

    def count(self, name: str, values: Tensor, values_hat: Tensor, p: Any) -> None:
        """Count the bits of values that `ahead` has quantised."""
        ...

    def next_part(self) -> bool:
        """Begin a part of a file that may end after any of them; False: here it ends."""
        ...


def take(t: Tensor, at: Tensor) -> Tensor:
    """``[B, C, h, w]`` at positions ``[n]`` of its flattened grid: ``[B, C, n]``."""
    return t.flatten(2).index_select(2, at)


def place(t: Tensor, at: Tensor, part: Tensor) -> Tensor:
    """A copy of ``t`` ``[B, C, h, w]`` that holds ``part`` ``[B, C, n]`` at positions ``[n]``."""
    return t.flatten(2).index_copy(2, at, part).view(t.shape)


def given(f: Callable[..., Tensor], *values: Tensor | None) -> Tensor | None:
    """``f(*values)``, or None when decoding, where the values are not known."""
    return None if any(v is None for v in values) else f(*values)


def parts(values: Tensor | None, sizes: list[int]) -> list[Tensor | None]:
    """Slices of the channels, or as many Nones."""
    return [None] * len(sizes) if values is None else list(values.split(sizes, 1))


# name: (quantizer that the rate is counted on, quantizer that the decoder sees)
MODES: dict[str, tuple[Quantizer, Quantizer]] = {
    "noise": (noise, noise),  # Balle 2017, 2018, Minnen 2018: the same noisy latent for both
    "mixed": (noise, shifted),  # Minnen 2020 and later: noise for the rate, straight-through for the rest
    "round": (shifted, shifted),  # what a file holds; for evaluation and for the last stage of training
    "parallel": (shifted, plain),  # as "round" but with contexts of plainly rounded latents, in one pass
}


class Estimate:
    """Counts bits per picture, ``bits[name]`` ``[B]``, and remembers the distributions for analyses."""

    def __init__(
        self, mode: str = "round", *, generator: torch.Generator | None = None, parts: int | None = None
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        self.rate, self.value = MODES[mode]
        self.generator, self.limit = generator, parts
        self.begin(1, 0, 0)

    def begin(self, batch: int, height: int, width: int) -> None:
        """Start a picture of that padded size; called by the model."""
        self.size, self.parts = (batch, height, width), 0
        self.bits: dict[str, Tensor] = {}
        self.coded: list[tuple[str, Tensor, Any, Tensor | None]] = []

    def grid(self, stride: int) -> tuple[int, int, int]:
        batch, height, width = self.size
        return batch, height // stride, width // stride

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        assert values is not None
        v = values if at is None else take(values, at)
        rated = self.rate(v, p.centre, self.generator)
        self._add(name, values, rated, p, at)
        return rated if self.value is self.rate else self.value(v, p.centre, self.generator)

    def ahead(self, values: Tensor | None, *, plain: bool = False) -> Tensor | None:
        if values is None or (self.value.centred and not plain):  # type: ignore[attr-defined]
            return None
        return self.value(values, 0.0, self.generator)

    def count(self, name: str, values: Tensor, values_hat: Tensor, p: Any) -> None:
        same = self.value is self.rate
        self._add(name, values, values_hat if same else self.rate(values, p.centre, self.generator), p, None)

    def next_part(self) -> bool:
        if self.parts == self.limit:
            return False
        self.parts += 1
        return True

    def _add(self, name: str, values: Tensor, rated: Tensor, p: Any, at: Tensor | None) -> None:
        name = name.partition("/")[0]
        bits = -torch.log2(p.likelihood(rated)).flatten(1).sum(1)
        self.bits[name] = self.bits[name] + bits if name in self.bits else bits
        self.coded.append((name, values, p, at))

    def maps(self, name: str) -> tuple[Tensor, Tensor, Tensor] | None:
        """Maps (values, mu, sigma) ``[B, C, h, w]`` of what was coded as ``name``; None if not Gaussian."""
        whole: dict[int, list[Tensor]] = {}
        for key, values, p, at in self.coded:
            if key != name:
                continue
            if getattr(p, "sigma", None) is None or (isinstance(p, Mixture) and p.mu.shape[1] > 1):
                return None
            if isinstance(p, Mixture):
                mu, sigma = p.mu[:, 0], p.sigma[:, 0]
            else:
                mu, sigma = torch.zeros_like(p.sigma) if p.mu is None else p.mu, p.sigma
            if at is None:
                whole[id(values)] = [values, mu, sigma]
                continue
            entry = whole.setdefault(id(values), [values, torch.zeros_like(values), torch.zeros_like(values)])
            entry[1:] = place(entry[1], at, mu), place(entry[2], at, sigma)
        if not whole:
            return None
        values, mu, sigma = (torch.cat(maps, 1) for maps in zip(*whole.values()))
        return values, mu, sigma


def _canonical(t: Tensor) -> Tensor:
    """The same memory layout in encoder and decoder: kernels for another one may sum in another order."""
    return t.clone(memory_format=torch.contiguous_format)


class FileEncoder:
    """Rounds and writes.  One picture; ``parts``: of a progressive file, at most."""

    def __init__(self, height: int, width: int, *, parts: int | None = None) -> None:
        self.size, self.limit, self.parts = (height, width), parts, 0
        self.writer = Writer()
        self._done: list[bytes] = []
        self._maps: dict[str, Tensor] = {}
        self._ranges: dict[str, tuple[int, int]] = {}

    def grid(self, stride: int) -> tuple[int, int, int]:
        return 1, self.size[0] // stride, self.size[1] // stride

    def ahead(self, values: Tensor | None, *, plain: bool = False) -> None:
        return None

    def count(self, name: str, values: Tensor, values_hat: Tensor, p: Any) -> None:
        raise NotImplementedError("a file's latents are never known ahead")

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        assert values is not None
        v = (values if at is None else take(values, at)).to(p.dtype)
        symbols = torch.round(v - p.centre)
        if isinstance(p, Mixture):
            symbols = symbols.clamp(-p.RANGE, p.RANGE)
            if self._maps.setdefault(name, values) is not values:  # the decoder knows maps by their names
                raise ValueError(
                    f"two maps are coded as {name!r}; call slices of one {name}/0, {name}/1, ..."
                )
            if name in self._ranges:
                self.writer.range = self._ranges[name]
            else:  # the first group of a map: one range for all of its groups
                whole = torch.round(values).clamp(-p.RANGE, p.RANGE)
                self.writer.put_range(int(whole.min()), int(whole.max()))
                self._ranges[name] = self.writer.range
        p.write(self.writer, symbols)
        return _canonical(symbols + p.centre)

    def next_part(self) -> bool:
        if self.parts == self.limit:
            return False
        if self.parts:
            self._done.append(self.writer.finish())
            self.writer = Writer()
            self._ranges.clear()
        self.parts += 1
        return True

    def finish(self) -> bytes:
        last = self.writer.finish()
        return sections.join([*self._done, last]) if self.parts else last


class FileDecoder:
    """Reads what `FileEncoder` wrote, given the same sequence of distributions.

    ``cut``: the payload may end anywhere, and what it holds of parts counts (progressive files only).
    """

    def __init__(self, payload: bytes | memoryview, height: int, width: int, *, cut: bool = False) -> None:
        self.size = (height, width)
        self._payload, self._cut = payload, cut
        self._reader: Reader | None = None
        self._parts: list[memoryview] | None = None
        self._ranges: dict[str, tuple[int, int]] = {}

    grid = FileEncoder.grid
    ahead = FileEncoder.ahead
    count = FileEncoder.count

    @property
    def reader(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self._payload)
        return self._reader

    def next_part(self) -> bool:
        if self._parts is None:
            self._parts = sections.split(self._payload, cut=self._cut)
        elif self._reader is not None:
            self._reader.finish()
        if not self._parts:
            self._reader = None
            return False
        self._reader = Reader(self._parts.pop(0))
        self._ranges.clear()
        return True

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        if isinstance(p, Mixture):
            if name in self._ranges:
                self.reader.range = self._ranges[name]
            else:
                self.reader.get_range(p.RANGE)
                self._ranges[name] = self.reader.range
        symbols = p.read(self.reader)
        centre = p.centre
        device = centre.device if isinstance(centre, Tensor) else p.sigma.device
        return _canonical(symbols.to(device=device, dtype=p.dtype) + centre)

    def finish(self) -> None:
        if self._parts:
            raise FormatError(f"latents: {len(self._parts)} parts more than the model has; a damaged file")
        if self._parts is None or self._reader is not None:
            self.reader.finish()
