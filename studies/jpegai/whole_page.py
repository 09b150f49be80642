"""The page of `studies.jpegai.whole`, from its stored results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from calotype.records.markdown import table, wrapped
from studies.paired import Effect, effect

BASE = "baseline"
CLAIMS = {"attention-cs": 0.8, "shuffle": 0.2, "activation": 0.1, "attention-ds": 0.8, "combination": -0.2}
"""Published: percent of rate that a change of the decoder costs, after full training; minus is a gain."""
WORDS = {
    "attention-cs": "attention over half of the channels",
    "shuffle": "1x1 convolution and pixel shuffle",
    "activation": "activation without tanh and product",
    "attention-ds": "attention at half the resolution",
    "combination": "attention over half of the channels, shuffle and activation",
}


def effects(record: Mapping[str, Any]) -> dict[str, dict[str, Effect]]:
    """Of each change, over seeds: "loss" in percent of the baseline's rate, "J" in percent of its own, "psnr"
    in dB, "bpp" in percent.
    """
    runs = {(r["variant"], r["seed"]): r for r in record["runs"]}
    seeds = sorted({seed for _, seed in runs})
    found = {}
    for variant in CLAIMS:
        pairs = [(runs[BASE, s], runs[variant, s]) for s in seeds if (variant, s) in runs]
        found[variant] = {
            "loss": effect([100 * (b["cost"] - a["cost"]) / a["bpp"] for a, b in pairs]),
            "J": effect([100 * (b["cost"] / a["cost"] - 1) for a, b in pairs]),
            "psnr": effect([b["psnr"] - a["psnr"] for a, b in pairs]),
            "bpp": effect([100 * (b["bpp"] / a["bpp"] - 1) for a, b in pairs]),
        }
    return found


def page(record: Mapping[str, Any]) -> str:
    """Markdown."""
    train, runs, found = record["train"], record["runs"], effects(record)
    seeds = len({r["seed"] for r in runs})
    steps = " to ".join(map(str, sorted({r["steps"] for r in runs})))
    off = max(abs(r["bpp"] - r["estimated_bpp"]) for r in runs)
    start, begun = record["start_train"], record["start"]
    about = f"""
        One start, the baseline after {begun["steps"]} steps at {start["lr"]:g} ({begun["psnr"]:.1f} dB at
        {begun["bpp"]:.2f} bpp), and {seeds} seeds. The systems of a seed have the start's weights but for
        what not all decoders have: that is drawn afresh in all of them, in the baseline too, and alike where
        two of them have it. They see the same crops and the same noise in {steps} steps at
        {train["lr"]:g}, each of {train["batch"]} crops of {train["crop"]} pixels at lambda
        {record["lambda"]:g}; encoder, entropy model and decoder are all trained. Widths
        {record["options"]}. Averaged weights (decay {train["ema"]:g}), real files of the middle
        {record["side"]} x {record["side"]} pixels of {len(record["pictures"])} pictures of Kodak.
    """
    base = [r for r in runs if r["variant"] == BASE]
    share = statistics.fmean(r["cost"] / r["bpp"] for r in base)
    heads = (
        "change of the decoder,kMAC/px,pairs,PSNR in dB,bpp in %,J in %,loss in % of rate,published,verdict"
    )
    rows = [[f"{BASE}: none", f"{record['kmacs'][BASE]:.2f}", *[""] * 7]]
    for variant, claim in CLAIMS.items():
        told = found[variant]
        rows.append([
            f"{variant}: {WORDS[variant]}", f"{record['kmacs'][variant]:.2f}",
            str(told["loss"].count), told["psnr"].told(2),
            told["bpp"].told(1), told["J"].told(1), told["loss"].told(1), f"{claim:+.1f}",
            verdict(variant, told["loss"]),
        ])  # fmt: skip
    notes = f"""
        Each difference: the mean of the pairs and its 95 % interval (Student's t), over continuations of one
        start by draws, crops and noise; what another start would give is not in it. *J* = bpp + lambda
        MSE; *loss*: its difference in percent of the baseline's bpp, so a unit of MSE counts as lambda bits
        per pixel. After so few steps J is mostly MSE, and {share:.0f} times the rate: a loss of 1 % of J
        counts as {share:.0f} % of the rate. Rates are those of files. What the entropy models estimate is off
        by up to {off:.4f} bpp, mostly too high, probably as in the short runs: a latent that is thought
        nearly impossible is estimated at 30 bits and takes fewer in a file.
    """
    commits = " and ".join(f"`{commit}`" for commit in sorted({str(r["commit"]) for r in runs}))
    made = f"""
        Trained at {commits}. Measured by `{record["command"]}` at commit `{record["commit"]}` on
        {record["hardware"]["processor"]}, torch {record["libraries"]["torch"]}, {record["finished"][:10]}.
        Generated from `whole.json`.
    """
    parts = [
        ["# JPEG AI's decoder in whole systems"],
        wrapped(about),
        table(heads.split(","), rows, "lrrllllrl"),
        wrapped(notes),
        [sentence(variant, found[variant]["loss"]) for variant in CLAIMS],
        ["## Every run"],
        _runs(record),
        wrapped(made),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def sentence(variant: str, loss: Effect) -> str:
    """What was found of a change, for people."""
    claim, chance = CLAIMS[variant], (loss.high - loss.low) / 2
    found = f"{loss.mean:+.1f} %, chance of the mean {chance:.1f} %; published {claim:+.1f} %"
    return f"* {WORDS[variant]}: {found}: *{verdict(variant, loss)}*."


def verdict(variant: str, loss: Effect) -> str:
    """As `Effect.verdict`, which says nothing of effects that are larger than the claim."""
    claim = CLAIMS[variant]
    found = loss.verdict(claim)
    beyond = loss.low > claim if claim > 0 else loss.high < claim
    return f"{found}, larger than published" if found == "seen" and beyond else found


def _runs(record: Mapping[str, Any]) -> list[str]:
    heads = ["seed", "decoder", "bpp", "estimated", "PSNR, dB", "J"]
    rows = []
    for r in record["runs"]:
        numbers = [f"{r['bpp']:.4f}", f"{r['estimated_bpp']:.4f}", f"{r['psnr']:.3f}", f"{r['cost']:.4f}"]
        rows.append([str(r["seed"]), r["variant"], *numbers])
    return table(heads, rows, "rlrrrr")
