"""Codecs made for one metric, judged by all: the cross-metric table of the benchmark paper (Hu et al. 2021).

    calotype bench PICTURES --codecs calotype:photo-psnr,calotype:photo-eyes,avif-444-psnr,avif-444 \\
        --metrics basic,jpegai,eyes --timing 0 --pictures 0 --no-report --out runs/cross
    python -m studies.cross_metric keep runs/cross/results.json --out studies/cross_metric
    python -m studies.cross_metric report --out studies/cross_metric
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.bench.bdrate import Curve, bd_rate_per_image
from calotype.bench.metrics import EYES, JPEG_AI, METRICS
from calotype.records.markdown import table, wrapped
from calotype.records.provenance import shown
from calotype.records.script import by_points, guarded, made_of, usable
from studies.paired import effect

PAIRS = (
    ("calotype:photo-psnr", "calotype:photo-eyes", "calotype: eyes against PSNR"),
    ("avif-444-psnr", "avif-444", "AVIF: default tune against PSNR"),
)
"""Made for MSE; made for the eye; heading."""
JUDGES = ("psnr_rgb", "psnr_y", "ms_ssim", *JPEG_AI, *EYES)
RESULTS, PAGE = "results.json", "README.md"


def kept(results: dict[str, Any]) -> dict[str, Any]:
    """What is worth storing of a benchmark's ``results.json``."""
    codecs = {name for pair in PAIRS for name in pair[:2]}
    points = [
        {"codec": m["codec"], "image": m["image"], "quality": m["quality"], "bpp": round(m["bpp"], 5),
         **{k: float(f"{v:.6g}") for k, v in m["metrics"].items()}}
        for m in results["measurements"] if m["codec"] in codecs
    ]  # fmt: skip
    versions = {name: results["codecs"][name]["version"] for name in sorted(codecs)}
    keys = ("commit", "hardware", "libraries", "finished")
    return {
        "command": shown(results["command"]),
        **{k: results[k] for k in keys},
        "versions": versions,
        "points": points,
    }


def curves(record: dict[str, Any], codec: str, metric: str) -> dict[str, Curve]:
    """By picture."""
    found: dict[str, list[tuple[float, float]]] = {}
    for p in record["points"]:
        if p["codec"] == codec:
            found.setdefault(p["image"], []).append((p["bpp"], METRICS[metric].for_bd(p[metric])))
    return {image: Curve(*zip(*points)) for image, points in found.items()}


def page(record: dict[str, Any]) -> str:
    """The table, with the intervals over pictures."""
    there = [metric for metric in JUDGES if all(metric in p for p in record["points"])]
    rows = []
    for metric in there:
        cells = [METRICS[metric].label]
        for anchor, test, _ in PAIRS:
            rates = bd_rate_per_image(curves(record, anchor, metric), curves(record, test, metric))
            values = [bd.value for bd in rates.images.values() if math.isfinite(bd.value)]
            if len(values) < 2:
                cells += ["-", "-"]
                continue
            found = effect(values)
            verdict = "saves" if found.high < 0 else "costs" if found.low > 0 else "cannot be told"
            cells += [f"{found.told(1, ' %')}", verdict]
        rows.append(cells)
    pictures = sorted({p["image"] for p in record["points"]})
    ladders = {
        name: sorted({p["quality"] for p in record["points"] if p["codec"] == name})
        for pair in PAIRS
        for name in pair[:2]
    }
    text = f"""
        Two pairs of codecs that differ in what they were made for. BD-rate of the one made for the eye
        against the one made for MSE, judged by each metric: mean over {len(pictures)} pictures
        ({", ".join(pictures)}) and its 95 % interval, from real files at {len(ladders[PAIRS[0][0]])}
        qualities. Minus: it needs fewer bits for the same quality as the metric sees it. *Cannot be told*: 0
        is within the interval.
    """
    heads = ["judged by", *(h for _, _, told in PAIRS for h in (told, ""))]
    saved = [r[0] for r in rows if r[2] == "saves"]
    costs = [r[0] for r in rows if r[2] == "costs"]
    told = f"""
        Our pack trained for SSIMULACRA2 is the better one by {", ".join(saved) or "no metric"}, and the worse
        one by {", ".join(costs) or "no metric"}; read the other way round, what was trained for MSE loses by
        all of the former. So a table by one metric says as much of what was trained for as of the codec, as
        the benchmark paper has it; the loss by PSNR is what a fair reading needs beside the gain.
    """
    absent = [METRICS[metric].label for metric in JUDGES if metric not in there]
    missing = f" Not measured, for want of its program: {', '.join(absent)}." if absent else ""
    versions = ", ".join(f"{name} ({v})" for name, v in record["versions"].items())
    made = f"""
        Made by `{record["command"]}` at commit `{record["commit"]}` on {record["hardware"]["processor"]};
        {versions}. `python -m studies.cross_metric keep` stores what is needed of the run in results.json, of
        which this page is generated.{missing}
    """
    lines = ["# Trained for one metric, judged by another", "", *wrapped(text), ""]
    lines += [*table(heads, rows, "lrlrl"), "", *wrapped(told), "", *wrapped(made)]
    return "\n".join(lines) + "\n"


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Store what is needed of a run, or make the page again."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.cross_metric",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=("keep", "report"))
    parser.add_argument("run", nargs="?", type=Path, help="results.json of calotype bench, to keep")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part == "keep":
        if not given.run:
            parser.error("results.json of a run is needed")
        (given.out / RESULTS).write_text(by_points(made_of(given.run, kept)))
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))


if __name__ == "__main__":
    sys.exit(main())
