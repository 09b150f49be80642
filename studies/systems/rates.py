"""Three ways to choose a rate, and what each costs for a curve of eight points.

    python -m studies.systems.rates > studies/systems/rates.md
    python -m studies.systems.rates --stored FILE       with the encoding times of `studies.systems measure`

Counts come from the registry; the times of one encoding, where they were measured, from results.json beside
this.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.analysis.complexity import kmacs_per_pixel, parameters
from calotype.records.markdown import table, wrapped
from calotype.records.script import guarded, made_of, parser_of

POINTS = 8
ITERATIONS = 16
LAMBDA = ("minnen2018-mean-scale", "cheng2020-attention", "he2022-elic", "liu2023-tcm-small", "jpegai-bop")
RECURRENT = ("toderici2016", "toderici2017-lstm", "johnston2018")
SYNTHESES = ("g_s", "synthesis")
RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Way:
    """One system and its way to choose a rate."""

    way: str
    system: str
    weights: int
    """Parameters of all that the eight points need."""
    one: float
    """kMAC per pixel to encode at the middle of the curve: of eight iterations, where there are such."""
    all: float
    """At all eight points."""
    files: int
    """How many files hold the eight."""
    step: str
    """The finest step of the rate."""


def ways() -> list[Way]:
    """The table's rows."""
    found = []
    for name in LAMBDA:
        with torch.device("meta"):
            model = registry.build(name)
        once = sum(v for k, v in kmacs_per_pixel(model).items() if k not in (*SYNTHESES, "total"))
        found.append(
            Way(
                "a model for each lambda",
                name,
                POINTS * parameters(model),
                once,
                POINTS * once,
                POINTS,
                "training",
            )
        )
    with torch.device("meta"):
        product: Any = registry.build("calotype")
    parts = kmacs_per_pixel(product)
    again = parts["latents"]
    once = parts["analysis"] + again
    step = f"any; {parameters(product.levels):,} gains"
    found.append(
        Way("gain units", "calotype", parameters(product), once, once + (POINTS - 1) * again, POINTS, step)
    )
    for name in RECURRENT:
        with torch.device("meta"):
            model = registry.build(name)
        whole = kmacs_per_pixel(model)["total"]
        found.append(
            Way(
                "iterations",
                name,
                parameters(model),
                whole * POINTS / ITERATIONS,
                whole,
                1,
                "1/8 bit per pixel",
            )
        )
    return found


def page(record: dict[str, Any] | None) -> str:
    """The page; ``record``: what `studies.systems measure` stored."""
    times = {s["system"]: s for s in (record or {}).get("systems", [])}
    rows = []
    for w in ways():
        s = times.get(w.system)
        seconds = "-"
        if s is not None and "encode" in s:
            seconds = f"{s['encode']['seconds'] * (POINTS / s['parts'] if s['parts'] else 1):.2f}"
        mib = 4 * w.weights / 2**20
        rows.append(
            [w.way, f"`{w.system}`", f"{w.weights:,}", f"{mib:.0f}", f"{w.one:.1f}", f"{w.all:.1f}", seconds,
             str(w.files), w.step]
        )  # fmt: skip
    text = f"""
        What it takes to code a picture at {POINTS} rates: weights of all that is needed, and as MiB of
        float32; kMAC per pixel (exact rule) to encode at one rate, which for iterations is the eighth of 16,
        and at all eight, where gain units run the analysis once and iterations pass every rate on their way;
        files that hold the eight. The product's model is counted as it is trained; its pack is smaller.
    """
    if record:
        side = record["side"]
        text += f"""
            Seconds: one encoding of {side} x {side} pixels on one thread of a busy machine, of iterations
            eight, from a file of four.
        """
    heads = [
        "way",
        "system",
        "weights",
        "MiB",
        "kMAC/px, one rate",
        "eight",
        "encode one, s",
        "files",
        "finest step",
    ]
    end = """
        A model for each lambda is the dearest to keep; a rate between two is not to be had. Gain units keep
        one set of weights, take any rate, and cost nothing that can be seen in the table. Iterations keep one
        set too and give all rates in one file that may be cut anywhere, at a hundred times the arithmetic.
        What a shared set loses in rate against a model for each lambda is not in this table: gain units
        stand in the product's model alone, whose training for all rates takes hours, and each lambda would
        need as many steps as that; in minutes of training, pairs that differ by a few percent cannot be told
        apart (the chance of ten pairs of a small hyperprior after 8,000 steps is 2 %).
    """
    lines = ["# Choosing a rate, three ways", "", *wrapped(text), "", *table(heads, rows, "llrrrrrrl"), ""]
    return "\n".join([*lines, *wrapped(end)]) + "\n"


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument(
        "--stored", type=Path, metavar="FILE", help="results.json of the systems; default: that beside this"
    )
    given = parser.parse_args(arguments)
    stored = given.stored or (RESULTS if RESULTS.is_file() else None)
    print(made_of(stored, page) if stored else page(None), end="")


if __name__ == "__main__":
    sys.exit(main())
