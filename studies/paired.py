"""What pairs of runs say of an effect: the mean difference, its interval, and a verdict in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t for 1 to 9 degrees of freedom."""


@dataclass(frozen=True)
class Effect:
    """Mean of paired differences with its 95 % interval (Student's t)."""

    count: int
    mean: float
    low: float
    high: float

    def verdict(self, claim: float) -> str:
        """Whether the interval shows an effect of the sign of ``claim``, and whether it can be that large.

        *seen*: 0 is outside the interval, on the claimed side.  *not seen*: the claim is outside.  Where both
        are inside, nothing can be told.
        """
        sign = math.copysign(1, claim)
        low, high = sorted((sign * self.low, sign * self.high))
        if low > 0:
            return "seen" if high >= abs(claim) else "seen, smaller than published"
        if high < abs(claim):
            return "not seen"
        return "cannot be told at this budget"

    def points(self, sign: int) -> str:
        """As `verdict`, of a claim that gives no size: *seen* where 0 is outside the interval on the side of
        ``sign``, *not seen* where it is outside on the other.
        """
        low, high = sorted((sign * self.low, sign * self.high))
        return "seen" if low > 0 else "not seen" if high < 0 else "cannot be told at this budget"

    def told(self, digits: int = 2, unit: str = "") -> str:
        """For tables: mean and interval."""
        return f"{self.mean:+.{digits}f}{unit} ({self.low:+.{digits}f} .. {self.high:+.{digits}f})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def effect(differences: Sequence[float]) -> Effect:
    """Of two to ten differences.

    Raises:
        ValueError: for fewer or more.
    """
    n = len(differences)
    if not 2 <= n <= len(STUDENT) + 1:
        raise ValueError(f"an interval needs 2 to {len(STUDENT) + 1} pairs, got {n}")
    mean = statistics.fmean(differences)
    half = STUDENT[n - 2] * statistics.stdev(differences) / math.sqrt(n)
    return Effect(n, mean, mean - half, mean + half)


def share(part: Effect, whole: Effect) -> Effect | None:
    """What part of ``whole`` is ``part``, in percent, and how far it can be off: the least and the most that
    the two intervals allow, of 95 % each, so of 90 % at least together.  ``count`` is that of ``part``.  None
    where ``whole`` cannot be told from 0.
    """
    if whole.low <= 0:
        return None
    ends = [100 * a / b for a in (part.low, part.high) for b in (whole.low, whole.high)]
    return Effect(part.count, 100 * part.mean / whole.mean, min(ends), max(ends))
