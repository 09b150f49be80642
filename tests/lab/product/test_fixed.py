"""The decoder in fixed point: native code and torch give the same latents, pixels and previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from calotype.coder import DecoderNetworks, LatentCoder, LevelIntegers, LevelPixels, LevelSteps, Wish
from calotype.coder.latents import kernels
from calotype.lab.export import Statistics
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER, dequantise
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack import exact
from calotype.lab.pack.exact import ExportError
from calotype.lab.pack.fixed import quantised, words
from calotype.lab.pack.fixed_networks import FixedNetworks
from calotype.lab.pack.restoration import CHROMA, CROSS, LUMA, ROOM
from calotype.lab.pack.tables import r_tables, z_tables
from calotype.lab.pack.write import _level_arrays
from calotype.pack.levels import interpolated, powers_of_two
from calotype.pack.tables import FILTERS, TAPS

Thin = Callable[..., Calotype]
Calibration = tuple[torch.Tensor, torch.Tensor]
SIZES = [(1, 1), (3, 5), (8, 8), (13, 23)]
"""Tiles in latents."""


@dataclass
class Made:
    """A model in fixed point, with the tables of its levels."""

    model: Calotype
    fixed: FixedNetworks
    tables: dict[str, np.ndarray]

    def at(self, number: int) -> tuple[LevelSteps, np.ndarray]:
        low, high, mul, vector = (
            interpolated(self.tables[name], number).astype(np.int32)
            for name in ("low_log_step", "high_log_step", "z_mul", "level_vector")
        )
        low, high = (powers_of_two(log) for log in (low, high))
        return LevelSteps(low, high, mul), vector

    @torch.no_grad()
    def expected(self, number: int, z: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, ...]:
        """Latents [h, w, M], pixels and preview, by torch in float64."""
        steps, vector = self.at(number)
        h, w = r.shape[1:]
        rows, columns = -(-h // 8) * 8, -(-w // 8) * 8

        def whole(t: np.ndarray, part: int) -> torch.Tensor:
            edges = [(0, 0), (0, rows // part - t.shape[1]), (0, columns // part - t.shape[2])]
            return torch.from_numpy(np.pad(t, edges).astype(np.float64))[None]

        d = dequantise(whole(z, 2), torch.from_numpy(steps.z_mul).double()[None, :, None, None])
        low, high = (torch.from_numpy(t).double() for t in (steps.low, steps.high))
        y = self.fixed.mean.restore(d, whole(r, 1), whole(np.ones((1, h, w)), 1), low, high)[..., :h, :w]
        x = words(y + torch.from_numpy(vector).double()[:, None, None])
        found = y, self.fixed.synthesis(x), self.fixed.small(y[:, :LOW])
        return tuple(t[0].permute(1, 2, 0).numpy() for t in found)


@pytest.fixture(scope="module", params=["thin", "lively"])
def made(request: pytest.FixtureRequest, calibration: Calibration) -> Made:
    model: Calotype = request.getfixturevalue(request.param)(3)
    fixed = FixedNetworks(model, *calibration)
    return Made(model, fixed, _level_arrays(model) | fixed.tables(model))


def integers(size: tuple[int, int], wild: bool) -> tuple[np.ndarray, np.ndarray]:
    rng, (h, w) = np.random.default_rng([*size, wild]), size
    z = np.rint(rng.normal(0, 200 if wild else 6, (HYPER, -(-h // 2), -(-w // 2)))).astype(np.int32)
    spread = rng.choice([0.1, 2.0, 30.0, 30_000.0 if wild else 1.0], (48, 1, 1))
    r = np.rint(rng.laplace(0, spread, (48, h, w))).clip(-32767, 32767).astype(np.int32)
    return z.clip(-1023, 1023), r


@pytest.mark.parametrize("wild", [False, True])
def test_native_code_computes_as_torch_does(made: Made, wild: bool) -> None:
    """On every kernel, at every size, at trained levels and between, and where words clip."""
    decoders = [DecoderNetworks(made.fixed.arrays(), kernel=name) for name in kernels()]
    clipped = seen = 0
    for size, number in zip(SIZES, (0, 300, 512, 131)):
        (steps, vector), (z, r) = made.at(number), integers(size, wild)
        y, pixels, small = made.expected(number, z, r)
        for decoder in decoders:
            found = decoder.restore(steps, z, r)
            np.testing.assert_array_equal(found, y)
            np.testing.assert_array_equal(decoder.restore(steps, z, r.astype(np.float32)), y)
            np.testing.assert_array_equal(decoder.synthesis(LevelPixels(vector, None), found), pixels)
            low = np.ascontiguousarray(r[:LOW])
            np.testing.assert_array_equal(decoder.preview(steps, low), small)
        clipped += int((np.abs(y + 0.5) == 32767.5).sum())
        seen += len(np.unique(pixels))
    assert seen > 100, "the pictures of the test should vary"
    assert clipped > 100 or not wild


def some_taps(rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Small ones, and the largest that sums of 16 bits allow."""
    yield rng.integers(-1500, 1500, (FILTERS, TAPS)).astype(np.int16)
    signs = rng.choice([-1, 1], (FILTERS, TAPS))
    luma, colour = (int(ROOM * 32768 * 2 / len(LUMA)), int(ROOM * 32768 / (len(CHROMA) + len(CROSS) / 2)))
    yield (signs * np.repeat([luma, colour], [len(LUMA), TAPS - len(LUMA)])).astype(np.int16)


def test_synthesis_of_any_words(made: Made) -> None:
    """Also of the largest there are, whose sums come nearest to 2^31."""
    rng = np.random.default_rng(0)
    decoders = [DecoderNetworks(made.fixed.arrays(), kernel=name) for name in kernels()]
    _, vector = made.at(77)
    for y in (rng.integers(-32768, 32768, (5, 7, 48)), rng.choice([-32768, 32767], (4, 3, 48))):
        x = words(torch.from_numpy(y + vector).double().permute(2, 0, 1)[None])
        for taps in (None, *some_taps(rng)):
            expected = made.fixed.synthesis(x, taps)[0].permute(1, 2, 0).numpy()
            for decoder in decoders:
                found = decoder.synthesis(LevelPixels(vector, taps), y.astype(np.int16))
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(11, 13), (1, 1), (8, 24)])
def test_an_encoder_chooses_by_the_means_of_the_decoder(made: Made, size: tuple[int, int]) -> None:
    """No latent that is coded is off by more than the step of a quantiser, two half steps, on any kernel; the
    choice is the same.
    """
    steps, _ = made.at(300)
    names = ("z_mul", "z_place", "z_scale", "low_bias", "high_bias")
    level = LevelIntegers(**{name: interpolated(made.tables[name], 300) for name in names})
    unit = made.fixed.unit.astype(np.float32)
    gains = (4096 / t / u for t, u in ((steps.low, unit[:LOW]), (steps.high, unit[LOW:])))
    low_gain, high_gain = (t.astype(np.float32) for t in gains)
    rng = np.random.default_rng(1)
    y = (rng.uniform(-30_000, 30_000, (48, *size)) * unit[:, None, None]).astype(np.float32)
    z, _ = integers(size, wild=False)
    arrays = exact.integer_arrays(made.model)
    chosen = []
    for name in kernels():
        coder = LatentCoder(arrays, z_tables(Statistics()), r_tables(Statistics()), kernel=name)
        decoder = DecoderNetworks(made.fixed.arrays(), kernel=name)
        r, _ = coder.choose(level, decoder, steps, Wish(unit, low_gain, high_gain, 1.0), y, z)
        found = coder.classes(level, z, r)
        assert np.array_equal(found.r, r), "what has no code is 0"
        y_hat = decoder.restore(steps, z, r).transpose(2, 0, 1)
        error = np.abs(y_hat - y / unit[:, None, None])
        most = np.concatenate((steps.low.max(0), steps.high.max(0)))[:, None, None]
        assert (error <= most / 2048 + 1)[found.index > 0].all()
        assert (r != 0).any()
        chosen.append(r)
    assert all(np.array_equal(r, chosen[0]) for r in chosen)


def test_a_layer_without_a_multiplier_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ExportError, match="no multiplier"):
        quantised(np.full((1, 1, 1), 1e6), np.zeros(1), one, 1e-3 * one, "words", np.zeros(1))
