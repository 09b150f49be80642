"""The page of `studies.short_runs.beside`, from its stored results and the published curves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calotype.bench.reference import load_reference
from calotype.records.markdown import table, wrapped

ANCHORS = ("jpeg-444", "avif-444")
CLASSICAL = ("jpeg-444", "webp", "avif-444", "vvc")
SHIPPED = ("calotype", "calotype:psnr")
FAMILIES = {
    "balle2018-factorized": "factorized prior",
    "balle2018-hyperprior": "hyperprior",
    "he2021-minnen": "checkerboard",
    "jpegai-bop": "JPEG AI",
    "toderici2017-lstm": "recurrent",
}
UNTRAINED = {
    "minnen2018-autoregressive": "autoregression",
    "minnen2020-charm": "channel slices",
    "cheng2020-anchor": "autoregression, residual transforms",
    "he2022-elic": "uneven slices and checkerboard",
    "xie2021-invcompress": "invertible",
    "liu2023-tcm-large": "transformers and CNN mixed",
}
"""Systems of which the table has the published curve alone."""
ABSENT = {"chen2021-nlaic": "non-local attention", "mentzer2020-hific": "generative"}
"""Systems whose families have no row at all: neither trained here nor with a curve in the reference data."""
PUBLISHED = {
    "balle2018-factorized": "paper-bmshj2018-factorized",
    "balle2018-hyperprior": "paper-bmshj2018-hyperprior",
    "he2021-minnen": "paper-minnen2018-checkerboard_mse",
    "toderici2017-lstm": "toderici2017",
    "minnen2018-autoregressive": "paper-mbt2018",
    "minnen2020-charm": "paper-minnen2020-cc10_mse",
    "cheng2020-anchor": "compressai-cheng2020-anchor_mse_cuda",
    "he2022-elic": "paper-elic2022_mse",
    "xie2021-invcompress": "invcompress-192",
    "liu2023-tcm-large": "tcm-large",
}
"""Of our systems, the curve on Kodak that others published, the untrained ones last; JPEG AI has none in the
reference data."""
REFERENCE = {"jpeg-444": "jpeg_444", "avif-444": "avif_444_s6"}
"""What published curves are compared with: the same codecs, measured on all 24 pictures of Kodak."""
Points = Sequence[tuple[float, float]]
"""bpp and PSNR, from low to high rate: means over pictures."""


def above(points: Points, anchor: Points) -> float | None:
    """Mean of PSNR in dB above ``anchor`` at the same rate, over the points whose rate it has; None if none.

    Between its points the anchor is linear in the logarithm of the rate.
    """
    known, values = np.array([math.log(b) for b, _ in anchor]), np.array([p for _, p in anchor])
    inside = [(math.log(b), p) for b, p in points if known[0] <= math.log(b) <= known[-1]]
    if not inside:
        return None
    return statistics.fmean(p - float(np.interp(b, known, values)) for b, p in inside)


def means(record: Mapping[str, Any], codec: str, where: str) -> Points:
    """Of the pictures of a set."""
    found: dict[float, list[tuple[float, float]]] = {}
    for p in record["points"]:
        if (p["codec"], p["set"]) == (codec, where):
            found.setdefault(p["quality"], []).append((p["bpp"], p["psnr"]))
    rows = ([statistics.fmean(column) for column in zip(*v)] for v in found.values())
    return sorted((bpp, psnr) for bpp, psnr in rows)


def label(trained: Sequence[Mapping[str, Any]]) -> str:
    """How long weights were trained here."""
    steps = " + ".join(str(t["steps"]) for t in trained)
    minutes = sum(t["processor_seconds"] for t in trained) / 60
    return f"**trained here for {minutes:.1f} minutes** of one core ({steps} steps)"


def page(record: Mapping[str, Any]) -> str:
    """Markdown."""
    names = {
        where: sorted({p["image"] for p in record["points"] if p["set"] == where})
        for where in ("kodak", "large")
    }
    places = sorted({t["commit"] for w in record["weights"].values() for t in w["trained"]})
    commits = ", ".join(f"`{place}`" for place in places)
    about = """
        Real files of `calotype bench`. Systems of the laboratory with few channels, trained here for some
        minutes, beside classical codecs, the packs that ship, and what others published of the same systems,
        and of some more, after full training. **A short training says nothing of a system**: it
        shows that the way from training to a row of the benchmark is whole, and how far minutes are from
        weeks.
    """
    gaps = f"""
        **What is not here.** {len(record["weights"])} families have a row that was trained here. The
        published curve alone: {_told(UNTRAINED)}. No row at all: {_told(ABSENT)}. vvc has one point for each
        set, so its dB above another codec are those of one rate, not of a curve.
    """
    parts = [["# Learned systems beside classical ones"], wrapped(about), wrapped(gaps)]
    for where, title in (("kodak", "Kodak"), ("large", "Large")):
        rows = _measured(record, where) + (_published() if where == "kodak" else [])
        heads = ["codec", "weights", "bpp", "PSNR, dB", *(f"dB above {a}" for a in ANCHORS)]
        parts += [[f"## {title}"], wrapped(_pictures(where, names[where])), table(heads, rows, "llrrrr")]
    notes = """
        bpp and PSNR: means over the pictures, from the lowest to the highest rate that was measured. *dB
        above*: PSNR above that codec's curve at the same rate, the mean over the points whose rate it has;
        minus is worse, - where it has none of these rates. Published curves are means over all 24 pictures
        of Kodak, and are compared with the two codecs on the same 24: the last two columns compare with the
        rows above, bpp and PSNR do not.
    """
    t, several = record["train"], any(len(w["trained"]) > 1 for w in record["weights"].values())
    chained = "; each further lambda begins with the weights of the one before" if several else ""
    trained = f"""
        Training: {t["batch"]} crops of {t["crop"]} pixels a step, Adam at {t["lr"]:g}, averaged
        weights{chained}. Lambdas and sizes:
        {"; ".join(_how(n, w) for n, w in record["weights"].items())}. Trained at {commits}.
    """
    failed = f" {len(record['failures'])} failures." if record["failures"] else ""
    parts += [wrapped(notes), wrapped(trained), *_made(record)]
    if shipped := record.get("shipped"):
        parts += [["The rows of our packs are of a later run, on the same pictures:"], *_made(shipped)]
    parts += [wrapped(f"{failed} Generated from `beside.json`.".strip())]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _told(systems: Mapping[str, str]) -> str:
    """For people."""
    return "; ".join(f"{family} (`{name}`)" for name, family in systems.items())


def _made(run: Mapping[str, Any]) -> list[list[str]]:
    """A command, and where it ran."""
    versions = ", ".join(f"{name} ({v})" for name, v in run["versions"].items())
    made = f"""
        At commit `{run["commit"]}` on {run["hardware"]["processor"]}, torch {run["libraries"]["torch"]},
        {run["finished"][:10]}; {versions}.
    """
    return [[f"    {run['command']}"], wrapped(made)]


def _pictures(where: str, names: Sequence[str]) -> str:
    told = ", ".join(name.removesuffix(".png") for name in names)
    return f"Middles, 768 x 512 pixels, of {told}." if where == "large" else f"{told}."


def _how(name: str, weights: Mapping[str, Any]) -> str:
    lambdas = " and ".join(f"{t['lambda']:g}" for t in weights["trained"])
    other = "".join(f", {key} {value}" for key, value in weights.get("train", {}).items())
    return f"{name} {lambdas}, {weights['config']}{other}"


def _measured(record: Mapping[str, Any], where: str) -> list[list[str]]:
    anchors = [means(record, a, where) for a in ANCHORS]
    rows = [_row(name, "", means(record, name, where), anchors) for name in CLASSICAL]
    versions = record.get("shipped", record)["versions"]
    for name in (name for name in SHIPPED if name in versions):
        pack = versions[name].rpartition("pack ")[2]
        rows.append(_row(name, f"pack {pack}", means(record, name, where), anchors))
    for name, weights in record["weights"].items():
        told = f"{name} ({FAMILIES[name]})"
        rows.append(_row(told, label(weights["trained"]), means(record, name, where), anchors))
    return rows


def _published() -> list[list[str]]:
    anchors = [_reference(name) for name in REFERENCE.values()]
    return [
        _row(f"{name} ({(FAMILIES | UNTRAINED)[name]})", f"published: `{curve}`", _reference(curve), anchors)
        for name, curve in PUBLISHED.items()
    ]


def _reference(name: str) -> Points:
    found = load_reference(name)
    return sorted(zip(found.bpp, found.metrics["psnr_rgb"], strict=True))


def _row(name: str, weights: str, points: Points, anchors: Sequence[Points]) -> list[str]:
    ends = [points[0], points[-1]] if len(points) > 1 else [points[0]]
    rates, values = (
        " .. ".join(form.format(e[i]) for e in ends) for i, form in ((0, "{:.3f}"), (1, "{:.2f}"))
    )
    told = ["-" if (value := above(points, a)) is None else f"{value:+.2f}" for a in anchors]
    return [name, weights, rates, values, *told]
