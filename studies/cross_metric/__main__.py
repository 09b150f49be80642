"""Codecs made for one metric, judged by all: the cross-metric table of the benchmark paper (Hu et al. 2021).

    calotype bench PICTURES --codecs calotype:photo-psnr,calotype:photo-eyes,avif-444-psnr,avif-444 \\
        --metrics basic,jpegai,eyes --timing 0 --pictures 0 --no-report --out runs/cross
    python -m studies.cross_metric.train --start CHECKPOINT --data PHOTOS --out runs/lab
    calotype bench PICTURES --codecs lab:runs/lab/weights/mse,lab:runs/lab/weights/ms-ssim \\
        --metrics basic,jpegai,eyes --timing 0 --pictures 0 --no-report --out runs/lab/bench
    python -m studies.cross_metric keep runs/cross/results.json runs/lab/bench/results.json \\
        --weights runs/lab --out studies/cross_metric
    calotype lab train balle2018-hyperprior --data PHOTOS --out runs/start2 --lambda 0.1 --set seed=1 ...
    python -m studies.cross_metric.train --start runs/start2/model.safetensors --seed 1 --data PHOTOS \\
        --out runs/lab2
    python -m studies.cross_metric add runs/lab2/bench/results.json --weights runs/lab2 \\
        --out studies/cross_metric                                    once more from another seed
    python -m studies.cross_metric report --out studies/cross_metric
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench.bdrate import Curve, bd_rate_per_image
from calotype.bench.metrics import EYES, JPEG_AI, METRICS
from calotype.records.markdown import table, wrapped
from calotype.records.provenance import shown
from calotype.records.script import by_points, guarded, made_of, parser_of, usable
from studies.cross_metric.train import KINDS, about
from studies.paired import effect

PAIRS = (
    ("calotype:photo-psnr", "calotype:photo-eyes", "calotype: eyes against PSNR"),
    ("avif-444-psnr", "avif-444", "AVIF: default tune against PSNR"),
)
"""Made for MSE; made for the eye; heading."""
TRAINED = ("lab:mse", "lab:ms-ssim")
"""The two trained here."""
SHORT = " (short training)"
"""What the benchmark adds to the names of such weights."""
JUDGES = ("psnr_rgb", "psnr_y", "ms_ssim", *JPEG_AI, *EYES)
RESULTS, PAGE = "results.json", "README.md"


def named(codec: str) -> str:
    """A codec's name in this study."""
    return codec.removesuffix(SHORT)


def kept(runs: Sequence[dict[str, Any]], training: dict[str, Any] | None) -> dict[str, Any]:
    """What is worth storing of some ``results.json`` of the benchmark, and how weights were trained.  Their
    quality is the multiplier that their file is called by.
    """
    codecs = {name for pair in (*PAIRS, TRAINED) for name in pair[:2]}
    points = []
    for run in runs:
        for m in (m for m in run["measurements"] if named(m["codec"]) in codecs):
            quality = m["quality"]
            if m["codec"].startswith("lab:"):
                unit = run["codecs"][m["codec"]]["quality_unit"]
                quality = float(dict(part.split(" = ") for part in unit.split(", "))[f"{quality:g}"])
            values = {k: float(f"{v:.6g}") for k, v in m["metrics"].items()}
            one = {"codec": named(m["codec"]), "image": m["image"], "quality": quality}
            points.append(one | {"bpp": round(m["bpp"], 5), **values})
    told = []
    for run in runs:
        versions = {n: c["version"] for n, c in sorted(run["codecs"].items()) if not n.startswith("lab:")}
        made = {k: run[k] for k in ("commit", "hardware", "libraries", "finished")}
        told.append({"command": shown(run["command"]), **made, "versions": versions})
    return {"runs": told, "trainings": [training] if training else [], "points": points}


def added(record: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """What is stored, with another training of the two trained here: its points say which it is."""
    points = [{**p, "training": len(record["trainings"])} for p in more["points"] if p["codec"] in TRAINED]
    if not (points and more["trainings"]):
        raise ValueError("nothing to add: neither weights nor runs of them")
    return {key: [*record[key], *more[key]] for key in ("runs", "trainings")} | {
        "points": [*record["points"], *points]
    }


def curves(record: dict[str, Any], codec: str, metric: str) -> dict[str, Curve]:
    """By picture."""
    found: dict[str, list[tuple[float, float]]] = {}
    for p in record["points"]:
        if p["codec"] == codec:
            found.setdefault(p["image"], []).append((p["bpp"], METRICS[metric].for_bd(p[metric])))
    return {image: Curve(*zip(*points)) for image, points in found.items()}


def judged(record: dict[str, Any], codecs: Sequence[str]) -> list[str]:
    """The metrics that all points of these codecs have."""
    points = [p for p in record["points"] if p["codec"] in codecs]
    return [metric for metric in JUDGES if all(metric in p for p in points)]


def page(record: dict[str, Any]) -> str:
    """The table, with the intervals over pictures."""
    pairs = [pair for pair in PAIRS if {pair[0], pair[1]} <= {p["codec"] for p in record["points"]}]
    there = judged(record, [name for pair in pairs for name in pair[:2]])
    rows = []
    for metric in there:
        cells = [METRICS[metric].label]
        for anchor, test, _ in pairs:
            rates = bd_rate_per_image(curves(record, anchor, metric), curves(record, test, metric))
            values = [bd.value for bd in rates.images.values() if math.isfinite(bd.value)]
            if len(values) < 2:
                cells += ["-", "-"]
                continue
            found = effect(values)
            verdict = "saves" if found.high < 0 else "costs" if found.low > 0 else "cannot be told"
            few = "" if len(values) == len(rates.images) else f", {len(values)} pictures"
            cells += [f"{found.told(1, ' %')}{few}", verdict]
        rows.append(cells)
    pictures = sorted({p["image"] for p in record["points"]})
    ladder = {p["quality"] for p in record["points"] if p["codec"] == PAIRS[0][0]}
    text = f"""
        Pairs of codecs that differ in what they were made for. BD-rate of the one made for the eye
        against the one made for MSE, judged by each metric: mean over {len(pictures)} pictures
        ({", ".join(pictures)}) and its 95 % interval, from real files at {len(ladder)}
        qualities. Minus: it needs fewer bits for the same quality as the metric sees it. *Saves*
        and *costs* are seen: 0 is outside the interval, on that side; where it is within, it *cannot be told
        at this budget*. Intervals are over pictures: of each codec of this table there is one
        training.
    """
    heads = ["judged by", *(h for _, _, told in pairs for h in (told, ""))]
    told = f"""
        Our pack trained for SSIMULACRA2 is the better one by {_by(rows, 2, "saves")}, and the worse
        one by {_by(rows, 2, "costs")}; read the other way round, what was trained for MSE loses by
        all of the former. So a table by one metric says as much of what was trained for as of the codec, as
        the benchmark paper has it; the loss by PSNR is what a fair reading needs beside the gain.
    """
    lines = ["# Trained for one metric, judged by another", "", *wrapped(text), ""]
    lines += [*table(heads, rows, "l" + "rl" * len(pairs)), "", *wrapped(told), ""]
    if record["trainings"]:
        lines += [*trained(record, judged(record, TRAINED)), ""]
    absent = [METRICS[metric].label for metric in JUDGES if metric not in there]
    made = " ".join(_made(run) for run in record["runs"])
    made += (
        " `python -m studies.cross_metric keep` stores what is needed in results.json, of which this page "
    )
    made += "is generated."
    made += f" Not measured, for want of its program: {', '.join(absent)}." if absent else ""
    return "\n".join([*lines, *wrapped(made)]) + "\n"


def _by(rows: Sequence[Sequence[str]], column: int, verdict: str) -> str:
    return ", ".join(r[0] for r in rows if r[column] == verdict) or "no metric"


def differences(record: dict[str, Any], metric: str, training: int = 0) -> list[float]:
    """By picture: how much better the one trained for MS-SSIM is at the rates of the one trained for MSE, the
    mean over these.  Between its points it is linear in the logarithm of the rate.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for p in of_training(record, training):
        one = (math.log(p["bpp"]), METRICS[metric].for_bd(p[metric]))
        points.setdefault((p["codec"], p["image"]), []).append(one)
    found = []
    for image in sorted({image for _, image in points}):
        rates, values = zip(*sorted(points[TRAINED[1], image]))
        inside = [
            float(np.interp(rate, rates, values)) - value
            for rate, value in points[TRAINED[0], image]
            if rates[0] <= rate <= rates[-1]
        ]
        if inside:
            found.append(statistics.fmean(inside))
    return found


def of_training(record: dict[str, Any], training: int) -> list[dict[str, Any]]:
    """The points of the two trained here."""
    return [p for p in record["points"] if p["codec"] in TRAINED and p.get("training", 0) == training]


def trained(record: dict[str, Any], there: Sequence[str]) -> list[str]:
    """The part of the page on the two trained here."""
    trainings, rows, alone = record["trainings"], [], list[str]()
    for metric in there:
        found = [effect(differences(record, metric, k)) for k in range(len(trainings))]
        told = [one.told(3 if abs(one.mean) < 0.1 else 2) for one in found]
        better, worse = ([one.points(sign) == "seen" for one in found] for sign in (1, -1))
        verdict = "better" if all(better) else "worse" if all(worse) else "cannot be told"
        rows.append([METRICS[metric].label, *told, verdict])
        if verdict == "cannot be told" and any(better + worse):
            alone.append(METRICS[metric].label)
    runs = [run for training in trainings for run in training["runs"]]
    training, one = trainings[0], runs[0]
    t = training["train"]
    lams = [sorted({run["lambda"] for run in runs if run["kind"] == kind}) for kind in KINDS]
    by_kind = [", ".join(f"{lam:g}" for lam in of) for of in lams]
    commits = ", ".join(f"`{c}`" for c in sorted({str(run["commit"]) for run in runs}))
    ranges = []
    for name, of in zip(TRAINED, lams):
        rates = [
            statistics.fmean(p["bpp"] for p in points if (p["codec"], p["quality"]) == (name, lam))
            for points in (of_training(record, k) for k in range(len(trainings)))
            for lam in of
        ]
        ranges.append(f"{min(rates):.3f} to {max(rates):.3f}")
    seeds = ", ".join(str(training.get("seed", 0)) for training in trainings)
    times = "once" if len(trainings) == 1 else f"{len(trainings)} times, each from a start of its own"
    starts = "".join(f" The start of seed {x['seed']}: `{x['start']}`." for x in trainings if "start" in x)
    about = f"""
        {training["system"]} ({training["config"]}), {one["start steps"]} steps for MSE, and from there, for
        each multiplier and each of MSE ({by_kind[0]}) and MS-SSIM ({by_kind[1]}), {one["steps"]} steps of
        {t["batch"]} crops of {t["crop"]} pixels at {t["lr"]:g}, the same crops and noise; averaged weights,
        trained {times} (seed {seeds}), at {commits}. After so few steps the rates of MSE lie close together
        ({ranges[0]} bpp, those of MS-SSIM {ranges[1]}): too close for a BD-rate. So qualities are compared at
        the rates of MSE.{starts}
    """
    chance = f" By one training alone more would have been seen: {', '.join(alone)}." if alone else ""
    told = f"""
        Difference of the one trained for MS-SSIM at equal rate, in the units of BD-rates (MS-SSIM in dB; of
        distances the negative): mean and 95 % interval over {len(differences(record, there[0]))} pictures;
        plus is better. *Better* and *worse* are seen: 0 is outside the interval, on that side, in every
        training; else it *cannot be told at this budget*.{chance} Minutes of
        training show which way a loss pulls, not by how much after weeks.
    """
    heads = ["judged by", *(f"MS-SSIM against MSE, seed {seed}" for seed in seeds.split(", ")), ""]
    align = "l" + "r" * len(trainings) + "l"
    return ["## Trained here", "", *wrapped(about), "", *table(heads, rows, align), "", *wrapped(told)]


def _made(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} ({v})" for name, v in run["versions"].items())
    told = f"`{run['command']}` at commit `{run['commit']}` on {run['hardware']['processor']}"
    return f"Made by {told}{'; ' if versions else ''}{versions}."


@guarded
def main(arguments: Sequence[str] | None = None) -> None:
    """Store what is needed of a run, or make the page again."""
    parser = parser_of(__file__, __doc__)
    parser.add_argument("part", choices=("keep", "add", "report"))
    parser.add_argument("runs", nargs="*", type=Path, help="results.json of calotype bench, to keep or add")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="what studies.cross_metric.train made")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    given = parser.parse_args(arguments)
    usable(given.out)
    if given.part != "report":
        if not given.runs:
            parser.error("results.json of a run is needed")
        runs = [made_of(run, dict) for run in given.runs]
        record = kept(runs, about(given.weights) if given.weights else None)
        if given.part == "add":
            record = made_of(given.out / RESULTS, partial(added, more=record))
        (given.out / RESULTS).write_text(by_points(record))
    (given.out / PAGE).write_text(made_of(given.out / RESULTS, page))


if __name__ == "__main__":
    sys.exit(main())
