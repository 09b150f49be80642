"""An encoder's networks in fixed point: native code computes as torch does, nearly as in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from calotype.coder import EncoderNetworks
from calotype.coder.latents import kernels
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER
from calotype.lab.pack.calibrate import hard_pictures
from calotype.lab.pack.fixed_analysis import FixedAnalysis, FixedHyperAnalysis, encoder_arrays
from calotype.lab.pack.write import manifest

Thin = Callable[..., Calotype]
Calibration = tuple[torch.Tensor, torch.Tensor]
SIZES = [(1, 1), (3, 5), (8, 8), (13, 23)]
"""Windows in latents."""


@pytest.fixture(params=["thin", "lively"])
def model(request: pytest.FixtureRequest) -> Calotype:
    made: Calotype = request.getfixturevalue(request.param)(3)
    return made


def encoders(model: Calotype, calibration: Calibration) -> list[EncoderNetworks]:
    arrays = encoder_arrays(model, *calibration)
    return [EncoderNetworks(arrays, kernel=name) for name in kernels()]


@torch.no_grad()
def test_native_analysis_computes_as_torch_does(
    model: Calotype, calibration: Calibration, picture: Callable[..., np.ndarray]
) -> None:
    """On every kernel, at every size, for pictures and for noise of the largest contrast."""
    fixed = FixedAnalysis(model.analysis, calibration[0], hard_pictures(128))
    ready = encoders(model, calibration)
    rng = np.random.default_rng(0)
    for h, w in SIZES:
        size = (16 * h, 16 * w)
        noise = rng.choice(np.array([0, 255], np.uint8), (*size, 3))
        for pixels in (np.ascontiguousarray(picture(*size)), noise):
            x = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
            expected = (fixed(x)[0].numpy() * fixed.unit[:, None, None].astype(np.float32)).astype(np.float32)
            for encoder in ready:
                np.testing.assert_array_equal(encoder.analysis(pixels), expected)


@torch.no_grad()
def test_the_analysis_is_nearly_that_in_float32(
    model: Calotype, calibration: Calibration, picture: Callable[..., np.ndarray]
) -> None:
    pixels = np.ascontiguousarray(picture(128, 160, 3))
    y = model.analysis(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)[0].numpy()
    error = encoders(model, calibration)[0].analysis(pixels) - y
    assert 0 < np.square(error).mean() < 1e-4 * y.var()


@torch.no_grad()
def test_native_hyper_analysis_computes_as_torch_does(model: Calotype, calibration: Calibration) -> None:
    """On every kernel, with sides that are even; latents of all sizes, and steps of several levels."""
    fixed = FixedAnalysis(model.analysis, calibration[0], hard_pictures(128))
    x, levels = calibration
    hyper = FixedHyperAnalysis(model.latents.hyper, model.analysis(x), model.levels(levels).gain, fixed.unit)
    ready, seen = encoders(model, calibration), set[int]()
    for number, (h, w) in enumerate([(2, 2), (4, 6), (8, 8), (14, 24)]):
        rng = np.random.default_rng(number)
        words = np.rint(rng.laplace(0, 10.0 ** rng.uniform(0, 4, (48, 1, 1)), (48, h, w))).clip(-32768, 32767)
        unit = fixed.unit.astype(np.float32)
        y = words.astype(np.float32) * unit[:, None, None]
        k = model.levels(torch.tensor([0.6 * number]))
        gain, mul = k.gain[0, :, 0, 0].numpy(), k.z_mul[0, :, 0, 0]
        gained = torch.from_numpy(y * gain[:, None, None]).double()[None]
        expected = hyper(torch.from_numpy(words)[None], gained, mul.double(), 1023)[0].numpy()
        for encoder in ready:
            z = encoder.hyper(y, gain, mul.numpy().astype(np.int32), 1023)
            # Logarithms are from a table, so that an energy may come out as its neighbour.
            assert np.abs(z - expected).max() <= 1
            assert (z != expected).mean() < 0.02
            np.testing.assert_array_equal(z, ready[0].hyper(y, gain, mul.numpy().astype(np.int32), 1023))
        seen |= set(expected.ravel())
    assert len(seen) > 5


@torch.no_grad()
def test_the_hyper_analysis_is_nearly_that_in_float32(
    lively: Thin, calibration: Calibration, picture: Callable[..., np.ndarray]
) -> None:
    """Also where the sides are odd, and there the edge is repeated."""
    model = lively(5)
    encoder = encoders(model, calibration)[0]
    y = encoder.analysis(np.ascontiguousarray(picture(16 * 11, 16 * 13)))
    k = model.levels(torch.tensor([0.75]))
    gain, mul = k.gain[0, :, 0, 0].numpy(), k.z_mul[0, :, 0, 0].numpy()
    whole = torch.from_numpy(np.pad(y, ((0, 0), (0, 1), (0, 1)), mode="edge"))[None]
    expected = np.rint((model.latents.hyper(whole, k.gain)[0] * 4096 / k.z_mul[0]).numpy())
    z = encoder.hyper(y, gain, mul.astype(np.int32), 1023)
    assert z.shape == expected.shape == (HYPER, 6, 7)
    assert np.abs(z - expected).max() <= 1
    assert (z == expected).mean() > 0.95
    assert z.any()


def test_hyper_latents_stay_within_the_limit(lively: Thin, calibration: Calibration) -> None:
    """Whatever the latents are, infinities and what is no number included."""
    encoder = encoders(lively(6), calibration)[0]
    mul, gain = np.full(HYPER, 300, np.int32), np.ones(48, np.float32)
    for value in (1e6, -1e30, np.inf, -np.inf, np.nan):
        z = encoder.hyper(np.full((48, 5, 8), value, np.float32), gain, mul, 9)
        assert np.abs(z).max() <= 9
    assert np.abs(encoder.hyper(np.full((48, 8, 8), 1e6, np.float32), gain, mul, 9)).max() == 9


def test_a_window_is_the_whole_picture_within_its_margin(
    lively: Thin, calibration: Calibration, picture: Callable[..., np.ndarray]
) -> None:
    model = lively(2)
    encoder, margin = encoders(model, calibration)[0], manifest(model, "thin")["analysis_margin"]
    pixels = np.ascontiguousarray(picture(256, 208, 3))
    whole = encoder.analysis(pixels)
    part = encoder.analysis(np.ascontiguousarray(pixels[16 * 3 : 16 * 15]))
    assert 0 < margin < 6
    np.testing.assert_array_equal(part[:, margin:-margin], whole[:, 3 + margin : 15 - margin])
    assert not np.array_equal(part, whole[:, 3:15])


# -- what a file of arrays may not say --------------------------------------------------


@pytest.fixture(scope="module")
def right(thin: Thin, calibration: Calibration) -> dict[str, np.ndarray]:
    return encoder_arrays(thin(), *calibration)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("unit", None, "unit: must be float32"),
        ("unit", lambda t: t.astype(np.float64), "unit: must be float32"),
        ("unit", lambda t: t[1:], "unit: must be float32"),
        ("unit", lambda t: -t, "unit: must be above 0"),
        ("unit", lambda t: t * np.float32(np.nan), "unit: must be above 0"),
        ("analysis.patch.weight", None, "analysis.patch.weight: missing"),
        ("analysis.patch.weight", lambda t: t[:-1], "analysis.patch.bias: must be int32 of shape"),
        ("analysis.patch.weight", lambda t: t[:, :-1], "analysis.patch.weight: must be int16 of shape"),
        ("analysis.patch.weight", lambda t: t.astype(np.int8), "analysis.patch.weight: must be int16"),
        ("analysis.merge.weight", lambda t: t * 0 + 32767, "analysis.merge: output 0 could reach"),
        ("analysis.merge.bias", lambda t: t[1:], "analysis.merge.bias: must be int32 of shape"),
        ("analysis.blocks8.0.conv.weight", lambda t: t * 0 + 65, "weights are within"),
        ("analysis.blocks16.0.expand.mul", lambda t: t * 0, "must be above 0"),
        ("analysis.blocks16.0.expand.weight", lambda t: t[:, :, 0], "must be int8 of shape"),
        ("hyper_analysis.reduce.weight", lambda t: t * 0 + 32767, "reduce: output 0 could reach"),
        ("hyper_analysis.conv.weight", lambda t: t[:, :, :1, :1], "must be int8 of shape"),
        ("hyper_analysis.out.weight", None, "hyper_analysis.out.weight: missing"),
        ("analysis.more", lambda t: np.zeros(1, np.int8), "arrays that the networks do not"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    right: dict[str, np.ndarray],
    name: str,
    change: Callable[[np.ndarray], np.ndarray] | None,
    message: str,
) -> None:
    arrays = dict(right)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays.get(name, np.zeros(0)))
    with pytest.raises(ValueError, match=message):
        EncoderNetworks(arrays)


def test_arrays_of_other_shapes_are_refused(thin: Thin, calibration: Calibration) -> None:
    encoder = encoders(thin(), calibration)[0]
    for shape in ((16, 17, 3), (16, 16, 4), (0, 16, 3)):
        with pytest.raises(ValueError, match=r"pixels must be|rows and columns"):
            encoder.analysis(np.zeros(shape, np.uint8))
    y, gain, mul = np.zeros((48, 4, 4), np.float32), np.ones(48, np.float32), np.full(HYPER, 300, np.int32)
    for given, message in (
        ((y[:-1].copy(), gain, mul, 9), "y must be"),
        ((y, gain[1:], mul, 9), "gain must be"),
        ((y, gain, mul[1:], 9), "z_mul must be"),
        ((y, gain, 0 * mul, 9), "z_mul must be above 0"),
        ((y, gain, mul, -1), "limit must not be below 0"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.hyper(*given)
