"""The page of what was tried in the shipped model, from what is stored beside it.

    python -m studies.product.page [FOLDER]

``ideas.json`` holds a line per idea and, where an idea was trained, the validation curves of that run and of
the run without it from the same start (bpp and PSNR at every level); BD-rates are computed from these.
``decoders.json`` and ``branches.json`` have what `studies.product.decoders` measured.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calotype.bench.bdrate import Curve, bd_rate
from calotype.records.markdown import table, wrapped
from calotype.records.script import guarded, made_of, parser_of

FOLDER = Path(__file__).parent
DATA, DECODERS, BRANCHES, PAGE = "ideas.json", "decoders.json", "branches.json", "README.md"
PERCENT = 24
"""Percent of rate that a decibel is worth, about, on the mean over all levels."""


def gain(idea: dict[str, Any], runs: dict[str, Any]) -> str:
    """What the table says an idea gained: its stored words, or the BD-rate of its run."""
    if "run" not in idea:
        return str(idea["gain"])
    rate = bd(runs[idea["against"]], runs[idea["run"]])
    chance = bd(runs[idea["against"]], runs[idea["chance"]]) if idea.get("chance") else None
    text = f"`{idea['run']}`: BD-rate {rate:+.2f} %"
    text += "" if chance is None else f" (the same run with other crops: {chance:+.2f} %)"
    if ratio := runs[idea["run"]].get("transform_time"):
        text += f", {ratio:.2f} times the transform's CPU time"
    return text


def bd(anchor: dict[str, Any], test: dict[str, Any]) -> float:
    """BD-rate in percent of a run's validation curve."""
    curves = [Curve(run["validation"]["bpp"], run["validation"]["psnr"]) for run in (anchor, test)]
    return float(bd_rate(*curves).value)


def made(record: dict[str, Any]) -> list[str]:
    """Where the curves of the runs come from, as far as that is stored: with each, or once for the trials."""
    told: dict[str, list[str]] = {}
    for name, run in record["runs"].items():
        if stored := run.get("made"):
            told.setdefault(_where(stored), []).append(f"`{name}`")
    lines = [f"{', '.join(names)}: {where}." for where, names in told.items()]
    if stored := record.get("trials"):
        lines.append(f"Stored once for the trials of `{stored['command']}`: {_where(stored)}.")
    return wrapped(" ".join([*lines, "Of the other runs neither commit nor machine was stored."]))


def _where(stored: dict[str, Any]) -> str:
    machine, torch = stored["hardware"]["processor"], stored["libraries"]["torch"]
    return f"commit `{(stored['commit'] or 'unknown')[:13]}`, {machine}, torch {torch}"


def page(record: dict[str, Any]) -> str:
    """The page as Markdown; nothing on it but what ``record`` says."""
    ideas = [
        [idea["idea"], gain(idea, record["runs"]), idea["costs"], f"**{idea['verdict']}**"]
        for idea in record["ideas"]
    ]
    runs = []
    for name, run in record["runs"].items():
        v = run["validation"]
        curve = [", ".join(f"{x:{form}}" for x in v[key]) for key, form in (("bpp", ".3f"), ("psnr", ".2f"))]
        numbers = [str(run["steps"]), f"{run['cpu_seconds']:.0f}", f"{v['mean_loss']:.4f}"]
        runs.append([name, *numbers, *curve])
    heads = ["level", "variance", "above and below", "beside", "diagonal"]
    left = {name: run["neighbours"] for name, run in record["runs"].items() if "neighbours" in run}
    levels = [
        [name, *(str(row[h]) for h in heads)]
        for same in zip(*([(name, row) for row in rows] for name, rows in left.items()), strict=True)
        for name, row in same
    ]
    parts = [
        ["# Ideas tried in the shipped model"],
        wrapped(record["about"]),
        table(["idea", "what it gained", "costs", "verdict"], ideas, "llll"),
        ["## The short runs"],
        wrapped(record["training"]),
        table(
            ["run", "steps", "CPU s", "mean loss", "bpp at each level", "PSNR at each level"], runs, "lrrrll"
        ),
        made(record),
        ["## Correlation that the product's model leaves"],
        wrapped(record["correlation"]),
        table(["run", *heads], levels),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def runs(record: dict[str, Any]) -> str:
    """A table of decoders that were trained from fresh branches; rates are against the first."""
    anchor = next(iter(record))
    first, rows = record[anchor]["held out"], []
    for name, run in record.items():
        lost = first[1] - run["held out"][1]
        steps = (f"{run['cpu minutes']:g}", str(run["steps"]), f"{run['megapixels'] / 1000:.2f}")
        rate = "" if name == anchor else f"{PERCENT * lost:+.1f} %"
        rows.append([name, *steps, f"{run['held out'][1]:.3f}", rate])
    heads = ["run", "CPU minutes", "steps", "gigapixels", "PSNR of held-out crops", "rate, about"]
    return "\n".join(table(heads, rows))


def where(record: dict[str, Any]) -> str:
    """What ran, and where."""
    commits = {f"`{run['made']['commit'][:13]}`" for run in record.values()}
    made = next(iter(record.values()))["made"]
    return f"""`python -m studies.product.decoders`, commit {" and ".join(sorted(commits))},
        {made["hardware"]["processor"]}, torch {made["libraries"]["torch"]}; the machine had other work."""


def decoders(record: dict[str, Any]) -> str:
    """The section of decoders that were trained from fresh branches, as Markdown."""
    start = record["Adam"]["held out"][0]
    about = f"""The synthesis alone, of the pack for PSNR, on latents as files hold them
        (`training/planned.py`), each for the same time of a CPU. What is left of the pack's own is its linear
        path and the level vectors, {start:.3f} dB; all branches are drawn afresh and start at zero.
        The learning rate is 1e-3 with a cosine for all three optimisers; SOAP has decays of 0.95 and
        refreshes its bases every 50 steps, as in PULSE. One run of each, so that chance is not
        known. A smaller decoder sees more photographs in the same time, and what a part gains with enough of
        them this does not tell. A decibel is taken for {PERCENT} % of rate. {where(record)}"""
    return "\n".join(["", "## Decoders from fresh branches", "", *wrapped(about), "", runs(record), ""])


def branches(record: dict[str, Any]) -> str:
    """The section of other branches for the same decoder, as Markdown."""
    about = f"""The same for a shorter time, without the renderer, so that there are more gigapixels. *By
        energy*: a bottleneck is `x + rms f(x / rms)`, rms that of the place's whitened channels.
        *Overlapping*: the linear path paints patches of 10 x 10 pixels where it painted 8 x 8 (kernel 18 at
        stride 16, counted from the latents), 0.3 kMAC/px more. One run of each: a tenth of a percent is not
        told from chance. {where(record)}"""
    return "\n".join(["", "### Other branches", "", *wrapped(about), "", runs(record), ""])


def whole(folder: Path) -> str:
    """The page of a folder."""
    parts = ((DATA, page), (DECODERS, decoders), (BRANCHES, branches))
    return "".join(str(made_of(folder / name, make)) for name, make in parts)


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page again."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: that of the study")
    folder = parser.parse_args(arguments).folder
    (folder / PAGE).write_text(whole(folder), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
