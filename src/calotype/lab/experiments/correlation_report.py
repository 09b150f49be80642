"""Results, table and figure of the correlation-loss experiment, from what `measure` stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from calotype.lab.checkpoint import read_info
from calotype.lab.experiments import correlation
from calotype.lab.experiments.correlation_plan import HYPERPRIORS, PAPER, WITH, Budget, plan

Points = Sequence[tuple[float, float]]
ANCHOR, FULL = "cheng", "cheng-autoregressive"


def collect(budget: Budget, out: Path) -> dict[str, Any]:
    """Every measured row: what was trained, and a point per multiplier."""
    rows = {}
    for row in plan(budget):
        points = []
        for lam in budget.lambdas:
            here = correlation.folder(out, row, lam)
            if not (here / correlation.MEASURES).is_file():
                continue
            record = json.loads((here / correlation.MEASURES).read_text())
            notes = read_info(here / correlation.MODEL).training
            points.append({"lambda": lam, "training": notes, **record})
        if points:
            about = {"model": row.model, "options": row.options, "correlation": row.correlation}
            rows[row.key] = {**about, "group": row.group, "points": points}
    return rows


def curve(row: dict[str, Any]) -> list[tuple[float, float]]:
    """(bpp, PSNR) of the means over pictures."""
    return [(p["mean"]["bpp"], p["mean"]["psnr"]) for p in row["points"]]


def _mean(row: dict[str, Any], read: Callable[[dict[str, Any]], float]) -> float:
    return sum(read(p) for p in row["points"]) / len(row["points"])


def seconds(row: dict[str, Any]) -> float:
    """To decode one picture, the mean over pictures and multipliers."""
    return _mean(row, lambda p: p["mean"]["decode_seconds"])


def around(row: dict[str, Any]) -> float:
    """Root mean square of the correlation map off its centre, the mean over multipliers."""
    return _mean(row, lambda p: p["correlation"]["off_centre"])


def tables(
    rows: dict[str, Any], bd_rate: Callable[[Points, Points], float] | None
) -> dict[str, list[dict[str, Any]]]:
    """The three tables.  Gains are percent of rate saved at equal PSNR (minus the BD-rate)."""

    def gain(anchor: str, test: str) -> float | None:
        if bd_rate is None or anchor not in rows or test not in rows:
            return None
        value = -bd_rate(curve(rows[anchor]), curve(rows[test]))
        return value if math.isfinite(value) else None

    hyper = [
        {
            "system": key,
            "gain": gain(key, key + WITH),
            "published gain": PAPER["gain"][key],
            "correlation without": around(rows[key]),
            "correlation with": around(rows[key + WITH]),
            "decode seconds": seconds(rows[key + WITH]),
        }
        for key in HYPERPRIORS
        if key in rows and key + WITH in rows
    ]
    full = gain(ANCHOR, FULL)
    context = []
    for key, row in rows.items():
        if row["group"] != "context" and key not in (ANCHOR, ANCHOR + WITH):
            continue
        saved = gain(ANCHOR, key)
        share = 100 * saved / full if saved is not None and full else None
        speed = seconds(rows[FULL]) / seconds(row) if FULL in rows else None
        context.append(
            {
                "system": key,
                "gain": saved,
                "share of autoregression's": share,
                "published share": PAPER["share"].get(key),
                "decode seconds": seconds(row),
                "times faster": speed,
                "published times": PAPER["speed"].get(key),
            }
        )
    ablation = [
        {"loss": key, "gain": gain(ANCHOR, key), "correlation": around(row)}
        for key, row in rows.items()
        if row["group"] == "ablation" or key in (ANCHOR, ANCHOR + WITH)
    ]
    return {"hyperpriors": hyper, "contexts": context, "ablation": ablation}


TITLES = {
    "hyperpriors": "The loss on three hyperpriors",
    "contexts": f"Contexts on Cheng's transforms, gain over `{ANCHOR}`",
    "ablation": f"Weight, mask and window, gain over `{ANCHOR}`",
}


def markdown(budget: Budget, found: dict[str, list[dict[str, Any]]], environment: dict[str, Any]) -> str:
    """The tables for people."""
    config = budget.config(True)
    lines = [
        "# The correlation loss",
        "",
        f"Budget: {budget.note}.",
        f"{config.steps} steps of {config.batch} crops of {config.crop} pixels for the first lambda, "
        f"{budget.config(False).steps} for each other; lambdas {', '.join(map(str, budget.lambdas))}; "
        f"alpha {budget.alpha:g} (averages).  Gains are percent of rate saved at equal PSNR over real files.",
        "Directions and relative speeds are what this can show; the published BD-rates need longer training.",
    ]
    if environment:
        lines += ["", "Measured on " + ", ".join(f"{k} {v}" for k, v in environment.items()) + "."]
    for name, rows in found.items():
        if not rows:
            continue
        heads = list(rows[0])
        lines += ["", f"## {TITLES[name]}", ""]
        lines += ["| " + " | ".join(heads) + " |", "| " + "--- | " * len(heads)]
        lines += ["| " + " | ".join(_cell(row[h]) for h in heads) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw(rows: dict[str, Any], path: Path) -> None:
    """The correlation maps of the middle multiplier, without and with the loss."""
    from calotype.lab.analysis.figures import draw_maps

    shown = []
    for key in [k + end for k in HYPERPRIORS for end in ("", WITH)]:
        if key in rows:
            points = rows[key]["points"]
            shown.append((key, torch.tensor(points[len(points) // 2]["correlation"]["map"])))
    if shown:
        draw_maps(shown, path)


def write(
    budget: Budget,
    out: Path,
    bd_rate: Callable[[Points, Points], float] | None,
    environment: dict[str, Any],
) -> str:
    """Write results.json, table.md and maps.png; returns the tables.

    Raises:
        ValueError: if nothing was measured.
    """
    rows = collect(budget, out)
    if not rows:
        raise ValueError(f"{out}: nothing was measured yet")
    found = tables(rows, bd_rate)
    text = markdown(budget, found, environment)
    record = {"budget": budget.to_dict(), "environment": environment, "torch": torch.__version__}
    (out / correlation.RESULTS).write_text(
        json.dumps({**record, "tables": found, "rows": rows}, indent=1) + "\n"
    )
    (out / "table.md").write_text(text)
    draw(rows, out / "maps.png")
    return text
