"""Results, table and figure of the correlation-loss experiment, from what `measure` stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from calotype.bench.bdrate import Curve, bd_rate
from calotype.lab.checkpoint import read_info
from calotype.records.markdown import table, wrapped
from calotype.records.provenance import provenance
from calotype.records.script import made_of
from studies.correlation import runs
from studies.correlation.plan import HYPERPRIORS, PAPER, WITH, Budget, plan

Points = Sequence[tuple[float, float]]
PAGE = "results.md"
ANCHOR, FULL = "cheng", "cheng-autoregressive"
LEAST = 0.1
"""Decibels that two curves must have in common for a gain to be given."""


def collect(budget: Budget, out: Path) -> dict[str, Any]:
    """Every measured row: what was trained, and a point per multiplier."""
    rows = {}
    for row in plan(budget):
        points = []
        for lam in budget.lambdas:
            here = runs.folder(out, row, lam)
            if not (here / runs.MEASURES).is_file():
                continue
            record = json.loads((here / runs.MEASURES).read_text())
            notes = read_info(here / runs.MODEL).training
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


def overlap(anchor: Points, test: Points) -> float:
    """Decibels of PSNR that two curves have in common; below 0 what lies between them."""
    low, high = zip(*((min(psnr), max(psnr)) for psnr in ([p for _, p in c] for c in (anchor, test))))
    return float(min(high) - max(low))


def around(row: dict[str, Any]) -> float:
    """Root mean square of the correlation map off its centre, the mean over multipliers."""
    return _mean(row, lambda p: p["correlation"]["off_centre"])


def centre(row: dict[str, Any]) -> float:
    """The map's centre, the mean over multipliers: 1 where sigmas are right."""
    return _mean(row, lambda p: p["correlation"]["centre"])


def saving(anchor: Points, test: Points) -> float | None:
    """Percent of rate saved at equal PSNR (minus the BD-rate); None where the curves have less than `LEAST`
    in common.
    """
    if overlap(anchor, test) < LEAST:
        return None
    curves = [Curve([r for r, _ in points], [q for _, q in points]) for points in (anchor, test)]
    value = -float(bd_rate(*curves).value)
    return value if math.isfinite(value) else None


def tables(rows: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The tables.  Gains are `saving`s."""

    def gain(anchor: str, test: str) -> float | None:
        if anchor not in rows or test not in rows:
            return None
        return saving(curve(rows[anchor]), curve(rows[test]))

    def pair(key: str, end: str = "") -> dict[str, Any]:
        without, loss = key + end, key + WITH + end
        return {
            "system": without,
            "gain": gain(without, loss),
            "published gain": PAPER["gain"].get(key) if not end else None,
            "overlap, dB": overlap(curve(rows[without]), curve(rows[loss])),
            "correlation without": around(rows[without]),
            "correlation with": around(rows[loss]),
            "centre without": centre(rows[without]),
            "centre with": centre(rows[loss]),
            "over centre without": around(rows[without]) / centre(rows[without]),
            "over centre with": around(rows[loss]) / centre(rows[loss]),
            "bpp without": [p["mean"]["bpp"] for p in rows[without]["points"]],
            "PSNR without": [p["mean"]["psnr"] for p in rows[without]["points"]],
        }

    both = {key for key in rows if key.replace(WITH, "") in rows and _with(key) in rows and WITH not in key}
    hyper = [pair(key) for key in HYPERPRIORS if key in both]
    hyper += [pair(key) for key, row in rows.items() if key in both and row["group"] == "context"]
    chance = []
    for key, row in rows.items():
        if row["group"] == "noise" and key in both:
            system, _, seed = key.partition(" ")
            chance.append({**pair(system, f" {seed}"), "without, against the first seed": gain(system, key)})
    full = gain(ANCHOR, FULL)
    context = []
    for key, row in rows.items():
        if row["group"] != "context" and key not in (ANCHOR, ANCHOR + WITH):
            continue
        saved = gain(ANCHOR, key)
        context.append(
            {
                "system": key,
                "gain": saved,
                "share of autoregression's": 100 * saved / full
                if saved is not None and full and full > 0
                else None,
                "published share": PAPER["share"].get(key),
                "overlap, dB": overlap(curve(rows[ANCHOR]), curve(row)) if ANCHOR in rows else None,
            }
        )
    tried = [key for key, row in rows.items() if row["group"] == "ablation"]
    one = tried[0].partition(WITH)[0] if tried else ANCHOR
    ablation = [
        {
            "loss": key,
            "gain": gain(one, key),
            "overlap, dB": overlap(curve(rows[one]), curve(rows[key])),
            "correlation": around(rows[key]),
            "centre": centre(rows[key]),
            "over centre": around(rows[key]) / centre(rows[key]),
            "per channel": _mean(rows[key], lambda p: p["correlation"]["channel_off_centre"]),
        }
        for key in (one, one + WITH, *tried)
        if tried and key in rows
    ]
    return {"hyperpriors": hyper, "chance": chance, "contexts": context, "ablation": ablation}


def _with(key: str) -> str:
    system, space, rest = key.partition(" ")
    return system + WITH + space + rest


TITLES = {
    "hyperpriors": "With and without the loss",
    "chance": "The same with other crops and noise: how much is chance",
    "contexts": f"Contexts on Cheng's transforms, gain over `{ANCHOR}`",
    "ablation": "Weight, mask and window, gain over no loss",
}


def markdown(record: dict[str, Any]) -> str:
    """The page for people, from results.json."""
    budget, machine = Budget.from_dict(record["budget"]), record["hardware"]
    config = budget.config(True)
    each = f"{config.steps} steps of {config.batch} crops of {config.crop} pixels"
    if budget.base:
        how = (
            f"Every system is trained without the loss for {budget.base} steps at lambda "
            f"{budget.base_lambda:.2g}; every row and lambda goes on from there for {each}, on the same "
            "crops."
        )
    else:
        how = f"{each} for the first lambda, {budget.config(False).steps} for each other."
    about = (
        f"Budget: {budget.note}. {how} Lambdas {', '.join(map(str, budget.lambdas))}; alpha {budget.alpha:g} "
        "(averages). Gains are percent of rate saved at equal PSNR over real files; minus is a loss. "
        f"No gain is given where two curves have less than {LEAST} dB in common. Correlation is the root "
        "mean square of the map (5 x 5) around its centre; the centre is 1 where sigmas are right, and "
        "divided by it the correlation no longer depends on them."
    )
    lines = [
        "# The correlation loss",
        "",
        *wrapped(about),
        "",
        "Directions and relative speeds are what this can show; the published BD-rates need longer training.",
    ]
    pictures = record["rows"][next(iter(record["rows"]))]["points"][0]["pictures"]
    sessions = record.get("sessions", [record])
    commits = ", ".join(f"`{c}`" for c in dict.fromkeys(s["commit"] or "unknown" for s in sessions))
    made = (
        f"Measured on {machine['processor']}, {machine['system']}; torch {record['libraries']['torch']}, one "
        f"thread, {len(pictures)} pictures; {record['finished'][:10]}, at {commits}."
    )
    lines += ["", *wrapped(made)]
    for name, rows in record["tables"].items():
        if not rows:
            continue
        heads = list(rows[0])
        lines += ["", f"## {TITLES[name]}", ""]
        lines += table(heads, ([_cell(row[h]) for h in heads] for row in rows))
    if any(name == "maps.png" for name in record.get("figures", [])):
        lines += ["", "![Correlation maps without and with the loss](maps.png)"]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_cell(v) for v in value)
    return f"{value + 0.0:.4g}" if isinstance(value, float) else str(value)  # -0 is 0


def draw(rows: dict[str, Any], path: Path) -> None:
    """The correlation maps of the middle multiplier, without and with the loss."""
    from studies.inside.figures import draw_maps

    shown = []
    for key in [k + end for k in HYPERPRIORS for end in ("", WITH)]:
        if key in rows:
            points = rows[key]["points"]
            shown.append((key, torch.tensor(points[len(points) // 2]["correlation"]["map"])))
    if shown:
        draw_maps(shown, path)


def write(budget: Budget, out: Path, command: Sequence[str]) -> str:
    """Write results.json, results.md and maps.png; returns the page.

    The results' provenance is that of what was measured last; ``sessions`` lists all that differ.  Where
    nothing was measured but results are stored, the page is made from those.

    Raises:
        ValueError: if there is neither.
    """
    rows = collect(budget, out)
    stored = out / runs.RESULTS
    if not rows and not stored.is_file():
        raise ValueError(f"{out}: nothing was measured yet")
    if rows:
        made = [p.pop("provenance") for r in rows.values() for p in r["points"] if "provenance" in p]
        last = max(made, key=lambda m: m["finished"], default=provenance(command))
        record = {**last, "sessions": _sessions(made), "budget": budget.to_dict()}
        record |= {"figures": ["maps.png"], "tables": tables(rows), "rows": rows}
        stored.write_text(json.dumps(record, indent=1) + "\n")
        draw(rows, out / "maps.png")
    text = made_of(stored, markdown)
    (out / PAGE).write_text(text)
    return text


def _sessions(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each provenance once, whatever the time, in the order of time."""
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(made, key=lambda m: m["finished"]):
        found[json.dumps({**one, "finished": None})] = one
    return list(found.values())
