"""What each gigapixel of training bought: BD-rate of the validations in a training log.

    python benchmarks/learning.py docs/results/training/psnr.jsonl [--against 9f621924] [--figure FILE.svg]

Prints a table, and draws it if asked. Bits are estimates and pictures are the 20 held-out crops of
256 x 256, so the figures rank checkpoints; what a pack is worth in real files, the gate and `calotype bench`
say. The anchor is the validation of a pack in the history, on the same crops.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.gate import default_history
from calotype.records.script import guarded, parser_of

WIDTH, HEIGHT, LEFT, EDGE, BELOW = 720, 360, 70, 32, 56
"""Of the figure, in units of the SVG: its size, and what lies left of, around and below the curve."""
INK, LINE = "#808080", "#2f81d7"
"""Legible on white and on black."""


def anchor(history: Path, identity: str) -> Curve:
    """The validation of a pack.

    Raises:
        ValueError: when the history has none that begins with ``identity``.
    """
    for entry in json.loads(history.read_text())["packs"]:
        if entry["id"].startswith(identity):
            return curve(entry["training"]["validation"])
    raise ValueError(f"{history}: no pack {identity}")


def curve(validation: dict[str, Any]) -> Curve:
    """Mean bits per pixel and mean PSNR at each trained level."""
    return Curve(validation["bpp"], validation["psnr"])


def rows(log: Path, against: Curve) -> list[tuple[float, float, float, float, str]]:
    """Gigapixels, seconds, mean loss, BD-rate in percent and live units of each validation."""
    found, seen = [], 0.0
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        seen = entry.get("gigapixels", seen)
        if (validation := entry.get("validation")) is not None:
            value = bd_rate(against, curve(validation)).value
            live = "of".join(f" {n} " for n in entry["live"]).strip() if "live" in entry else ""
            found.append((seen, entry["seconds"], validation["mean_loss"], value, live))
    return found


def figure(points: Sequence[tuple[float, float]], against: str) -> str:
    """An SVG of BD-rate in percent over gigapixels, in colours for light and dark pages.

    Raises:
        ValueError: when there are fewer than two points.
    """
    if len(points) < 2:
        raise ValueError("a curve needs two validations or more")
    right, (low, high) = max(x for x, _ in points), (min(y for _, y in points), max(y for _, y in points))
    across, down = _step(right), _step(high - low)
    low, high = math.floor(low / down) * down, math.ceil(high / down) * down

    def place(x: float, y: float) -> tuple[float, float]:
        share = (high - y) / (high - low)
        return LEFT + x / right * (WIDTH - LEFT - EDGE), EDGE + share * (HEIGHT - EDGE - BELOW)

    marks = []
    for k in range(round((high - low) / down) + 1):
        value = low + k * down
        x, y = place(0, value)
        opacity = 0.3 if value else 0.9
        line = f'<path d="M{x:.0f} {y:.1f}H{WIDTH - EDGE}" stroke="{INK}" stroke-opacity="{opacity}"/>'
        marks += [line, _text(x - 8, y + 4, f"{value:+g} %" if value else "0 %", "end")]
    for k in range(math.floor(right / across) + 1):
        x, y = place(k * across, low)
        marks.append(_text(x, y + 20, f"{k * across:g}", "middle"))
    middle = (LEFT + WIDTH - EDGE) / 2
    marks.append(_text(middle, HEIGHT - 10, "gigapixels of training", "middle"))
    marks.append(_text(WIDTH - EDGE, EDGE - 12, f"BD-rate (PSNR) against pack {against}", "end"))
    at = [place(*point) for point in points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    marks.append(f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="2.5"/>')
    for (x, y), (_, value) in zip(at, points):
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{LINE}"/>')
        last = x == at[-1][0]
        marks.append(_text(x + (4 if last else 7), y - 9, f"{value:+.1f}", "end" if last else "start"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
    return "\n".join([f'{head}font-size="13">', *marks, "</svg>", ""])


def _step(span: float) -> float:
    """The round number by which an axis of such a length has four to ten marks."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * part for part in (0.1, 0.2, 0.5, 1) if span <= 10 * power * part)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" text-anchor="{anchor}">{text}</text>'


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("log", type=Path)
    options.add_argument("--against", default="9f621924", help="first characters of a pack's id")
    options.add_argument("--figure", type=Path, help="an SVG file to write")
    given = options.parse_args(arguments)
    found = rows(given.log, anchor(default_history(), given.against))
    print(
        "| gigapixels | seconds | loss | BD-rate | hidden units live |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    for seen, seconds, loss, value, live in found:
        print(f"| {seen:.1f} | {seconds:.0f} | {loss:.4f} | {value:+.1f} % | {live} |")
    if given.figure is not None:
        given.figure.write_text(figure([(row[0], row[3]) for row in found], given.against), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
