"""BD-rate: the interpolation, the cleaning of curves, the directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bench.bdrate import (
    Curve,
    _cubic_integral,
    _pchip_integral,
    bd_quality,
    bd_rate,
    bd_rate_per_image,
    mean_curve,
    pchip_slopes,
)

RATES = [0.1, 0.25, 0.5, 0.9, 1.6]
PSNRS = [27.0, 30.0, 33.0, 36.0, 39.5]
BASE = Curve(RATES, PSNRS)

steps = st.lists(st.floats(0.05, 3.0), min_size=2, max_size=9)


@given(steps, st.data())
def test_pchip_against_scipy(rise: list[float], data: st.DataObject) -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    x = np.cumsum(rise)
    y = np.array(data.draw(st.lists(st.floats(-5, 5), min_size=len(x), max_size=len(x))))
    peer = interpolate.PchipInterpolator(x, y)
    np.testing.assert_allclose(pchip_slopes(x, y), peer.derivative()(x), atol=1e-9)
    low, high = sorted(x[0] + (x[-1] - x[0]) * data.draw(st.floats(0, 1)) for _ in range(2))
    assert _pchip_integral(x, y, low, high) == pytest.approx(float(peer.integrate(low, high)), abs=1e-9)


def test_pchip_by_hand() -> None:
    # Slopes 1 and 3 over unit steps: harmonic mean 1.5 in the middle; ends (3*1-3)/2 = 0, (3*3-1)/2 = 4.
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 4.0])
    np.testing.assert_allclose(pchip_slopes(x, y), [0.0, 1.5, 4.0])
    # Cubic Hermite over a unit step: (y0 + y1) / 2 + (m0 - m1) / 12.
    assert _pchip_integral(x, y, 0.0, 2.0) == pytest.approx(0.5 - 1.5 / 12 + 2.5 - 2.5 / 12)
    assert _pchip_integral(x, y, 0.5, 0.5) == 0.0


def test_cubic_integral_is_exact_for_a_cubic() -> None:
    x = np.linspace(20, 40, 7)
    assert _cubic_integral(x, 1 + 0.2 * x**3, 22.0, 31.0) == pytest.approx(9.0 + 0.05 * (31.0**4 - 22.0**4))


@pytest.mark.parametrize("method", ["pchip", "cubic"])
@given(st.floats(0.2, 5.0))
def test_rates_times_a_factor(method: str, factor: float) -> None:
    result = bd_rate(BASE, Curve([factor * r for r in RATES], PSNRS), method=method)
    assert result.value == pytest.approx((factor - 1) * 100, abs=1e-6)
    assert (result.low, result.high, result.coverage) == (27.0, 39.5, 1.0)


@given(st.floats(-1.4, 1.4))
def test_quality_plus_a_constant(shift: float) -> None:
    result = bd_quality(BASE, Curve(RATES, [q + shift for q in PSNRS]))
    assert result.value == pytest.approx(shift, abs=1e-9)
    assert (result.low, result.high) == pytest.approx((0.1, 1.6))


def test_swapping_the_curves() -> None:
    other = Curve([0.13, 0.3, 0.7, 1.1], [28.0, 31.0, 35.0, 37.0])
    there, back = bd_rate(BASE, other), bd_rate(other, BASE)
    assert back.value / 100 == pytest.approx(1 / (1 + there.value / 100) - 1)
    assert (there.low, there.high) == (28.0, 37.0)
    assert there.coverage == pytest.approx(9 / 12.5)
    assert back.coverage == 1.0


def test_span_narrows_the_range() -> None:
    # Log rate rises in straight lines, q/6 and q/5 - 6, so their mean difference is the one at mid-range.
    anchor = Curve([math.exp(q / 6) for q in PSNRS], PSNRS)
    test = Curve([math.exp(q / 5 - 6) for q in PSNRS], PSNRS)
    narrow = bd_rate(anchor, test, span=(31.0, 33.0))
    assert (narrow.low, narrow.high) == (31.0, 33.0)
    assert narrow.value == pytest.approx(100 * math.expm1(32 / 30 - 6))
    assert bd_rate(anchor, test).value == pytest.approx(100 * math.expm1(33.25 / 30 - 6))
    assert math.isnan(bd_rate(anchor, test, span=(50.0, 60.0)).value)


def test_distances_count_downwards() -> None:
    distances = [0.40, 0.31, 0.22, 0.15, 0.09]
    anchor = Curve(RATES, distances, direction="lower")
    better = Curve([0.8 * r for r in RATES], distances, direction="lower")
    result = bd_rate(anchor, better)
    assert result.value == pytest.approx(-20.0)
    assert (result.low, result.high) == (0.09, 0.40)
    assert bd_rate(anchor, better, span=(0.15, 0.31)).value == pytest.approx(-20.0)
    assert bd_quality(
        anchor, Curve(RATES, [d - 0.02 for d in distances], direction="lower")
    ).value == pytest.approx(0.02)
    # The same numbers taken for qualities fall with the rate: nothing is left of such a curve but one point.
    assert len(Curve(RATES, distances)) == 1


def test_order_of_points_does_not_matter() -> None:
    order = [3, 0, 4, 2, 1]
    shuffled = Curve([RATES[i] * 1.1 for i in order], [PSNRS[i] for i in order])
    assert bd_rate(BASE, shuffled).value == pytest.approx(10.0)


def test_points_beaten_by_others_are_left_out_and_told() -> None:
    curve = Curve([*RATES, 0.6, 0.5], [*PSNRS, 32.0, 31.0])
    np.testing.assert_array_equal(curve.rate, RATES)
    assert curve.notes == ("2 points beaten by another of the same curve left out",)
    result = bd_rate(BASE, curve)
    assert result.value == pytest.approx(0.0)
    assert result.notes == ("test: 2 points beaten by another of the same curve left out",)


def test_points_without_a_number_are_left_out_and_told() -> None:
    curve = Curve([*RATES, 9.0, 0.0, math.nan], [*PSNRS, math.inf, 20.0, 30.0])
    assert len(curve) == len(RATES)
    assert bd_rate(curve, BASE).notes == ("anchor: 3 points without a finite rate and quality left out",)


@pytest.mark.parametrize(
    ("anchor", "test", "reason"),
    [
        (BASE, Curve([0.1], [30.0]), "test has 1 usable points, needs 2"),
        (Curve([], []), BASE, "anchor has 0 usable points, needs 2"),
        (BASE, Curve([5.0, 6.0], [50.0, 51.0]), "no range in common"),
        (BASE, Curve([5.0, 6.0], [39.5, 51.0]), "no range in common"),
    ],
)
def test_no_value_with_a_reason(anchor: Curve, test: Curve, reason: str) -> None:
    result = bd_rate(anchor, test)
    assert math.isnan(result.value)
    assert math.isnan(result.low)
    assert reason in result.notes[-1]


def test_cubic_needs_four_points() -> None:
    three = Curve(RATES[:3], PSNRS[:3])
    assert "needs 4" in bd_rate(BASE, three, method="cubic").notes[-1]
    assert math.isfinite(bd_rate(BASE, three).value)


def test_misuse() -> None:
    with pytest.raises(ValueError, match="3 rates but 2 qualities"):
        Curve([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="direction"):
        Curve(RATES, PSNRS, direction="up")
    with pytest.raises(ValueError, match="unknown method 'akima'"):
        bd_rate(BASE, BASE, method="akima")


def test_per_image() -> None:
    anchor = {
        name: Curve([s * r for r in RATES], PSNRS)
        for name, s in (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 1.0))
    }
    test = {"b": Curve([2.2 * r for r in RATES], PSNRS), "a": Curve([0.9 * r for r in RATES], PSNRS)}
    test["d"] = Curve([5.0, 6.0], [50.0, 51.0])
    result = bd_rate_per_image(anchor, test)
    assert list(result.images) == ["a", "b", "d"]
    assert result.images["a"].value == pytest.approx(-10.0)
    assert result.mean == pytest.approx(0.0, abs=1e-9)
    assert result.std == pytest.approx(math.sqrt(200))
    assert result.count == 2
    nothing = bd_rate_per_image(anchor, {})
    assert (nothing.count, math.isnan(nothing.mean), math.isnan(nothing.std)) == (0, True, True)


def test_mean_curve() -> None:
    rates, qualities = mean_curve([[1.0, 2.0], [3.0, 4.0]], [[30.0, math.inf], [34.0, 40.0]])
    assert rates == [2.0, 3.0]
    assert qualities == [32.0, math.inf]
    with pytest.raises(ValueError, match="at every setting"):
        mean_curve([[1.0, 2.0]], [[1.0]])
