"""The page on the adversarial term, from what `studies.adversarial` stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calotype.records.markdown import table, wrapped
from studies.paired import effect

HEADS = ["seed", "decoder", "bytes", "PSNR, dB", "sharpness", "features", "sharper on", "lower PSNR on"]
Row = dict[str, Any]


def markdown(record: dict[str, Any]) -> str:
    """The page; nothing on it but what ``record`` says."""
    runs = record["runs"]
    about = f"""
        **What the adversarial term does to a decoder.** For each of {len(runs)} seeds a narrow
        `mentzer2020-hific` ({_sizes(record)}) is trained for {record["steps"]} steps without its
        discriminator. Then encoder and probabilities stay as they are, and only the decoder goes on for
        {record["branch_steps"]} steps: without the adversarial term, and with it, on the same crops. So the
        files are the same to the byte and the rate is equal; decoders differ.
    """
    rows = [_cells(run["seed"], row, run["decoders"][0]) for run in runs for row in run["decoders"]]
    notes = f"""
        Means over the middle 256 x 256 pixels of {len(runs[0]["decoders"][0]["psnr"])} held-out photographs.
        *Sharpness*: mean absolute difference of neighbouring pixels, of that of the original. *Features*: the
        stand-in for LPIPS (it is not LPIPS; lower is nearer). The last two columns count photographs, against
        the seed's decoder without the term. {record["photographs"]["photographs"]} photographs; each step
        {record["batch"]} crops of {record["crop"]} x {record["crop"]}; learning rates {record["lr"]:g} and
        {record["branch_lr"]:g}, falling over the second half. This is minutes of training, where the paper
        has two million steps: it shows which way the term pulls, not how good the pictures of a trained model
        are. Sharpness counts any structure, the regular one of transposed convolutions too, whether or not it
        is in the original.
    """
    before = """
        Two single runs before, at 16 and 17 dB, had the same sign of sharpness (+8.8 and +5.5 %) and two
        signs of PSNR (-0.26 and +0.04 dB): commits `3a701f3e15` and `57b57ad0e2`, 2026-11-27.
    """
    parts = [
        ["# The adversarial term of HiFiC"],
        wrapped(about),
        table(HEADS, rows, "rl" + "r" * (len(HEADS) - 2)),
        *([line] for line in verdicts(runs)),
        ["![Original, and each decoder](pictures.jpg)"],
        wrapped(
            "From the left: the original, then the decoders of the first seed in the order of the table."
        ),
        wrapped(notes),
        wrapped(before),
        wrapped(f"{_made(record)} Generated from `results.json`."),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def verdicts(runs: Sequence[Row]) -> list[str]:
    """Of each strength: what is seen over the seeds, each seed's mean over photographs being one value."""
    if len(runs) < 2:
        return []
    found = []
    for i, last in enumerate(runs[0]["decoders"][1:], 1):
        pairs = [(run["decoders"][0], run["decoders"][i]) for run in runs]
        sharper = effect([100 * (_mean(b, "sharpness") / _mean(a, "sharpness") - 1) for a, b in pairs])
        psnr = effect([_mean(b, "psnr") - _mean(a, "psnr") for a, b in pairs])
        found.append(
            f"* C_P = {last['strength']:g}, {len(runs)} pairs, means and 95 % intervals (Student's t). "
            f"Sharper at equal rate: {sharper.told(1, ' %')}: *{sharper.points(1)}*. "
            f"Worse PSNR: {psnr.told(2, ' dB')}: *{psnr.points(-1)}*."
        )
    return found


def _mean(row: Row, key: str) -> float:
    return float(np.mean(row[key]))


def _made(record: dict[str, Any]) -> str:
    return f"{record['finished'][:10]}, commit `{record['commit'][:10]}`, `{record['command']}`."


def _sizes(record: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in record["sizes"].items())


def _cells(seed: int, row: Row, base: Row) -> list[str]:
    name = f"C_P = {row['strength']:g}" if row["strength"] else "without the term"
    cells = [str(seed), name, f"{_mean(row, 'bytes'):.0f}", f"{_mean(row, 'psnr'):.2f}"]
    cells += [f"{_mean(row, 'sharpness'):.3f}", f"{_mean(row, 'features'):.3f}"]
    if row is base:
        return [*cells, "", ""]
    sharper = sum(a > b for a, b in zip(row["sharpness"], base["sharpness"], strict=True))
    lower = sum(a < b for a, b in zip(row["psnr"], base["psnr"], strict=True))
    return [*cells, f"{sharper} of {len(row['psnr'])}", f"{lower} of {len(row['psnr'])}"]
