"""From the results to curves: mean rate-distortion curves, curves of single pictures, and BD-rates between
them.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from calotype.bench import bdrate
from calotype.bench.metrics import METRICS


@dataclass(frozen=True)
class MeasuredCurve:
    """Points of one codec, sorted by rate."""

    qualities: tuple[Any, ...]
    bpp: tuple[float, ...]
    values: dict[str, tuple[float, ...]]
    """By metric, in the metric's own scale."""
    pictures: int = 1

    def to_json(self) -> dict[str, Any]:
        values = {metric: [_round(v) for v in points] for metric, points in self.values.items()}
        return {
            "q": list(self.qualities),
            "bpp": [_round(b) for b in self.bpp],
            "values": values,
            "n": self.pictures,
        }


class Table:
    """All measurements of a run, to be asked for curves."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.metrics = list(results["metrics"])
        self.codecs = list(results["codecs"])
        self._points: dict[str, dict[str, dict[float, dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        for m in results["measurements"]:
            self._points[m["codec"]][m["image"]][m["quality"]] = m
        self.images = [i["name"] for i in results["images"]]

    def complete(self, codec: str) -> list[str]:
        """The pictures for which every point of the codec was measured that was measured for any."""
        points = self._points[codec]
        full = {q for image in points.values() for q in image}
        return [image for image in self.images if full and set(points.get(image, ())) == full]

    def image_curve(self, codec: str, image: str) -> MeasuredCurve | None:
        points = self._points[codec].get(image)
        return self._curve([points]) if points else None

    def mean_curve(self, codec: str, images: Iterable[str] | None = None) -> MeasuredCurve | None:
        """Mean bpp and mean metric over pictures at each quality; only pictures with all points count."""
        chosen = self.complete(codec) if images is None else list(images)
        return self._curve([self._points[codec][image] for image in chosen]) if chosen else None

    def _curve(self, pictures: list[dict[float, dict[str, Any]]]) -> MeasuredCurve:
        rows = []
        for quality in pictures[0]:
            points = [picture[quality] for picture in pictures]
            values = {}
            for metric in self.metrics:
                known = [p["metrics"][metric] for p in points if metric in p["metrics"]]
                values[metric] = statistics.fmean(known) if len(known) == len(points) else float("nan")
            rows.append((statistics.fmean(p["bpp"] for p in points), quality, values))
        rows.sort(key=lambda row: row[0])
        by_metric = {metric: tuple(row[2][metric] for row in rows) for metric in self.metrics}
        return MeasuredCurve(tuple(r[1] for r in rows), tuple(r[0] for r in rows), by_metric, len(pictures))


def bd(anchor: bdrate.Curve | None, other: bdrate.Curve | None) -> dict[str, Any] | None:
    """BD-rate in % of `other` against `anchor`, with the range it was taken over; None where they share
    none.
    """
    if anchor is None or other is None:
        return None
    found = bdrate.bd_rate(anchor, other)
    if not math.isfinite(found.value):
        return None
    coverage = round(found.coverage, 3)
    return {
        "rate": _round(found.value),
        "low": _round(found.low),
        "high": _round(found.high),
        "coverage": coverage,
    }


def bd_tables(table: Table, published: Mapping[str, MeasuredCurve]) -> dict[str, Any]:
    """BD-rates: metric -> anchor -> codec -> {"mean", "images", "average", "sd", "n"}.

    "mean" is taken between mean curves over the pictures that both codecs have; "images" has one per picture,
    "average" and "sd" are over those. Published curves are means and have no pictures; they are not compared
    among themselves.
    """
    full = {codec: table.complete(codec) for codec in table.codecs}
    tables: dict[str, Any] = {}
    for metric in table.metrics:
        single = {
            codec: {i: usable(table.image_curve(codec, i), metric) for i in full[codec]}
            for codec in table.codecs
        }
        mean = {codec: usable(table.mean_curve(codec), metric) for codec in table.codecs}
        known = {name: usable(curve, metric) for name, curve in published.items()}
        of_metric: dict[str, Any] = {}
        for anchor in table.codecs:
            row = of_metric[anchor] = {}
            for codec in table.codecs:
                row[codec] = _entry(table, metric, (anchor, codec), full, single)
            row |= {name: {"mean": bd(mean[anchor], curve)} for name, curve in known.items()}
        for anchor, curve in known.items():
            of_metric[anchor] = {codec: {"mean": bd(curve, mean[codec])} for codec in table.codecs}
        tables[metric] = of_metric
    return tables


def _entry(
    table: Table,
    metric: str,
    pair: tuple[str, str],
    full: dict[str, list[str]],
    single: dict[str, dict[str, bdrate.Curve | None]],
) -> dict[str, Any]:
    anchor, codec = pair
    shared = [image for image in full[anchor] if image in single[codec]]
    mean = bd(
        usable(table.mean_curve(anchor, shared), metric), usable(table.mean_curve(codec, shared), metric)
    )
    found = {image: bd(single[anchor][image], single[codec][image]) for image in shared}
    images = {image: value["rate"] for image, value in found.items() if value is not None}
    rates = list(images.values())
    return {
        "mean": mean,
        "images": images,
        "average": _round(statistics.fmean(rates)) if rates else None,
        "sd": _round(statistics.stdev(rates)) if len(rates) > 1 else None,
        "n": len(shared),
    }


def usable(curve: MeasuredCurve | None, metric: str) -> bdrate.Curve | None:
    """The curve on the scale on which BD-rates of the metric are taken; None where it was not measured."""
    if curve is None or metric not in curve.values:
        return None
    scale = METRICS[metric].for_bd
    return bdrate.Curve(curve.bpp, [scale(v) if v == v else math.nan for v in curve.values[metric]])


def _round(value: float) -> float | None:
    return None if value != value else float(f"{value:.7g}")
