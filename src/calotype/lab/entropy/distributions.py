"""What a network predicts for each latent, and how likely that makes each integer step.

A distribution offers

    ``centre``            the mean that rounding is aligned to, or 0
    ``likelihood(v)``     probability of the unit interval around ``v``, at least 1e-9
    ``write(stream, s)``  code the integer symbols ``s = v_hat - centre`` (same shape)
    ``read(stream)``      the inverse

Tensors are ``[B, C, ...]``.  Coding needs B = 1 and takes its integer tables from fixed lists of scales, so
there is nothing to update after training.
"""

from __future__ import annotations

import atexit
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor

from calotype.lab.layers.bounds import lower_bound

if TYPE_CHECKING:
    from calotype.lab.entropy.stream import Reader, Writer

P_MIN = 1e-9
SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
Scales: TypeAlias = tuple[float, float] | tuple[float, float, int]
"""The first and the last of a law's scales, and how many there are (64)."""


def log_scales(low: float = SCALE_MIN, high: float = SCALE_MAX, count: int = SCALES) -> np.ndarray:
    """``count`` scales from ``low`` to ``high``, evenly spaced in the logarithm (ratio 1.13095)."""
    return low * np.exp(np.arange(count) / (count - 1) * math.log(high / low))


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(x * -(2**-0.5))  # keeps its relative precision in the lower tail


class _Located:
    """A symmetric law of location ``mu`` (None: 0) and scale ``sigma``: one table per scale."""

    mu: Tensor | None
    sigma: Tensor
    scales: ClassVar[Scales]

    @staticmethod
    def cdf(x: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def centre(self) -> Tensor | float:
        return 0.0 if self.mu is None else self.mu

    @property
    def dtype(self) -> torch.dtype:
        return self.sigma.dtype

    def likelihood(self, v: Tensor) -> Tensor:
        d = (v - self.centre).abs()
        p = self.cdf((0.5 - d) / self.sigma) - self.cdf((-0.5 - d) / self.sigma)
        return lower_bound(p, P_MIN)

    def index(self) -> np.ndarray:
        """Nearest entry, in the logarithm, of the list of scales: uint8, of sigma's shape."""
        scales = log_scales(*self.scales)
        middles = torch.from_numpy(np.sqrt(scales[1:] * scales[:-1])).to(self.sigma.device)
        return (
            torch.bucketize(self.sigma.detach().double().contiguous(), middles).to(torch.uint8).cpu().numpy()
        )

    def write(self, stream: Writer, symbols: Tensor) -> None:
        stream.put(symbols, self.index(), self.tables())

    def read(self, stream: Reader) -> Tensor:
        return stream.get(self.index(), self.tables())

    @classmethod
    def tables(cls) -> Any:
        return _scale_tables(cls)  # type: ignore[arg-type]  # a class can be hashed; mypy 2.4 thinks of objects


@dataclass
class Gaussian(_Located):
    """Normal law with mean ``mu`` and standard deviation ``max(sigma, 0.11)``."""

    mu: Tensor | None
    sigma: Tensor
    scales: ClassVar[Scales] = (SCALE_MIN, SCALE_MAX)
    cdf = staticmethod(_normal_cdf)

    def __post_init__(self) -> None:
        self.sigma = lower_bound(self.sigma, SCALE_MIN)


@dataclass
class Logistic(_Located):
    """Logistic law with mean ``mu`` and scale ``max(sigma, 0.06)`` (its standard deviation is 1.81 sigma)."""

    mu: Tensor | None
    sigma: Tensor
    scales: ClassVar[Scales] = (0.06, 140.0)
    cdf = staticmethod(torch.sigmoid)

    def __post_init__(self) -> None:
        self.sigma = lower_bound(self.sigma, self.scales[0])


@cache
def _scale_tables(law: type[_Located]) -> Any:
    """Integer tables of a law's scales, made once per process from constants."""
    from calotype.coder import TableSet, gaussian_tables

    scales = log_scales(*law.scales)
    if law is Gaussian:
        return gaussian_tables(scales)
    pmfs, radii = [], [max(1, math.ceil(11 * s)) for s in scales]
    for s, r in zip(scales, radii):
        edges = torch.arange(-r, r + 2, dtype=torch.float64) - 0.5
        inner = law.cdf(edges / s).diff().numpy()
        pmfs.append(np.append(inner, 2 * float(law.cdf(edges[0] / s))))
    return TableSet(pmfs, [-r for r in radii])


atexit.register(_scale_tables.cache_clear)  # before the native module goes


@dataclass
class Mixture:
    """``sum_k softmax(logits)_k Normal(mu_k, max(sigma_k, 0.11))`` (Cheng et al. 2020, K = 3).

    All three are ``[B, K, C, ...]``.  A mixture has no single mean, so latents round to plain integers, and
    every latent is coded with a distribution of its own over the range of integers that occur.
    """

    logits: Tensor
    mu: Tensor
    sigma: Tensor
    centre = 0.0
    RANGE = 1023  # largest magnitude that a file can hold
    CHUNK = 1 << 21  # entries of the widest temporary array when coding

    def __post_init__(self) -> None:
        self.sigma = lower_bound(self.sigma, SCALE_MIN)

    @classmethod
    def single(cls, mu: Tensor, sigma: Tensor) -> Mixture:
        """One Gaussian ``[B, C, ...]`` over plainly rounded latents, its mean anywhere between them."""
        return cls(torch.zeros_like(mu).unsqueeze(1), mu.unsqueeze(1), sigma.unsqueeze(1))

    @property
    def dtype(self) -> torch.dtype:
        return self.sigma.dtype

    def likelihood(self, v: Tensor) -> Tensor:
        d = (v.unsqueeze(1) - self.mu).abs()
        p = _normal_cdf((0.5 - d) / self.sigma) - _normal_cdf((-0.5 - d) / self.sigma)
        return lower_bound((torch.softmax(self.logits, 1) * p).sum(1), P_MIN)

    def _rows(self, low: int, high: int) -> Any:
        """Yield slices of the flattened latents and their cumulative frequencies ``[n, high - low + 2]``."""
        from calotype.coder import cdf_rows

        k = self.mu.shape[1]
        weight = torch.softmax(self.logits, 1).reshape(k, -1, 1)
        mu, sigma = self.mu.reshape(k, -1, 1), self.sigma.reshape(k, -1, 1)
        edges = torch.arange(low, high, dtype=mu.dtype, device=mu.device) + 0.5
        step = max(1, self.CHUNK // (high - low + 2))
        for begin in range(0, mu.shape[1], step):
            part = slice(begin, begin + step)
            cdf = (weight[:, part] * _normal_cdf((edges - mu[:, part]) / sigma[:, part])).sum(0).cpu().numpy()
            pmf = np.diff(cdf, axis=1, prepend=0.0, append=1.0)  # the ends hold their tails
            yield part, cdf_rows(np.maximum(pmf, 0.0))

    def write(self, stream: Writer, symbols: Tensor) -> None:
        low, high = stream.range
        s = symbols.reshape(-1).cpu().numpy().astype(np.int64) - low
        for part, rows in self._rows(low, high):
            i, j = np.arange(len(rows)), s[part]
            start = rows[i, j]
            stream.put_slots(start, rows[i, j + 1] - start)

    def read(self, stream: Reader) -> Tensor:
        low, high = stream.range
        found = [stream.get_search(rows) for _, rows in self._rows(low, high)]
        s = np.concatenate(found) + low
        shape = (self.mu.shape[0], *self.mu.shape[2:])
        return torch.from_numpy(s.astype(np.int64)).reshape(shape)
