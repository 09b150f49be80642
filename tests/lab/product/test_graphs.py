"""The graphs of a pack, the native code and torch compute the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnxruntime import GraphOptimizationLevel

from calotype.codec import levels
from calotype.coder import LatentCoder, LevelIntegers
from calotype.lab.export import Statistics
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_coding import padded
from calotype.lab.models.calotype_latents import HYPER, SCALES
from calotype.lab.models.calotype_levels import Knobs
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack import exact
from calotype.lab.pack.graphs import graphs
from calotype.lab.pack.tables import r_tables, z_tables
from calotype.lab.pack.write import _level_arrays

from .running import inside, keep, level, run, session

Thin = Callable[..., Calotype]
SIZES = [(16, 24), (11, 13), (1, 1), (8, 3)]
"""Tiles in latents; most are no multiples of 8."""


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_the_graphs_of_latents_are_the_model(size: tuple[int, int], lively: Thin) -> None:
    """Encoder and decoder, with and without padding, at a level between trained ones."""
    model = lively(5)
    data, (k, feeds) = graphs(model, 1023), level(model, 0.75)
    y = padded(torch.randn(1, 48, *size, generator=torch.Generator().manual_seed(1)))
    expected = model.latents(y, k, size=size, hard=True)
    feeds |= {"y": y.numpy(), "inside": inside(*size), "keep": keep(model)}
    z, r = run(data["latent_encoder"], **feeds)
    assert z.shape == expected.z.shape
    assert r.shape == expected.r.shape
    # A residual that rounding moves to the other side changes what follows it.
    assert (z == expected.z.numpy()).mean() > 0.99
    assert (r == expected.r.numpy()).mean() > 0.99
    assert (r != 0).any()

    (y_hat,) = run(data["latent_decoder"], **{**feeds, "z": expected.z.numpy(), "r": expected.r.numpy()})
    np.testing.assert_allclose(y_hat, expected.y_hat.numpy(), atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_what_the_encoder_says_the_decoder_restores(lively: Thin) -> None:
    """Where everything is kept, no latent is off by more than half a step."""
    model = lively(6)
    data, (k, feeds) = graphs(model, 1023), level(model, 1.5)
    y = padded(torch.randn(1, 48, 11, 13, generator=torch.Generator().manual_seed(1)))
    feeds |= {"y": y.numpy(), "inside": inside(11, 13), "keep": np.ones(SCALES)}
    z, r = run(data["latent_encoder"], **feeds)
    (y_hat,) = run(data["latent_decoder"], **{**feeds, "z": z, "r": r})
    steps = (torch.from_numpy(y_hat) - y).abs() * k.gains(16, 16)
    assert steps[..., :11, :13].max() < 0.5 + 1e-2
    z, r = run(data["latent_encoder"], **{**feeds, "keep": np.zeros(SCALES)})
    assert z.any()
    assert not r.any()


def test_hyper_latents_stay_within_the_limit(lively: Thin) -> None:
    model = lively(6)
    _, feeds = level(model, 1.5)
    feeds |= {"y": 1e6 * np.ones((1, 48, 8, 8)), "inside": inside(8, 8), "keep": keep(model)}
    z, _ = run(graphs(model, 9)["latent_encoder"], **feeds)
    assert np.abs(z).max() == 9


# -- exactness ---------------------------------------------------------------------------


def symbols(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """z and r of all sizes, some at the limits."""
    rng, (h, w) = np.random.default_rng(seed), size
    z = np.rint(rng.normal(0, 6, (HYPER, -(-h // 2), -(-w // 2)))).astype(np.int32)
    r = np.rint(rng.laplace(0, rng.choice([0.1, 2, 30], (48, 1, 1)), (48, h, w))).astype(np.int32)
    z[0, 0, 0], z[1, -1, -1], r[3, 0, 0], r[-1, -1, -1] = 1000, -1000, 32000, -32000
    return z, r


def arrays_of(model: Calotype) -> dict[str, np.ndarray]:
    return {**_level_arrays(model)[0], **exact.integer_arrays(model)}


def extended(t: np.ndarray, height: int, width: int) -> np.ndarray:
    """With zeros below and to the right."""
    return np.pad(t, ((0, 0), (0, height - t.shape[1]), (0, width - t.shape[2])))


@pytest.mark.parametrize("number", [0, 300, 512])
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_native_code_parses_as_torch_does(size: tuple[int, int], number: int, lively: Thin) -> None:
    """Tables, shifts and classes are the same to the last, with the largest weights and at every size."""
    model, (h, w) = lively(7), size
    arrays = arrays_of(model)
    coder = LatentCoder(arrays, z_tables(Statistics()), r_tables(Statistics()))
    integers = LevelIntegers(**levels.at(arrays, number).integers)
    z, r = symbols(size, number)
    found = coder.classes(integers, z, r)
    H, W = h + -h % 8, w + -w % 8
    given = extended(z, H // 2, W // 2), extended(found.r, H, W)
    for dtype in (torch.float32, torch.float64):
        k = exact.knobs(arrays, number)
        k = Knobs(**{name: value.to(dtype) for name, value in vars(k).items()})
        net = model.latents.to(dtype)
        out = net.classes(*(torch.from_numpy(t)[None].to(dtype) for t in given), k)
        table, shift, index = (t[0].numpy() for t in out)
        assert np.array_equal(found.z_table, table[:, : z.shape[1], : z.shape[2]])
        assert np.array_equal(found.z_shift, shift[:, : z.shape[1], : z.shape[2]])
        assert np.array_equal(found.index, index[:, :h, :w])
    assert np.array_equal(found.r != 0, (r != 0) & (found.index != 0))
    assert size == (1, 1) or len(np.unique(found.index)) > 30

    data = coder.write(integers, z, found.r)
    read = coder.read(integers, data, h, w)
    assert np.array_equal(read[0], z)
    assert np.array_equal(read[1], found.r)
    low = coder.read(integers, data, h, w, low_only=True)
    assert np.array_equal(low[0], z)
    assert np.array_equal(low[1], found.r[:LOW])


@torch.no_grad()
def test_the_encoders_graph_has_the_classes_of_the_native_code(lively: Thin) -> None:
    """ONNX Runtime at every optimisation, with 1 and 2 threads.  The graph does not give classes away: that
    which ``keep`` singles out shows in r.
    """
    model, (h, w), number = lively(8), (11, 13), 300
    arrays = arrays_of(model)
    coder = LatentCoder(arrays, z_tables(Statistics()), r_tables(Statistics()))
    level = levels.at(arrays, number)
    generator = torch.Generator().manual_seed(4)
    y = padded(3 * torch.randn(1, 48, h, w, generator=generator)).numpy()
    feeds = {**level.feeds, "y": y, "inside": inside(h, w)}
    data, seen = graphs(model, 1023)["latent_encoder"], 0
    for optimisation in (
        GraphOptimizationLevel.ORT_DISABLE_ALL,
        GraphOptimizationLevel.ORT_ENABLE_BASIC,
        GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        for threads in (1, 2):
            ready = session(data, optimisation, threads)
            for picked in (*range(1, SCALES, 9), 0):
                z, r = run(ready, **feeds, keep=np.arange(SCALES) == picked)
                z, r = (t[0].astype(np.int32) for t in (z, r))
                found = coder.classes(
                    LevelIntegers(**level.integers), z[:, : -(-h // 2), : -(-w // 2)], r[:, :h, :w]
                )
                if picked:
                    assert np.array_equal(found.r, r[:, :h, :w])  # nothing in class 0
                    assert (found.index[found.r != 0] == picked).all()
                    # Nearly all of the class have something: residuals are large.
                    assert (r[:, :h, :w][found.index == picked] != 0).mean() > 0.7
                    seen += int((found.index == picked).sum())
    assert seen > 8 * 100
