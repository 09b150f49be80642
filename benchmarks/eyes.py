"""How our packs stand by the metrics that follow eyes, from runs of `calotype bench --metrics basic,eyes`.

    python benchmarks/eyes.py FOLDER... [DOCUMENT.md]

FOLDER holds a run's results.json. Its tables are printed, or go between the marks
``<!-- benchmark:eyes-NAME -->`` and ``<!-- end -->`` of the document, NAME being the folder's name: BD-rates
on the mean curves over the pictures against AVIF and JPEG XL, by each metric; the same of each picture, for
the default against AVIF; SSIMULACRA2 at three rates; and where the metrics do not agree.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench import results, tables
from calotype.bench.bdrate import bd_rate
from calotype.bench.metrics import EYES, METRICS
from calotype.bench.report.curves import MeasuredCurve, Table, usable
from calotype.records import markdown
from calotype.records.script import guarded, parser_of

NAME = "eyes"
ANCHORS = {"avif-444": "AVIF", "jxl": "JPEG XL"}
OURS, OTHER = "calotype", "avif-444"
"""Compared picture by picture."""
UP = {"from 60 up": (60.0, 100.0), "from 75 up": (75.0, 100.0)}
"""SSIMULACRA2 from between medium and high up, where photographs are kept, and about the default quality."""
SEEN = (EYES[0], *UP, *EYES[1:])
JUDGES = (*SEEN, "ms_ssim", "psnr_rgb")
RATES = (0.15, 0.25, 0.6)
Rates = dict[tuple[str, str, str], float]


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="and DOCUMENT.md, if any")
    folders = options.parse_args(arguments).folders
    document = folders.pop() if folders[-1].suffix == ".md" else None
    for folder in folders:
        if document is None:
            print(text(folder), end="\n\n")
            continue
        changed = tables.insert(document, f"{NAME}-{folder.name}", text(folder), "benchmark")
        print(document, folder.name, "updated" if changed else "unchanged")


def text(folder: Path) -> str:
    """The tables of one run, as Markdown."""
    found = results.read(folder)
    measured = Table(found)
    curves = {codec: curve for codec in measured.codecs if (curve := measured.mean_curve(codec))}
    rates = _rates(curves)
    lines: list[str] = []
    for anchor, name in ANCHORS.items():
        rows = [
            [codec, *(_percent(rates.get((anchor, codec, judge))) for judge in JUDGES)]
            for codec in curves
            if codec != anchor
        ]
        lines += [*markdown.table([f"BD-rate against {name}", *map(_label, JUDGES)], rows), ""]
    rows = by_picture(measured)
    lines += [*markdown.table([f"{OURS} against {ANCHORS[OTHER]}, by picture", *map(_label, SEEN)], rows), ""]
    heads = [f"{rate:g} bpp" for rate in RATES]
    rows = [[codec, *(_at(curve, EYES[0], rate) for rate in RATES)] for codec, curve in curves.items()]
    lines += [*markdown.table(["SSIMULACRA2 at", *heads], rows), ""]
    lines += [*markdown.wrapped(_disagreement(rates)), "", *markdown.wrapped(_caption(found))]
    return "\n".join(lines)


def by_picture(measured: Table) -> list[list[str]]:
    """BD-rates of `OURS` against `OTHER` for each picture, by each of `SEEN`; empty where there are none."""
    rows = []
    for image in measured.images:
        known, other = (measured.image_curve(codec, image) for codec in (OTHER, OURS))
        told = [_rate(known, other, judge) if known and other else None for judge in SEEN]
        rows.append([Path(image).stem, *map(_percent, told)])
    return rows


def _rates(curves: dict[str, MeasuredCurve]) -> Rates:
    """BD-rates by anchor, codec and judge."""
    return {
        (anchor, codec, judge): rate
        for anchor in ANCHORS
        for codec, curve in curves.items()
        for judge in JUDGES
        if codec != anchor and anchor in curves
        if (rate := _rate(curves[anchor], curve, judge)) is not None
    }


def _rate(known: MeasuredCurve, other: MeasuredCurve, judge: str) -> float | None:
    """The BD-rate by a metric, or by SSIMULACRA2 in a part of its range; None where there is none."""
    metric = EYES[0] if judge in UP else judge
    anchor, test = usable(known, metric), usable(other, metric)
    if anchor is None or test is None:
        return None
    value = bd_rate(anchor, test, span=UP.get(judge)).value
    return value if math.isfinite(value) else None


def _label(judge: str) -> str:
    return judge if judge in UP else METRICS[judge].label


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:+.1f} %"


def _at(curve: MeasuredCurve, metric: str, rate: float) -> str:
    """The mean score at a rate, straight in log(rate) between points; empty outside of them."""
    if metric not in curve.values or not curve.bpp[0] <= rate <= curve.bpp[-1]:
        return ""
    return f"{np.interp(math.log(rate), np.log(curve.bpp), curve.values[metric]):.1f}"


def _disagreement(rates: Rates) -> str:
    """Where the perceptual metrics do not say the same of two codecs, in words."""
    lines = []
    for anchor, name in ANCHORS.items():
        for codec in dict.fromkeys(c for a, c, _ in rates if a == anchor):
            says = {METRICS[m].label: rates[anchor, codec, m] for m in EYES if (anchor, codec, m) in rates}
            better = [label for label, rate in says.items() if rate < 0]
            worse = [label for label, rate in says.items() if rate >= 0]
            if better and worse:
                fewer, more = " and ".join(better), " and ".join(worse)
                lines.append(f"{codec} against {name}: fewer bits by {fewer}, more by {more}")
    if not lines:
        return "The three perceptual metrics agree on who is ahead."
    return f"The perceptual metrics disagree: {'; '.join(lines)}."


def _caption(found: dict[str, Any]) -> str:
    versions = [version for m in EYES if (version := found["metrics"].get(m, {}).get("version"))]
    codecs = [about["version"] for about in found["codecs"].values()]
    pictures = ", ".join(Path(image["name"]).stem for image in found["images"])
    return (
        f"BD-rate on the means over {len(found['images'])} pictures ({pictures}), from the sizes of real "
        f"files, over the range that both have; lower is better. {'; '.join(dict.fromkeys(codecs))}. "
        f"SSIMULACRA2 is our own; {', '.join(versions)}. "
        f"Measured {found['finished'][:10]} at commit `{(found['commit'] or 'unknown')[:13]}`."
    )


if __name__ == "__main__":
    raise SystemExit(main())
