"""Intervals of paired differences, and what is said of them."""

from __future__ import annotations

import pytest

from studies.paired import Effect, effect, share


def test_an_interval_by_hand() -> None:
    found = effect([1.0, 2.0, 3.0])
    assert (found.count, found.mean) == (3, 2.0)
    assert (found.low, found.high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert effect([2.0, 2.0]) == Effect(2, 2.0, 2.0, 2.0)
    assert found.told(1, " %") == "+2.0 % (-0.5 .. +4.5)"
    for count in (1, 11):
        with pytest.raises(ValueError, match=f"2 to 10 pairs, got {count}"):
            effect([0.0] * count)


@pytest.mark.parametrize(
    ("low", "high", "claim", "verdict"),
    [
        (1.0, 5.0, 3.0, "seen"),
        (1.0, 2.0, 3.0, "seen, smaller than published"),
        (-1.0, 2.0, 3.0, "not seen"),
        (-5.0, -2.0, 3.0, "not seen"),
        (-1.0, 4.0, 3.0, "cannot be told at this budget"),
        (-0.09, -0.05, -0.06, "seen"),
        (-0.03, 0.02, -0.06, "not seen"),
        (-0.07, 0.02, -0.06, "cannot be told at this budget"),
    ],
)
def test_verdicts(low: float, high: float, claim: float, verdict: str) -> None:
    assert Effect(5, (low + high) / 2, low, high).verdict(claim) == verdict


def test_claims_without_a_size() -> None:
    up, down, either = Effect(3, 2.0, 1.0, 3.0), Effect(3, -2.0, -3.0, -1.0), Effect(3, 0.5, -1.0, 2.0)
    assert [e.points(1) for e in (up, down, either)] == ["seen", "not seen", "cannot be told at this budget"]
    assert [e.points(-1) for e in (up, down, either)] == ["not seen", "seen", "cannot be told at this budget"]


def test_a_share_is_what_both_intervals_allow() -> None:
    whole = Effect(3, 10.0, 8.0, 12.0)
    assert share(Effect(5, 5.0, 4.0, 6.0), whole) == Effect(5, 50.0, pytest.approx(100 / 3), 75.0)
    assert share(Effect(5, 0.0, -4.0, 4.0), whole) == Effect(5, 0.0, -50.0, 50.0)
    assert share(Effect(5, 5.0, 4.0, 6.0), Effect(3, 1.0, -1.0, 3.0)) is None
