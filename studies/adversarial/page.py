"""The page on the adversarial term, from what `studies.adversarial` stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calotype.records.markdown import table, wrapped
from studies.paired import effect

HEADS = [
    "seed", "decoder", "bytes", "PSNR, dB", "sharpness", "off the grid", "of the original", "MS-SSIM",
    "discriminator", "sharper on", "lower PSNR on",
]  # fmt: skip
Row = dict[str, Any]


def markdown(records: dict[str, Row]) -> str:
    """The page; nothing on it but what ``records`` say, one of each system."""
    about = """
        **What the adversarial term does to a decoder.** Encoder and probabilities of a system stay as they
        are, and only the decoder goes on: without the adversarial term, and with it, from the same weights on
        the same crops. So the files are the same to the byte and the rate is equal; decoders differ.

        **What is seen.** Where the discriminator sees detail alone (the first section), figures rise as they
        should: pictures are sharper at the same bytes and at a worse PSNR, also between the frequencies of a
        grid of 16 pixels. **The picture does not show detail**: every decoder, the one without the term too,
        has a cross-hatch where the original is flat. *Off the grid* leaves out multiples of 1/16 cycle per
        pixel only, so a weave of another period, 6.4 pixels say, counts as sharpness; and less of the
        original is in what is there. Whether the term adds detail or a stronger weave *cannot be told at this
        budget*. Where the decoder upsamples by transposed convolutions and the discriminator sees pictures
        (the second section), as short a run teaches it to print a grid, and nothing else that could be told.

        **What of HiFiC this is.** Its loss for MSE and its adversarial term at its weights, no more: the
        decoders below are Balle's, whose encoder has no ReLUs, so the stand-in for LPIPS is 0; and the
        discriminator is not told the latents, as HiFiC's is. What HiFiC's own conditional discriminator does
        *cannot be told at this budget*: told the latents, it learned nothing (below).
    """
    parts = [["# The adversarial term of HiFiC"], *map(wrapped, about.split("\n\n"))]
    for name, record in sorted(records.items(), key=lambda item: "detail" not in item[1]):
        parts += _section(name, record)
    notes = """
        *Sharpness*: mean absolute difference of neighbouring pixels, of that of the original; it counts any
        structure, the grid of 16 pixels that four transposed convolutions print too. *Off the grid*: the same
        from the spectrum (root of the energy of differences), at the frequencies between those of such a grid
        alone, across and down: what repeats after 16 pixels adds nothing to it. *Of the original*: slope of
        the decoded picture on the original there; what is invented leaves it as it is.
        *Discriminator*: its loss over the last tenth of the steps; 1.39 (2 log 2) is chance, so what is lower
        has learned. *Sharper on* (off the grid, where that was measured), *lower PSNR on*: photographs,
        against the seed's decoder without the term. Intervals are of 95 % (Student's t) over the seeds, each
        seed's mean over photographs being one value; *seen*: 0 is outside, on that side, *not seen*: on the
        other. A section whose seeds have one start has intervals over continuations of it: what another start
        would give is not in them. This is minutes of training, where the paper has two million steps: it
        shows which way the term pulls, not how good the pictures of a trained model are.
    """
    detail = """
        *Detail* is a picture less its blur. Of a picture itself a small discriminator first has to learn what
        is picture and what is blur, and in some hundred steps it learns grids; it can also be led astray by
        brightness. *resize*: the synthesis repeats values and convolves where the paper's has transposed
        convolutions, so what is flat stays flat (`calotype.lab.layers.conv.resized`). Its blocks of repeated
        values lie on the grid of 16 pixels too, so *off the grid* leaves them out where they are regular; a
        pattern whose strength changes from tile to tile counts. What a decoder of 16 channels adds in half a
        minute looks like a weave and not like the original's texture.
        The two changes were found with one seed each, of which nothing is stored but what follows: told the
        latents with each channel brought to a spread of 1, or what the start decodes from them, the
        discriminator stayed at chance for 150 to 240 steps; shown what a decoder adds to that, it was fooled;
        the shipped model's decoder, which is well trained, answered with a grid, for it upsamples by pixel
        shuffles. The strengths and the number of pairs were set before the pairs were run. The first of these
        has the seed that was looked at; by the six others alone the verdicts are the same.
    """
    before = """
        Of pictures: told the latents, as HiFiC's is, the discriminator learned nothing in 150 steps
        at any of three rates (2e-4, 1e-3, 5e-3): its gain is kept at 1, and latents are larger than pixels.
        Two single runs before, whose discriminator was told them, of a HiFiC at 16 and 17 dB, had the same
        sign of sharpness (+8.8 and +5.5 %) and two signs of PSNR (-0.26 and +0.04 dB): commits `3a701f3e15`
        and `57b57ad0e2`, 2026-11-27. Of the seven pairs three were measured first, and told nothing (+25.7 %,
        -10.4 to +61.9); then seven were set as the number.
    """
    parts += [
        ["## Notes"],
        wrapped(notes),
        wrapped(detail),
        wrapped(before),
        ["Generated from `results.json`."],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _section(name: str, record: Row) -> list[list[str]]:
    runs, start = record["runs"], record.get("start")
    if start:
        by = f", `{start['command']}`" if "command" in start else ""
        begin = f"""
            One start for all seeds, trained for MSE for {start["steps"]} steps at lambda {start["lambda"]:g}
            (at `{start["commit"]}`{by}).
        """
    else:
        begin = f"""
            Each seed has a start of its own, {record["steps"]} steps without the discriminator at
            {record["lr"]:g}.
        """
    sees = "pictures"
    if detail := record.get("detail"):
        sees = f"{detail:g} times what a blur of {record['blur']} x {record['blur']} pixels takes away"
    about = f"""
        {record["system"]}: {_sizes(record)}. {begin.strip()} Then {record["branch_steps"]} steps of each
        decoder at {record["branch_lr"]:g}, each of {record["batch"]} crops of {record["crop"]} pixels of
        {record["photographs"]["photographs"]} photographs; the discriminator sees {sees}. Means
        over the middle 256 x 256 pixels of {len(runs[0]["decoders"][0]["psnr"])} held-out ones.
    """
    rows = [_cells(run["seed"], row, run["decoders"][0]) for run in runs for row in run["decoders"]]
    return [
        [f"## {name}"],
        wrapped(about),
        table(HEADS, rows, "rl" + "r" * (len(HEADS) - 2)),
        *([line] for line in verdicts(runs)),
        [f"![Original, and each decoder]({name}.jpg)"],
        wrapped(
            "From the left: the original, then the decoders of the first seed in the order of the table."
        ),
        wrapped(f"{record['finished'][:10]}, commit `{record['commit']}`, `{record['command']}`."),
    ]


def verdicts(runs: Sequence[Row]) -> list[str]:
    """Of each strength: what is seen over the seeds."""
    if len(runs) < 2:
        return []
    found = []
    for i, last in enumerate(runs[0]["decoders"][1:], 1):
        pairs = [(run["decoders"][0], run["decoders"][i]) for run in runs]
        sharper = effect([100 * (_mean(b, "sharpness") / _mean(a, "sharpness") - 1) for a, b in pairs])
        psnr = effect([_mean(b, "psnr") - _mean(a, "psnr") for a, b in pairs])
        told = f"sharper at equal rate, {sharper.told(1, ' %')}: *{sharper.points(1)}*"
        told += f"; worse PSNR, {psnr.told(2, ' dB')}: *{psnr.points(-1)}*"
        newer = [pair for pair in pairs if "off_grid" in pair[0]]
        if len(newer) > 1:
            free = effect([100 * (_mean(b, "off_grid") / _mean(a, "off_grid") - 1) for a, b in newer])
            kept = effect([_mean(b, "original") - _mean(a, "original") for a, b in newer])
            told += f"; of {len(newer)} pairs, sharper off the grid, {free.told(1, ' %')}: *{free.points(1)}*"
            told += f"; more of the original there, {kept.told(3)}: *{kept.points(1)}*"
            if 0 < sharper.low > free.high:
                told += "; so what is sharper is the grid"
        found.append(f"* C_P = {last['strength']:g}, {len(runs)} pairs: {told}.")
    return found


def _mean(row: Row, key: str) -> float:
    return float(np.mean(row[key]))


def _sizes(record: Row) -> str:
    return ", ".join(k if v is True else f"{k} {v:g}" for k, v in record["sizes"].items())


def _cells(seed: int, row: Row, base: Row) -> list[str]:
    name = f"C_P = {row['strength']:g}" if row["strength"] else "without the term"
    cells = [str(seed), name, f"{_mean(row, 'bytes'):.0f}", f"{_mean(row, 'psnr'):.2f}"]
    cells += [f"{_mean(row, key):.3f}" if key in row else "" for key in ("sharpness", "off_grid", "original")]
    cells += [f"{_mean(row, 'ms_ssim'):.4f}"]
    if row is base:
        return [*cells, "", "", ""]
    key = "off_grid" if "off_grid" in row and "off_grid" in base else "sharpness"
    sharper = sum(a > b for a, b in zip(row[key], base[key], strict=True))
    lower = sum(a < b for a, b in zip(row["psnr"], base["psnr"], strict=True))
    return [
        *cells,
        f"{row['critic']:.2f}",
        f"{sharper} of {len(row['psnr'])}",
        f"{lower} of {len(row['psnr'])}",
    ]
