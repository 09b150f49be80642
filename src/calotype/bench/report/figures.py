"""Figures for papers and slides: PNG and PDF of the mean curves and of speed against BD-rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

STYLE = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8ec",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # text stays text
}
DASHES = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1, 1.5)),
    "dashdot": (0, (5, 2, 1, 2)),
    "longdash": (0, (8, 2)),
    "longdashdot": (0, (8, 2, 1, 2)),
}


def draw(folder: Path, data: dict[str, Any]) -> list[Path]:
    """Draw every figure from the page's data (page.payload) into the folder; returns the files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with plt.rc_context(STYLE):
        for metric in data["metrics"]:
            written += _save(_rate_distortion(plt, data, metric), folder / f"rd-{metric['id']}")
        for way in ("encode", "decode"):
            figure = _speed(plt, data, way)
            if figure is not None:
                written += _save(figure, folder / f"speed-{way}")
        plt.close("all")
    return written


def _rate_distortion(plt: Any, data: dict[str, Any], metric: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    rightmost = 0.0
    for name in data["codecs"]:
        curve = data["mean"].get(name)
        points = (
            []
            if curve is None
            else [(b, _shown(v, metric)) for b, v in zip(curve["bpp"], curve["values"][metric["id"]])]
        )
        points = [(b, v) for b, v in points if v is not None]
        if points:
            style = data["styles"][name]
            axes.plot(*zip(*points), label=name, **_line(style), marker="o", markersize=2.6)
            rightmost = max(rightmost, points[-1][0])
    if not rightmost:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center")
        return figure
    axes.set_xlim(0, min(3.0, rightmost * 1.03) or 1)
    axes.set_xlabel("rate [bits per pixel]")
    axes.set_ylabel(metric["label"] + (" [dB]" if metric["db"] or metric["unit"] else ""))
    if metric["better"] == "lower":
        axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _speed(plt: Any, data: dict[str, Any], way: str) -> Any:
    """Speed on one thread against BD-rate in the first metric; None where there is nothing to show."""
    metric = data["metrics"][0]
    rates = data["bd"][metric["id"]].get(data["anchor"], {})
    points = []
    for row in data["speed"]:
        name = row["codec"]
        mean = {"rate": 0.0} if name == data["anchor"] else rates.get(name, {}).get("mean")
        if row["threads"] == "1" and mean:
            points.append((row[f"{way}_mps"], mean["rate"], name))
    if not points:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for (x, y, name), (offset, side) in zip(points, _places(points)):
        style = data["styles"][name]
        axes.plot(x, y, "o", color=style["color"], markersize=9 if style["width"] > 3 else 6)
        text = {"fontsize": 8, "color": style["color"], "ha": side, "va": "center"}
        axes.annotate(name, (x, y), xytext=offset, textcoords="offset points", **text)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(0.12)
    axes.axhline(0, color="#9aa1ac", linewidth=0.8)
    axes.set_xlabel(f"{way} speed, one thread [megapixels per second]")
    axes.set_ylabel(f"BD-rate against {data['anchor']} [%], {metric['label']}")
    return figure


def _shown(value: float | None, metric: dict[str, Any]) -> float | None:
    """MS-SSIM and its like are drawn in dB, as in papers."""
    if value is None or not metric["db"]:
        return value
    return -10 * math.log10(1 - value) if value < 1 else None


def _line(style: dict[str, Any]) -> dict[str, Any]:
    return {"color": style["color"], "linestyle": DASHES[style["dash"]], "linewidth": 0.7 * style["width"]}


SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))  # right, up
Box = tuple[float, float, float, float]


def _places(points: list[tuple[float, float, str]]) -> list[tuple[tuple[int, int], str]]:
    """Where each label goes: to the side where it covers the least of the points and labels before it.

    Also in page.js. Sizes in typographic points, on axes of 390 x 230.
    """

    def scale(values: list[float], size: float) -> list[float]:
        span = max(values) - min(values) or 1.0
        return [0.8 * size * (v - min(values)) / span for v in values]

    xs = scale([math.log10(x) for x, _, _ in points], 390)
    ys = scale([y for _, y, _ in points], 230)
    boxes: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in zip(xs, ys)]
    places: list[tuple[tuple[int, int], str]] = []
    for i, (x, y, (_, _, name)) in enumerate(zip(xs, ys, points)):
        half, best = 2.3 * len(name), math.inf
        for right, up in SIDES:
            middle = x + right * (half + 7)
            box = (middle - half, y + 10 * up - 5, middle + half, y + 10 * up + 5)
            cost = sum(_common(box, other) for j, other in enumerate(boxes) if j != i)
            if cost < best:
                best, kept = cost, box
                side = {0: "center", 1: "left", -1: "right"}[right]
                chosen = ((7 * right, 10 * up), side)
        boxes.append(kept)
        places.append(chosen)
    return places


def _common(a: Box, b: Box) -> float:
    """Area that two boxes (left, low, right, high) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _save(figure: Any, stem: Path) -> list[Path]:
    files = [stem.with_suffix(".png"), stem.with_suffix(".pdf")]
    figure.savefig(files[0], dpi=160)
    figure.savefig(files[1])
    return files
