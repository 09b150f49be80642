"""The page on the adversarial term, from what `studies.adversarial` stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from calotype.records.markdown import table, wrapped

HEADS = ["decoder", "bytes", "PSNR, dB", "sharpness", "features", "sharper on", "lower PSNR on"]


def markdown(record: dict[str, Any]) -> str:
    """The page; nothing on it but what ``record`` says."""
    rows = record["decoders"]
    base = rows[0]
    count = len(base["psnr"])
    same = all(row["bytes"] == base["bytes"] for row in rows)
    about = f"""
        **What the adversarial term does to a decoder.** A narrow `mentzer2020-hific` ({_sizes(record)}) is
        trained for {record["steps"]} steps without its discriminator. Then encoder and probabilities stay as
        they are, and only the decoder goes on for {record["branch_steps"]} steps: without the adversarial
        term, and with it. The files are {"the same to the byte" if same else "not the same"}, so the
        rate is equal; decoders differ.
    """
    notes = f"""
        Means over the middle 256 x 256 pixels of {count} held-out photographs. *Sharpness*: mean absolute
        difference of neighbouring pixels, of that of the original. *Features*: the stand-in for LPIPS (it is
        not LPIPS; lower is nearer). The last two columns count photographs, against the first decoder. One
        seed; {record["photographs"]["photographs"]} photographs; each step {record["batch"]} crops of
        {record["crop"]} x {record["crop"]}. This is minutes of training, where the paper has two million
        steps: it shows which way the term pulls, not how good the pictures of a trained model are. At this
        PSNR they are blobs of about the right colour, and sharpness counts any structure, the regular one of
        transposed convolutions too, whether or not it is in the original.
    """
    made = f"{record['finished'][:10]}, commit `{record['commit'][:10]}`, `{record['command']}`."
    parts = [
        ["# The adversarial term of HiFiC"],
        wrapped(about),
        table(HEADS, [_cells(row, base) for row in rows], "l" + "r" * (len(HEADS) - 1)),
        wrapped(_verdict(rows, base, count)),
        ["![Original, and each decoder](pictures.jpg)"],
        wrapped("From the left: the original, then the decoders in the order of the table."),
        wrapped(notes),
        wrapped(f"{made} Generated from `results.json`."),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _sizes(record: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in record["sizes"].items())


def _cells(row: dict[str, Any], base: dict[str, Any]) -> list[str]:
    name = f"C_P = {row['strength']:g}" if row["strength"] else "without the term"
    means = (f"{np.mean(row['bytes']):.0f}", f"{np.mean(row['psnr']):.2f}")
    means += (f"{np.mean(row['sharpness']):.3f}", f"{np.mean(row['features']):.3f}")
    if row is base:
        return [name, *means, "", ""]
    count = len(row["psnr"])
    sharper = sum(a > b for a, b in zip(row["sharpness"], base["sharpness"], strict=True))
    lower = sum(a < b for a, b in zip(row["psnr"], base["psnr"], strict=True))
    return [name, *means, f"{sharper} of {count}", f"{lower} of {count}"]


def _verdict(rows: list[dict[str, Any]], base: dict[str, Any], count: int) -> str:
    """What is seen at the greatest strength, in a sentence."""
    last = rows[-1]
    sharper = sum(a > b for a, b in zip(last["sharpness"], base["sharpness"], strict=True))
    lower = sum(a < b for a, b in zip(last["psnr"], base["psnr"], strict=True))
    gain = np.mean(last["sharpness"]) / np.mean(base["sharpness"]) - 1
    loss = np.mean(base["psnr"]) - np.mean(last["psnr"])
    seen = "*Seen*" if min(sharper, lower) >= 0.9 * count else "*Cannot be told at this budget*"
    return (
        f"{seen}: sharper at equal rate ({100 * gain:+.1f} % at C_P = {last['strength']:g}), and worse PSNR "
        f"({-loss:+.2f} dB)."
    )
