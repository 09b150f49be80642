"""Where in pictures another codec does better at the same size: every square of 192 pixels, judged alone.

    python benchmarks/squares.py measure PICTURES... [--bpp 0.25 0.6] [--out squares.json]
    python benchmarks/squares.py table docs/results/eyes/squares.json docs/results/eyes/README.md

A mean over pictures hides the place that somebody looks at. ``measure`` encodes each picture (of larger ones
the megapixel in the middle) with the other codec at the quality nearest to so many bits per pixel, and with
Calotype at that size, and judges squares that overlap by half by SSIMULACRA2 and, where its program is
installed, Butteraugli. ``table`` counts where the other one was better, and names the squares where by most.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

import sheet  # beside this file
from calotype.bench import codecs, tables
from calotype.bench.metrics.butteraugli import butteraugli, butteraugli_missing, butteraugli_version
from calotype.bench.runner import find_images
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of

NAME = "squares"
SIDE, STEP = 192, 96
LARGEST = 1024
CLEAR = {"ssimulacra2": 5.0, "butteraugli": 0.3}
"""By how much worse is clearly worse: points, and about as much of the other."""
SHOWN = 4
"""Worst squares that the table names."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    measuring = tables.add_commands(options, NAME)
    measuring.add_argument("--bpp", nargs="+", type=float, default=[0.25, 0.6])
    measuring.add_argument("--against", default="avif-444")
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write(given, table, NAME)
        return
    other, ours = codecs.get(given.against), codecs.get("calotype")
    stored: dict[str, Any] = {"codecs": {codec.name: codec.version() for codec in (ours, other)}}
    if not butteraugli_missing():
        stored["codecs"]["butteraugli"] = butteraugli_version()
    stored |= provenance(["python", "benchmarks/squares.py", *(arguments or sys.argv[1:])])
    pictures = []
    for path in find_images(given.pictures):
        original = middle(path)
        for bpp in given.bpp:
            size, theirs = sheet.made(other, original, bpp)
            _, mine = sheet.made(ours, original, size)
            squares = list(judged(original, mine, theirs))
            pictures.append({"picture": path.stem, "bpp": bpp, "size": round(size, 4), "squares": squares})
            print(path.stem, bpp, worse(squares, "ssimulacra2"), flush=True)
    stored |= {"finished": now(), "against": other.name, "pictures": pictures}
    given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")
    print(table(stored))


def middle(path: Any) -> sheet.Pixels:
    """Pixels of a picture, at most LARGEST a side."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    width, height = (min(side, LARGEST) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)))


def judged(original: sheet.Pixels, mine: sheet.Pixels, theirs: sheet.Pixels) -> Iterator[dict[str, Any]]:
    """Of each square its left and top, and for every measure our figure and the other's."""
    height, width = original.shape[:2]
    measures = {"ssimulacra2": ssimulacra2}
    if not butteraugli_missing():
        measures["butteraugli"] = butteraugli
    for top in range(0, height - SIDE + 1, STEP):
        for left in range(0, width - SIDE + 1, STEP):
            first, *rest = (
                np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
                for pixels in (original, mine, theirs)
            )
            found = {name: [round(judge(first, one), 3) for one in rest] for name, judge in measures.items()}
            yield {"at": [left, top], **found}


def lost(square: dict[str, Any], measure: str) -> float:
    """By how much the other codec's square is better; negative where ours is."""
    ours, theirs = square[measure]
    return float(theirs - ours if measure == "ssimulacra2" else ours - theirs)


def worse(squares: list[dict[str, Any]], measure: str) -> tuple[int, int]:
    """How many squares the other codec has better, and how many clearly."""
    found = [lost(square, measure) for square in squares]
    return sum(x > 0 for x in found), sum(x > CLEAR[measure] for x in found)


def table(stored: dict[str, Any]) -> str:
    """Counts for each rate, and the worst squares by SSIMULACRA2, as Markdown."""
    counts, rates = [], sorted({row["bpp"] for row in stored["pictures"]})
    measures = [name for name in CLEAR if name in stored["pictures"][0]["squares"][0]]
    for bpp in rates:
        squares = [one for row in stored["pictures"] if row["bpp"] == bpp for one in row["squares"]]
        cells = [f"{bpp:g}", str(len(squares))]
        for measure in measures:
            some, clearly = worse(squares, measure)
            gained = -np.median([lost(square, measure) for square in squares])
            shares = [f"{100 * count / len(squares):.1f} %" for count in (some, clearly)]
            cells += [f"{gained:+.1f}" if measure == "ssimulacra2" else f"{gained:+.2f}", *shares]
        counts.append(cells)
    heads = ["bits per pixel", "squares"]
    for name in measures:
        heads += [f"{name}, median gain", "worse", f"by more than {CLEAR[name]:g}"]
    rows = [(row, square) for row in stored["pictures"] for square in row["squares"]]
    worst = sorted(rows, key=lambda found: -lost(found[1], "ssimulacra2"))
    whose = [row["picture"] for row, square in rows if lost(square, "ssimulacra2") > 0]
    most, times = Counter(whose).most_common(1)[0] if whose else ("none", 0)
    named = [
        f"{row['picture']} ({row['bpp']:g} bpp) at {square['at'][0]}, {square['at'][1]}: "
        f"{square['ssimulacra2'][0]:.1f} to {square['ssimulacra2'][1]:.1f}"
        for row, square in worst[:SHOWN]
    ]
    count = len({row["picture"] for row in stored["pictures"]})
    about = "; ".join(f"{name}: {told}" for name, told in stored["codecs"].items())
    return "\n".join((
        *markdown.table(heads, counts, "rr" + "rrr" * len(measures)),
        "",
        *markdown.wrapped(
            f"Squares of {SIDE} x {SIDE} pixels, overlapping by half, of {count} pictures; *worse* is where "
            f"{stored['against']} is better at the same size of the file. The worst by SSIMULACRA2, ours to "
            f"theirs: {'; '.join(named)}. {times} of the {len(whose)} that are worse by it are of {most}. "
            f"{about}. Measured {stored['finished'][:10]} at commit `{(stored['commit'] or 'unknown')[:13]}`."
        ),
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
