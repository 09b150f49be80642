"""The rate-distortion plot of the start page: an SVG drawing whose colours are those of the page."""

from __future__ import annotations

import html
import math
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from calotype.bench import results, tables
from calotype.bench.bdrate import Curve
from calotype.bench.metrics import METRICS
from calotype.bench.report.curves import Table, usable

SET = "large"
METRIC = "ms_ssim"
STEP = 2
"""Decibels between two lines of the grid."""
CODECS = {
    "calotype": ("Calotype", "var(--a)", 3.2),
    "calotype:psnr": ("Calotype, tuned for PSNR", "var(--d)", 2.0),
    "avif-444": ("AVIF", "var(--b)", 2.4),
    "jxl": ("JPEG XL", "var(--c)", 2.4),
    "webp": ("WebP", "var(--soft)", 1.8),
    "jpeg-444": ("JPEG", "var(--ink)", 1.8),
}
WIDTH, HEIGHT = 620, 430
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 56
KEY, ROW = 0.5, 23
"""Names of the curves: where they begin, as a share of the width, below the curves; and their distance."""


def svg(folder: Path) -> str:
    """The drawing, and a line below it that says what was measured; ``folder``: of all results."""
    found = results.read(folder / SET)
    table = Table(found)
    curves = {c: curve for c in CODECS if (curve := usable(table.mean_curve(c), METRIC))}
    most = float(min(curve.rate[-1] for curve in curves.values()))
    lines = {codec: _line(curve, most) for codec, curve in curves.items()}
    values = [value for line in lines.values() for _, value in line]
    low, high = STEP * math.floor(min(values) / STEP), STEP * math.ceil(max(values) / STEP)
    parts = [
        f'<svg class="figure" role="img" aria-label="{METRICS[METRIC].label} over bits per pixel" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg" font-size="17">'
    ]
    for value in range(low, high + 1, STEP):
        y = _y(value, low, high)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="var(--line)" fill="none"/>')
        parts.append(_text(LEFT - 8, y + 5, value, "var(--soft)", "end"))
    for tick in np.arange(0, most, 0.1):
        parts.append(_text(_x(tick, most), HEIGHT - 34, f"{tick:.1f}", "var(--soft)"))
    below = "bits per pixel: smaller files are on the left"
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, below, "var(--ink)"))
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="var(--ink)">{METRICS[METRIC].label} in dB: better is up</text>'
    )
    for codec, line in lines.items():
        label, colour, width = CODECS[codec]
        path = " ".join(f"{_x(b, most):.1f},{_y(v, low, high):.1f}" for b, v in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        for bpp, value in zip(curves[codec].rate, curves[codec].quality, strict=True):
            if bpp <= most:
                at = f'cx="{_x(bpp, most):.1f}" cy="{_y(value, low, high):.1f}"'
                parts.append(f'<circle {at} r="{width + 0.8}" fill="{colour}"/>')
    x = LEFT + KEY * (WIDTH - LEFT - RIGHT)
    for row, codec in enumerate(lines):
        label, colour, width = CODECS[codec]
        y = HEIGHT - BOTTOM - 14 - ROW * (len(lines) - 1 - row)
        parts.append(f'<path d="M{x:.1f} {y - 5}h26" stroke="{colour}" stroke-width="{width}" fill="none"/>')
        parts.append(_text(x + 34, y, label, "var(--ink)", "start"))
    parts.append("</svg>")
    return (
        f"{''.join(parts)}\n\n*Means over the {len(found['images'])} photographs of the set {SET}; "
        f"{found['codecs']['calotype']['version']}. {tables.measured(found)}*"
    )


def _line(curve: Curve, most: float) -> list[tuple[float, float]]:
    """Points of a curve up to ``most`` bits per pixel: a monotone cubic, as in BD-rates."""
    smooth = PchipInterpolator(np.log(curve.rate), curve.quality)
    bpp = np.geomspace(curve.rate[0], most, 60)
    return list(zip(bpp.tolist(), smooth(np.log(bpp)).tolist(), strict=True))


def _text(x: float, y: float, text: object, colour: str, anchor: str = "middle") -> str:
    inner = html.escape(str(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{inner}</text>'


def _x(bpp: float, most: float) -> float:
    return LEFT + bpp / most * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
