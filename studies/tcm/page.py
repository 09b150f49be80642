"""The page beside results.json."""

from __future__ import annotations

import statistics
from typing import Any

from calotype.records.markdown import table, wrapped
from studies.inside.erf import sides
from studies.paired import effect

CLAIM = -0.06
"""Published change of epsilon_s by SWAtten: 0.451 to 0.389, 0.422 to 0.365."""


def page(record: dict[str, Any]) -> str:
    """Markdown of what `studies.tcm measure` stored."""
    train, runs = record["train"], {(r["kind"], r["seed"]): r for r in record["runs"]}
    seeds = [s for s in range(record["seeds"]) if ("with", s) in runs and ("without", s) in runs]
    text = f"""
        {len(seeds)} pairs of trainings of `liu2023-tcm-small` at the widths {record["options"]}: the same
        {train["steps"]} steps of {train["batch"]} crops of {train["crop"]} pixels at lambda
        {record["lambda"]:g}, the same first weights where both have them; averaged weights; the middle
        {record["part"]} x {record["part"]} pixels of {len(record["pictures"])} pictures of Kodak, rates
        estimated. Deviation: epsilon_s = |round(y - mu) - (y - mu)| / |y|. Published, after full training:
        0.451 without, 0.389 with; 0.422 and 0.365.
    """
    lines = ["# SWAtten and the reach of mixed blocks", "", *wrapped(text), ""]
    heads = ["seed", "without", "with", "difference", "bpp without", "with", "PSNR without", "with"]
    rows = []
    for s in seeds:
        a, b = runs["without", s], runs["with", s]
        cells = [a["epsilon_s"], b["epsilon_s"], b["epsilon_s"] - a["epsilon_s"], a["bpp"], b["bpp"]]
        rows.append([str(s), *(f"{v:.3f}" for v in cells), f"{a['psnr']:.2f}", f"{b['psnr']:.2f}"])
    lines += table(heads, rows)
    if len(seeds) > 1:
        found = effect([runs["with", s]["epsilon_s"] - runs["without", s]["epsilon_s"] for s in seeds])
        told = f"""
            SWAtten changes epsilon_s by {found.told(3)}, mean and 95 % interval of {found.count} pairs;
            published {CLAIM:+.2f}: *{found.verdict(CLAIM)}*. That is of trainings of this length; after full
            ones it may be otherwise.
        """
        lines += ["", *wrapped(told)]
    lines += ["", "## How far one latent sees", ""]
    side = record["side"]
    about = f"""
        Fresh weights at published widths (`liu2023-tcm-small`, all channels of a block through convolutions,
        through windows, or half and half), one value for each seed, the middle {side} x {side} pixels of
        {record["fields"][0]["pictures"][0]}. *Reach*: rows x columns in which the gradient exceeds that share
        of its largest value; the radius is the root mean square distance. These networks were never trained;
        the paper's claim, that mixed blocks see near and far, is of trained ones: of those it *cannot be told
        at this budget*, near or far.
    """
    lines += [*wrapped(about), ""]
    thresholds = list(record["fields"][0]["extent"])
    rows = []
    kinds = dict.fromkeys(f["blocks"] for f in record["fields"])
    for blocks in kinds:
        fields = [f for f in record["fields"] if f["blocks"] == blocks]
        radii = [f["radius"] for f in fields]
        cells = [blocks, f"{statistics.fmean(radii):.1f} ({min(radii):.1f} .. {max(radii):.1f})"]
        for t in thresholds:
            cells.append(", ".join(sides(f["extent"][t]) for f in fields))
        cut = sum(f["cut"][thresholds[-1]] for f in fields)
        rows.append([*cells, f"{cut} of {len(fields)}"])
    heads = ["blocks", "radius, pixels", *(f"reach above {t}" for t in thresholds), "reach the edge"]
    lines += [*table(heads, rows), "", *wrapped(reaches(record["fields"], thresholds))]
    made = (
        f"Made by `{record['command']}` at commit `{record['commit']}` on {record['hardware']['processor']}, "
        f"torch {record['libraries']['torch']}. Generated from results.json."
    )
    return "\n".join([*lines, "", *wrapped(made)]) + "\n"


def reaches(fields: list[dict[str, Any]], thresholds: list[str]) -> str:
    """How much further than convolutions the other blocks reach, over the seeds."""
    reach = {(f["blocks"], f["seed"]): f["extent"] for f in fields}
    seeds = sorted({seed for _, seed in reach})
    told = []
    for blocks in dict.fromkeys(b for b, _ in reach if b != "conv"):
        for t in thresholds:
            found = effect([_side(reach[blocks, s][t]) - _side(reach["conv", s][t]) for s in seeds])
            told.append(f"{blocks} above {t}: {found.told(0)}: *{found.points(1)}*")
    return f"""
        Further than convolutions, in pixels (mean of rows and columns), mean and 95 % interval of
        {len(seeds)} seeds of fresh weights: {"; ".join(told)}.
    """


def _side(extent: dict[str, Any]) -> float:
    return statistics.fmean(last - first + 1 for first, last in (extent["rows"], extent["columns"]))
