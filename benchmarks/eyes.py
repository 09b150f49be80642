"""How our packs stand by the metrics that follow eyes, from runs of `calotype bench --metrics basic,eyes`.

    python benchmarks/eyes.py FOLDER... DOCUMENT

FOLDER holds a run's results.json. Its tables go between the marks ``<!-- benchmark:eyes-NAME -->`` and
``<!-- end -->`` of the document, NAME being the folder's name: BD-rates on the mean curves over the pictures
against AVIF and JPEG XL, by each metric; SSIMULACRA2 at three rates; and where the metrics do not agree.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench import results, tables
from calotype.bench.bdrate import bd_rate
from calotype.bench.metrics import EYES, METRICS
from calotype.bench.report.curves import MeasuredCurve, Table, usable
from calotype.records import markdown
from calotype.records.script import guarded

NAME = "eyes"
ANCHORS = {"avif-444": "AVIF", "jxl": "JPEG XL"}
JUDGES = (*EYES, "ms_ssim", "psnr_rgb")
GOOD = (60.0, 100.0)
"""SSIMULACRA2 from medium to high quality up: where photographs are kept."""
RATES = (0.15, 0.25, 0.6)
Rates = dict[tuple[str, str, str], float]


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    options.add_argument("document", type=Path, metavar="DOCUMENT")
    given = options.parse_args(arguments)
    for folder in given.folders:
        changed = tables.insert(given.document, f"{NAME}-{folder.name}", text(folder), "benchmark")
        print(given.document, folder.name, "updated" if changed else "unchanged")


def text(folder: Path) -> str:
    """The tables of one run, as Markdown."""
    found = results.read(folder)
    measured = Table(found)
    curves = {codec: curve for codec in measured.codecs if (curve := measured.mean_curve(codec))}
    rates = _rates(curves)
    lines: list[str] = []
    for anchor, name in ANCHORS.items():
        heads = ["SSIMULACRA2", "from 60 up", *(METRICS[m].label for m in JUDGES[1:])]
        judges = (JUDGES[0], "good", *JUDGES[1:])
        rows = [
            [codec, *(_percent(rates.get((anchor, codec, judge))) for judge in judges)]
            for codec in curves
            if codec != anchor
        ]
        lines += [*markdown.table([f"BD-rate against {name}", *heads], rows), ""]
    heads = [f"{rate:g} bpp" for rate in RATES]
    rows = [[codec, *(_at(curve, EYES[0], rate) for rate in RATES)] for codec, curve in curves.items()]
    lines += [*markdown.table(["SSIMULACRA2 at", *heads], rows), ""]
    lines += [*markdown.wrapped(_disagreement(rates)), "", *markdown.wrapped(_caption(found))]
    return "\n".join(lines)


def _rates(curves: dict[str, MeasuredCurve]) -> Rates:
    """BD-rates by anchor, codec and metric; ``good`` is SSIMULACRA2 over `GOOD` alone."""
    rates = {}
    for anchor in ANCHORS:
        for codec, curve in curves.items():
            if codec == anchor or anchor not in curves:
                continue
            for judge in (*JUDGES, "good"):
                metric, span = (JUDGES[0], GOOD) if judge == "good" else (judge, None)
                known, other = usable(curves[anchor], metric), usable(curve, metric)
                if known is not None and other is not None:
                    value = bd_rate(known, other, span=span).value
                    if math.isfinite(value):
                        rates[anchor, codec, judge] = value
    return rates


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
