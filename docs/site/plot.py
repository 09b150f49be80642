"""The rate-distortion plot of the start page: an SVG drawing whose colours are those of the page."""

from __future__ import annotations

import html
from pathlib import Path

from calotype.bench import results
from calotype.bench.metrics import METRICS
from calotype.bench.report.curves import Curve, Table

SETS = ("large", "eyes/large", "kodak", "eyes/kodak")
"""The first of them that has SSIMULACRA2 is drawn."""
METRIC = "ssimulacra2"
CODECS = {
    "calotype": ("Calotype", "var(--a)", 3.2),
    "calotype:psnr": ("Calotype, tuned for PSNR", "var(--d)", 2.0),
    "avif-444": ("AVIF", "var(--b)", 2.4),
    "jxl": ("JPEG XL", "var(--c)", 2.4),
    "webp": ("WebP", "var(--soft)", 1.8),
    "jpeg-444": ("JPEG", "var(--soft)", 1.8),
}
WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 58, 170, 18, 48
MOST = 0.8
"""Bits per pixel at the right edge."""


def svg(folder: Path) -> str:
    """The drawing, and a line below it that says what was measured."""
    for name in SETS:
        found = results.read(folder / name)
        if METRIC in found["metrics"]:
            break
    table = Table(found)
    curves = {c: curve for c in CODECS if c in table.codecs and (curve := table.mean_curve(c))}
    low, high = _range(curves)
    steps = range(int(low), int(high) + 1, 10)
    parts = [
        f'<svg class="figure" role="img" aria-label="SSIMULACRA2 over bits per pixel" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="inherit" font-size="14">'
    ]
    for value in steps:
        y = _y(value, low, high)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="var(--line)" fill="none"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end" fill="var(--soft)">{value}</text>')
    for tenths in range(0, round(10 * MOST) + 1, 2):
        x = _x(tenths / 10)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 26}" text-anchor="middle" fill="var(--soft)">{tenths / 10:g}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle" fill="var(--ink)">'
        "bits per pixel: smaller files are on the left</text>"
    )
    parts.append(
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="var(--ink)">{METRICS[METRIC].label}: better is up</text>'
    )
    ends = []
    for codec, curve in curves.items():
        label, colour, width = CODECS[codec]
        points = [(b, v) for b, v in zip(curve.bpp, curve.values[METRIC]) if v >= low]
        line = _cut(points)
        path = " ".join(f"{_x(b):.1f},{_y(v, low, high):.1f}" for b, v in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'
        )
        ends.append([_y(line[-1][1], low, high), label, colour, _x(line[-1][0])])
    ends.sort()
    for before, after in zip(ends, ends[1:]):
        after[0] = max(after[0], before[0] + 19)
    for y, label, colour, _ in ends:
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 5:.1f}" fill="{colour}">{html.escape(label)}</text>')
    parts.append("</svg>")
    first = curves["calotype"]
    what = f"Means over {first.pictures} photographs of the set {name.rpartition('/')[2]}, {found['codecs']['calotype']['version']}, "
    return f'{"".join(parts)}\n\n*{what}measured {found["finished"][:10]} at commit `{found["commit"]}`.*'


def _range(curves: dict[str, Curve]) -> tuple[float, float]:
    values = [v for c in curves.values() for b, v in zip(c.bpp, c.values[METRIC]) if b <= MOST and v > 0]
    return 10 * (min(values) // 10), 10 * (max(values) // 10 + 1)


def _cut(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The part of a curve up to MOST, its last point on that edge."""
    inside = [p for p in points if p[0] <= MOST]
    beyond = [p for p in points if p[0] > MOST]
    if inside and beyond:
        (b0, v0), (b1, v1) = inside[-1], beyond[0]
        inside.append((MOST, v0 + (v1 - v0) * (MOST - b0) / (b1 - b0)))
    return inside


def _x(bpp: float) -> float:
    return LEFT + bpp / MOST * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)
