"""The page on the adversarial term, from what `studies.adversarial` stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from calotype.records.markdown import table, wrapped

HEADS = ["decoder", "bytes", "PSNR, dB", "sharpness", "features", "sharper on", "lower PSNR on"]


def markdown(record: dict[str, Any]) -> str:
    """The page; nothing on it but what ``record`` says.

    ``record["earlier"]``, where there is one, is the record of a run before, at other steps.
    """
    count, earlier = len(record["decoders"][0]["psnr"]), record.get("earlier")
    about = f"""
        **What the adversarial term does to a decoder.** A narrow `mentzer2020-hific` ({_sizes(record)}) is
        trained for {record["steps"]} steps without its discriminator. Then encoder and probabilities stay as
        they are, and only the decoder goes on for {record["branch_steps"]} steps: without the adversarial
        term, and with it. So the files are the same to the byte and the rate is equal; decoders differ.
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
    parts = [
        ["# The adversarial term of HiFiC"],
        wrapped(about),
        *_table(record),
        ["![Original, and each decoder](pictures.jpg)"],
        wrapped("From the left: the original, then the decoders in the order of the table."),
        wrapped(notes),
    ]
    if earlier:
        before = f"""
            {earlier["steps"]} steps, then {earlier["branch_steps"]}, at a learning rate of {earlier["lr"]:g}
            (above: {record["lr"]:g}). There the discriminator learned from the first step on, though the
            decoder did not learn from it; above it is new when the decoders part.
        """
        parts += [["## A run before"], wrapped(before), *_table(earlier), wrapped(_made(earlier))]
    parts += [wrapped(f"{_made(record)} Generated from `results.json`.")]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(record: dict[str, Any]) -> list[list[str]]:
    rows = record["decoders"]
    cells = [_cells(row, rows[0]) for row in rows]
    return [table(HEADS, cells, "l" + "r" * (len(HEADS) - 1)), wrapped(_verdict(rows))]


def _made(record: dict[str, Any]) -> str:
    return f"{record['finished'][:10]}, commit `{record['commit'][:10]}`, `{record['command']}`."


def _sizes(record: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:g}" for k, v in record["sizes"].items())


def _cells(row: dict[str, Any], base: dict[str, Any]) -> list[str]:
    name = f"C_P = {row['strength']:g}" if row["strength"] else "without the term"
    means = (f"{np.mean(row['bytes']):.0f}", f"{np.mean(row['psnr']):.2f}")
    means += (f"{np.mean(row['sharpness']):.3f}", f"{np.mean(row['features']):.3f}")
    if row is base:
        return [name, *means, "", ""]
    sharper, lower = _counts(row, base)
    return [name, *means, f"{sharper} of {len(row['psnr'])}", f"{lower} of {len(row['psnr'])}"]


def _counts(row: dict[str, Any], base: dict[str, Any]) -> tuple[int, int]:
    """On how many photographs a decoder is sharper than the first one, and its PSNR lower."""
    sharper = sum(a > b for a, b in zip(row["sharpness"], base["sharpness"], strict=True))
    return sharper, sum(a < b for a, b in zip(row["psnr"], base["psnr"], strict=True))


def _verdict(rows: list[dict[str, Any]]) -> str:
    """What is seen at the greatest strength, in two sentences."""
    base, last = rows[0], rows[-1]
    count = len(base["psnr"])
    sharper, lower = (_seen(n, count) for n in _counts(last, base))
    gain = np.mean(last["sharpness"]) / np.mean(base["sharpness"]) - 1
    loss = np.mean(last["psnr"]) - np.mean(base["psnr"])
    return (
        f"At C_P = {last['strength']:g}, sharper at equal rate: *{sharper}* ({100 * gain:+.1f} %). "
        f"Worse PSNR: *{lower}* ({loss:+.2f} dB)."
    )


def _seen(n: int, count: int) -> str:
    if n >= 0.9 * count:
        return "seen"
    return "not seen" if n <= 0.5 * count else "cannot be told at this budget"
