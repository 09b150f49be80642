"""BD-rate: how many percent more or fewer bits a codec needs for the same quality, on average over a range.

Each curve is turned into log rate as a function of quality by a monotone cubic (PCHIP, Fritsch-Carlson),
which cannot overshoot between points as a global cubic does. The mean difference of log rate over the
*common* range of quality is the result: ``percent = (exp(mean difference) - 1) * 100``, negative where the
test codec needs fewer bits. The range is part of the answer: two BD-rates over different ranges do not
compare. `bd_quality` is the same the other way round: mean difference of quality over the common range of
log rate.

Quality must be on a scale on which differences mean something: dB for PSNR and MS-SSIM. `direction="lower"`
is for distances (NLPD).

Sources: Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001; PCHIP:
Fritsch, Carlson, SIAM J. Numer. Anal. 17(2), 1980, with three-point slopes at the ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BD:
    """One Bjontegaard difference."""

    value: float
    """Percent of rate (`bd_rate`) or quality (`bd_quality`); NaN when it cannot be had, see `notes`."""
    low: float
    """Start of the common range: quality for `bd_rate`, rate for `bd_quality`. NaN without one."""
    high: float
    """End of the common range."""
    coverage: float = 0.0
    """Common range over the anchor's own range (of quality, or of log rate), 0 to 1."""
    notes: tuple[str, ...] = ()
    """What was left out of the curves, or why there is no value. For people."""


@dataclass(frozen=True)
class PerImage:
    """BD-rates of every picture that both codecs have."""

    images: dict[str, BD]
    """By picture, in the anchor's order."""
    mean: float
    """Mean over the pictures that have a value; NaN without any."""
    std: float
    """Sample standard deviation over them; NaN with fewer than two."""
    count: int
    """How many have a value."""


class Curve:
    """Points of one rate-quality curve, cleaned: rates and qualities both strictly rising.

    Points that are not finite or have no positive rate are dropped, and so is every point that another one
    beats (no more bits, no less quality): a monotone curve cannot pass through both. `notes` says what was
    dropped.
    """

    def __init__(self, rate: Sequence[float], quality: Sequence[float], *, direction: str = "higher") -> None:
        """`rate` in any unit of size (bpp, bytes), `quality` in the unit of the metric, in any order.

        Raises `ValueError` when their lengths differ or `direction` is neither ``higher`` nor ``lower``.
        """
        if direction not in ("higher", "lower"):
            raise ValueError(f"direction is 'higher' or 'lower', not {direction!r}")
        if len(rate) != len(quality):
            raise ValueError(f"{len(rate)} rates but {len(quality)} qualities")
        sign = 1.0 if direction == "higher" else -1.0
        points = [(float(r), sign * float(q)) for r, q in zip(rate, quality)]
        usable = sorted(p for p in points if math.isfinite(p[0]) and p[0] > 0 and math.isfinite(p[1]))
        kept: list[tuple[float, float]] = []
        for r, q in sorted(usable, key=lambda p: (p[0], -p[1])):
            if not kept or q > kept[-1][1]:
                kept.append((r, q))
        self.sign = sign
        self.rate: Floats = np.array([r for r, _ in kept])
        self.quality: Floats = np.array([q for _, q in kept])
        notes = []
        if len(usable) < len(points):
            notes.append(f"{len(points) - len(usable)} points without a finite rate and quality left out")
        if len(kept) < len(usable):
            notes.append(f"{len(usable) - len(kept)} points beaten by another of the same curve left out")
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self.rate)


def bd_rate(
    anchor: Curve, test: Curve, *, method: str = "pchip", span: tuple[float, float] | None = None
) -> BD:
    """BD-rate of `test` against `anchor` in percent; negative: `test` needs fewer bits.

    `span` narrows the range of quality (in the metric's own sign). `method`: ``pchip``, or ``cubic`` for
    the single cubic of the 2001 proposal, to compare with old figures.
    """
    result = _difference(
        (anchor.quality, np.log(anchor.rate)),
        (test.quality, np.log(test.rate)),
        method,
        _ordered(span, anchor.sign),
    )
    low, high = sorted((anchor.sign * result.low, anchor.sign * result.high))
    return BD(
        math.expm1(result.value) * 100.0, low, high, result.coverage, _notes(anchor, test) + result.notes
    )


def bd_quality(anchor: Curve, test: Curve, *, method: str = "pchip") -> BD:
    """Mean quality of `test` over `anchor` at the same rate, in the unit of the metric (BD-PSNR for PSNR).

    For distances too, positive means that `test` is better.
    """
    result = _difference(
        (np.log(anchor.rate), anchor.quality), (np.log(test.rate), test.quality), method, None
    )
    notes = _notes(anchor, test) + result.notes
    return BD(result.value, math.exp(result.low), math.exp(result.high), result.coverage, notes)


def bd_rate_per_image(
    anchor: Mapping[str, Curve], test: Mapping[str, Curve], *, method: str = "pchip"
) -> PerImage:
    """BD-rate of every picture in both, and their mean, which weighs pictures equally.

    It differs from the BD-rate of the mean curves (`mean_curve`), where pictures that need many bits weigh
    more.
    """
    images = {
        name: bd_rate(curve, test[name], method=method) for name, curve in anchor.items() if name in test
    }
    values = [b.value for b in images.values() if math.isfinite(b.value)]
    mean = float(np.mean(values)) if values else math.nan
    std = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return PerImage(images, mean, std, len(values))


def mean_curve(
    rates: Sequence[Sequence[float]], qualities: Sequence[Sequence[float]]
) -> tuple[list[float], list[float]]:
    """Means over pictures of per-picture points ``[picture][point]``: the curve that papers plot.

    Every picture must have the same points (one per quality setting), else `ValueError`. A point where one
    picture is not finite (lossless: infinite PSNR) is not finite in the mean, and `Curve` leaves it out.
    """
    if len(rates) != len(qualities) or len({len(r) for r in (*rates, *qualities)}) != 1:
        raise ValueError("every picture needs a rate and a quality at every setting")
    return np.mean(rates, axis=0).tolist(), np.mean(qualities, axis=0).tolist()


def _notes(anchor: Curve, test: Curve) -> tuple[str, ...]:
    return tuple(
        f"{name}: {note}" for name, curve in (("anchor", anchor), ("test", test)) for note in curve.notes
    )


def _ordered(span: tuple[float, float] | None, sign: float) -> tuple[float, float] | None:
    return None if span is None else (min(sign * s for s in span), max(sign * s for s in span))


def _difference(
    anchor: tuple[Floats, Floats], test: tuple[Floats, Floats], method: str, span: tuple[float, float] | None
) -> BD:
    """Mean of ``test - anchor`` over the common range of x, the curves being y over x."""
    if method not in _INTEGRALS:
        raise ValueError(f"unknown method {method!r}; known: {', '.join(_INTEGRALS)}")
    least = 4 if method == "cubic" else 2
    for name, (x, _) in (("anchor", anchor), ("test", test)):
        if len(x) < least:
            return BD(
                math.nan, math.nan, math.nan, 0.0, (f"{name} has {len(x)} usable points, needs {least}",)
            )
    low, high = (max(anchor[0][0], test[0][0]), min(anchor[0][-1], test[0][-1]))
    if span is not None:
        low, high = max(low, span[0]), min(high, span[1])
    if not high > low:
        return BD(math.nan, math.nan, math.nan, 0.0, ("the curves have no range in common",))
    integral = _INTEGRALS[method]
    mean = (integral(*test, low, high) - integral(*anchor, low, high)) / (high - low)
    coverage = (high - low) / (anchor[0][-1] - anchor[0][0])
    return BD(float(mean), float(low), float(high), float(coverage))


def pchip_slopes(x: Floats, y: Floats) -> Floats:
    """Slopes at the points of the monotone piecewise cubic through ``(x, y)``, `x` strictly rising, 2
    points or more.
    """
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.array([d[0], d[0]])
    slopes = np.zeros(len(x))
    same = d[:-1] * d[1:] > 0
    w1, w2 = 2.0 * h[1:] + h[:-1], h[1:] + 2.0 * h[:-1]
    # Weighted harmonic mean of the slopes on both sides; 0 at a turning point.
    slopes[1:-1][same] = (w1 + w2)[same] / (w1[same] / d[:-1][same] + w2[same] / d[1:][same])
    slopes[0] = _end_slope(h[0], h[1], d[0], d[1])
    slopes[-1] = _end_slope(h[-1], h[-2], d[-1], d[-2])
    return slopes


def _end_slope(h0: float, h1: float, d0: float, d1: float) -> float:
    """Three-point slope at an end, limited so that the curve stays monotone."""
    slope = ((2.0 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3.0 * d0 if d0 * d1 <= 0 and abs(slope) > 3.0 * abs(d0) else float(slope)


def _pchip_integral(x: Floats, y: Floats, low: float, high: float) -> float:
    """Exact integral of the monotone cubic from `low` to `high`, both inside the points."""
    slopes, h = pchip_slopes(x, y), np.diff(x)
    d = np.diff(y) / h
    # y + c1 t + c2 t^2 + c3 t^3 on each piece, t from its left end.
    c1, c2 = slopes[:-1], (3.0 * d - 2.0 * slopes[:-1] - slopes[1:]) / h
    c3 = (slopes[:-1] + slopes[1:] - 2.0 * d) / (h * h)

    def area(t: Floats) -> Floats:
        return t * (y[:-1] + t * (c1 / 2.0 + t * (c2 / 3.0 + t * c3 / 4.0)))

    return float((area(np.clip(high - x[:-1], 0.0, h)) - area(np.clip(low - x[:-1], 0.0, h))).sum())


def _cubic_integral(x: Floats, y: Floats, low: float, high: float) -> float:
    """Integral of the least-squares cubic through the points."""
    middle = x.mean()  # keeps the fit well conditioned
    whole = np.polynomial.Polynomial(np.polynomial.polynomial.polyfit(x - middle, y, 3)).integ()
    return float(whole(high - middle) - whole(low - middle))


_INTEGRALS = {"pchip": _pchip_integral, "cubic": _cubic_integral}
