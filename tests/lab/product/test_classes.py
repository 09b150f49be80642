"""The native parser and torch compute the same classes and tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from calotype.coder import LatentCoder, LevelIntegers
from calotype.coder.trellis import numbers
from calotype.lab.export import Statistics
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER
from calotype.lab.models.calotype_levels import Knobs
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack import exact
from calotype.lab.pack.tables import r_tables, z_tables
from calotype.lab.pack.write import _level_arrays
from calotype.pack.levels import interpolated

Thin = Callable[..., Calotype]
SIZES = [(16, 24), (11, 13), (1, 1), (8, 3)]
"""Tiles in latents; most are no multiples of 8."""


def symbols(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """z and r of all sizes, some at the limits."""
    rng, (h, w) = np.random.default_rng(seed), size
    z = np.rint(rng.normal(0, 6, (HYPER, -(-h // 2), -(-w // 2)))).astype(np.int32)
    r = np.rint(rng.laplace(0, rng.choice([0.1, 2, 30], (48, 1, 1)), (48, h, w))).astype(np.int32)
    z[0, 0, 0], z[1, -1, -1], r[3, 0, 0], r[-1, -1, -1] = 1000, -1000, 32000, -32000
    return z, r


def arrays_of(model: Calotype) -> dict[str, np.ndarray]:
    return {**_level_arrays(model), **exact.integer_arrays(model)}


def extended(t: np.ndarray, height: int, width: int) -> np.ndarray:
    """With zeros below and to the right."""
    return np.pad(t, ((0, 0), (0, height - t.shape[1]), (0, width - t.shape[2])))


def missed(r: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 where a residual is not of its quantiser, which has the value next to it on the side of 0."""
    return (r != 0) & ((r & 1) != second)


@pytest.mark.parametrize("number", [0, 300, 512])
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_native_code_parses_as_torch_does(size: tuple[int, int], number: int, lively: Thin) -> None:
    """Tables, shifts and classes are the same to the last, with the largest weights and at every size."""
    model, (h, w) = lively(7), size
    arrays = arrays_of(model)
    coder = LatentCoder(arrays, z_tables(Statistics()), r_tables(Statistics()))
    names = ("z_mul", "z_place", "z_scale", "low_bias", "high_bias")
    integers = LevelIntegers(**{name: interpolated(arrays[name], number) for name in names})
    z, r = symbols(size, number)
    found = coder.classes(integers, z, r)
    H, W = h + -h % 8, w + -w % 8
    number_of_r = numbers(found.r, found.second)
    given = extended(z, H // 2, W // 2), extended(number_of_r, H, W)
    for dtype in (torch.float32, torch.float64):
        k = exact.knobs(arrays, number)
        k = Knobs(**{name: value.to(dtype) for name, value in vars(k).items()})
        net = model.latents.to(dtype)
        out = net.classes(*(torch.from_numpy(t)[None].to(dtype) for t in given), k)
        table, shift, index = (t[0].numpy() for t in out)
        assert np.array_equal(found.z_table, table[:, : z.shape[1], : z.shape[2]])
        assert np.array_equal(found.z_shift, shift[:, : z.shape[1], : z.shape[2]])
        assert np.array_equal(found.index, index[:, :h, :w])
    assert np.array_equal(found.r, np.where(found.index != 0, r - np.sign(r) * missed(r, found.second), 0))
    assert size == (1, 1) or len(np.unique(found.index)) > 30

    data = coder.write(integers, z, found.r)
    read = coder.read(integers, data, h, w)
    assert np.array_equal(read[0], z)
    assert np.array_equal(read[1], found.r)
    low = coder.read(integers, data, h, w, low_only=True)
    assert np.array_equal(low[0], z)
    assert np.array_equal(low[1], found.r[:LOW])
