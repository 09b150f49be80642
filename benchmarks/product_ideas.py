"""The page of what was tried in the shipped model, from what is stored beside it.

    python benchmarks/product_ideas.py [docs/results/product-ideas]

``ideas.json`` holds a line per idea and, where an idea was trained, the validation curves of that run and of
the run without it from the same start (bpp and PSNR at every level); BD-rates are computed from these.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from calotype.bench.bdrate import Curve, bd_rate

FOLDER = Path(__file__).parents[1] / "docs" / "results" / "product-ideas"
DATA, PAGE = "ideas.json", "README.md"


def gain(idea: dict[str, Any], runs: dict[str, Any]) -> str:
    """What the table says an idea gained: its stored words, or the BD-rate of its run."""
    if "run" not in idea:
        return str(idea["gain"])
    rate = bd(runs[idea["against"]], runs[idea["run"]])
    chance = bd(runs[idea["against"]], runs[idea["chance"]]) if idea.get("chance") else None
    text = f"BD-rate {rate:+.2f} %"
    return text if chance is None else f"{text} (the same run with other crops: {chance:+.2f} %)"


def bd(anchor: dict[str, Any], test: dict[str, Any]) -> float:
    """BD-rate in percent of a run's validation curve."""
    curves = [Curve(run["validation"]["bpp"], run["validation"]["psnr"]) for run in (anchor, test)]
    return float(bd_rate(*curves).value)


def page(record: dict[str, Any]) -> str:
    """The page as Markdown; nothing on it but what ``record`` says."""
    lines = ["# Ideas tried in the shipped model", "", *_wrapped(record["about"]), ""]
    lines += ["| idea | what it gained | costs | verdict |", "| --- | --- | --- | --- |"]
    for idea in record["ideas"]:
        cells = [idea["idea"], gain(idea, record["runs"]), idea["costs"], f"**{idea['verdict']}**"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## The short runs", "", *_wrapped(record["training"]), ""]
    lines += ["| run | steps | CPU s | mean loss | bpp at each level | PSNR at each level |"]
    lines += ["| --- | ---: | ---: | ---: | --- | --- |"]
    for name, run in record["runs"].items():
        v = run["validation"]
        curve = [", ".join(f"{x:{form}}" for x in v[key]) for key, form in (("bpp", ".3f"), ("psnr", ".2f"))]
        lines.append(
            f"| {name} | {run['steps']} | {run['cpu_seconds']:.0f} | {v['mean_loss']:.4f} | "
            + " | ".join(curve) + " |"
        )  # fmt: skip
    lines += [
        "",
        "## Correlation that the product's model leaves",
        "",
        *_wrapped(record["correlation"]["about"]),
        "",
    ]
    heads = ["level", "loss", "variance", "above and below", "beside", "diagonal"]
    lines += ["| " + " | ".join(heads) + " |", "| ---: " * len(heads) + "|"]
    for row in record["correlation"]["levels"]:
        lines.append("| " + " | ".join(str(row[h]) for h in heads) + " |")
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def main(arguments: list[str]) -> int:
    """Write the page again."""
    folder = Path(arguments[0]) if arguments else FOLDER
    record = json.loads((folder / DATA).read_text(encoding="utf-8"))
    (folder / PAGE).write_text(page(record), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
