"""What pairs of trainings say: the same seed, crops and noise, with and without the loss.

A gain is the percent of rate saved at equal quality.  Both of a pair are trained at one lambda, which is
what a unit of MSE is worth in bits, so with J = bpp + lambda MSE it is (J without - J with) / bpp without,
picture by picture, from real files.  That needs no second rate, and no overlap of curves.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from calotype.lab.checkpoint import read_info
from calotype.records.markdown import table, wrapped
from studies.correlation import runs
from studies.correlation.plan import PAPER, WITH, Budget, Row, plan
from studies.paired import effect


def cost(record: dict[str, Any], lam: float) -> float:
    """J of a model: bits per pixel and lambda times MSE (0..255), the mean over pictures."""
    return statistics.fmean(p["bpp"] + lam * 255**2 * 10 ** (-p["psnr"] / 10) for p in record["pictures"])


def collect(budget: Budget, out: Path) -> dict[str, Any] | None:
    """Every pair that was measured, for ``pairs.json``; None if there are not two.

    The provenance is that of the last measurement.
    """
    rows = {r.key: r for r in plan(budget)}
    pairs, last = [], None
    for lam in budget.lambdas:
        for row in rows.values():
            other = rows.get(_with(row.key))
            if row.correlation or other is None or row.group == "ablation":
                continue
            files = [runs.folder(out, r, lam) / runs.MEASURES for r in (row, other)]
            if not all(f.is_file() for f in files):
                continue
            without, loss = (json.loads(f.read_text()) for f in files)
            last = max((last or without["provenance"], loss["provenance"]), key=lambda p: str(p["finished"]))
            pairs.append(_pair(row, lam, without, loss, read_info(files[0].parent / runs.MODEL).training))
    if last is None or len(pairs) < 2:
        return None
    return {**last, "budget": budget.to_dict(), "pairs": pairs}


def _pair(row: Row, lam: float, without: Any, loss: Any, notes: Any) -> dict[str, Any]:
    a, b = cost(without, lam), cost(loss, lam)
    found: dict[str, Any] = {"system": row.system, "seed": row.seed, "lambda": lam, "steps": notes["steps"]}
    found["gain"] = 100 * (a - b) / without["mean"]["bpp"]
    for name, record in (("without", without), ("with", loss)):
        c = record["correlation"]
        found[name] = {
            "bpp": record["mean"]["bpp"],
            "psnr": record["mean"]["psnr"],
            "cost": cost(record, lam),
        }
        found[name] |= {"around": c["off_centre"], "centre": c["centre"]}
    found["pictures"] = len(without["pictures"])
    return found


def _with(key: str) -> str:
    system, space, rest = key.partition(" ")
    return system + WITH + space + rest


def page(record: dict[str, Any]) -> str:
    """The page for people, from ``pairs.json``."""
    budget = Budget.from_dict(record["budget"])
    config = budget.config(True)
    lines = ["# The correlation loss in pairs", ""]
    text = f"""
        One start for each system ({budget.base} steps without the loss, n = {budget.n}, m = {budget.m}), from
        which every run goes on for {config.steps} steps of {config.batch} crops of {config.crop} pixels; the
        two of a pair see the same crops and the same noise, one with the loss (alpha {budget.alpha:g}), one
        without. Averaged weights, real files of {record["pairs"][0]["pictures"]} pictures of Kodak. *Gain*:
        percent of rate saved at equal PSNR, a unit of MSE counted as lambda bits per pixel; minus is a loss.
        Correlation: root mean square of the map around its centre, divided by the centre.
    """
    lines += wrapped(text)
    for system in dict.fromkeys(p["system"] for p in record["pairs"]):
        pairs = [p for p in record["pairs"] if p["system"] == system]
        heads = [
            "seed", "lambda", "bpp without", "with", "PSNR without", "with", "gain, %", "correlation "
            "without", "with",
        ]  # fmt: skip
        rows = []
        for p in pairs:
            a, b = p["without"], p["with"]
            cells = [
                f"{p['lambda']:g}",
                f"{a['bpp']:.4f}",
                f"{b['bpp']:.4f}",
                f"{a['psnr']:.3f}",
                f"{b['psnr']:.3f}",
            ]
            around = [f"{v['around'] / v['centre']:.3f}" for v in (a, b)]
            rows.append([str(p["seed"]), *cells, f"{p['gain']:+.2f}", *around])
        lines += ["", f"## {system}", "", *table(heads, rows)]
        if len(pairs) > 1:
            gain = effect([p["gain"] for p in pairs])
            off = [[p[k]["around"] / p[k]["centre"] for k in ("without", "with")] for p in pairs]
            less = effect([100 * (1 - b / a) for a, b in off])
            claim = PAPER["gain"].get(system, 0.0)
            told = f"""
                Gain {gain.told(2, " %")}: mean and 95 % interval of {gain.count} pairs; published {claim} %:
                *{gain.verdict(claim)}*. Chance of the mean: {(gain.high - gain.low) / 2:.2f} %. The
                correlation is lowered by {less.told(1, " %")}: *{less.verdict(1.0).partition(",")[0]}*. The
                intervals are over continuations of one start for {config.steps} steps; what another start,
                or more steps, would give is not in them.
            """
            lines += ["", *wrapped(told)]
    made = f"""
        Measured {record["finished"][:10]} on {record["hardware"]["processor"]} at `{record["commit"]}`, torch
        {record["libraries"]["torch"]}. Generated from pairs.json.
    """
    return "\n".join([*lines, "", *wrapped(made)]) + "\n"
