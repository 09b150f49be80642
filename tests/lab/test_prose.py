"""The numbers in the prose of docs/lab-analysis.md are those of the stored results and of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from calotype.bench.bdrate import Curve, bd_rate
from calotype.lab import registry
from calotype.lab.analysis.complexity import kmacs_per_pixel, parameters
from calotype.lab.experiments.correlation_plan import HYPERPRIORS, PAPER, Budget, plan
from calotype.lab.experiments.correlation_report import LEAST
from calotype.lab.losses.correlation import MEAN_ALPHA, convert_alpha, products

from .test_tcm import SIZES

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "lab-analysis.md").read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())


def stored(name: str) -> Any:
    path = DOCS / "results" / name
    if not path.is_file():
        pytest.skip("results are not here")
    return json.loads(path.read_text(encoding="utf-8"))


def says(*phrases: str) -> None:
    missing = [phrase for phrase in phrases if phrase not in PROSE]
    assert not missing, f"docs/lab-analysis.md does not say {missing}"


def test_the_experiment() -> None:
    record = stored("correlation/results.json")
    budget, tables = Budget.from_dict(record["budget"]), record["tables"]
    pairs = {row["system"]: row for row in tables["hyperpriors"]}
    gain = {key: row["gain"] for key, row in pairs.items()}
    cheng, board, (chance,) = pairs["cheng"], pairs["cheng-checkerboard"], tables["chance"]
    lost = {k: r["correlation without"] - r["correlation with"] for k, r in pairs.items()}
    assert min(lost.values()) > 0
    assert max(lost, key=lost.__getitem__) == "cheng"
    assert max(pairs, key=lambda k: pairs[k]["correlation without"]) == "cheng"
    steps = budget.base + budget.config(True).steps
    planned = {row.key for row in plan(budget)}
    decibels = [p["mean"]["psnr"] for row in record["rows"].values() for p in row["points"]]
    apart = [
        abs(a["mean"]["psnr"] - b["mean"]["psnr"]) for a, b in (r["points"] for r in record["rows"].values())
    ]
    share = {row["system"]: row["share of autoregression's"] for row in tables["contexts"]}
    tried = {row["loss"].removeprefix("cheng+loss").strip(): row["gain"] for row in tables["ablation"]}

    def fell(row: dict[str, Any]) -> str:
        return f"from {row['over centre without']:.2f} to {row['over centre with']:.2f}"

    def part(key: str) -> str:
        return f"{share[key]:.0f} % (published {PAPER['share'][key]} %)"

    says(
        f"all {len(planned)} rows of the plan",
        f"{steps:,} steps for each rate, {min(decibels):.0f} to {max(decibels):.0f} dB",
        f"at most {max(apart):.1f} dB apart",
        f"less than {LEAST} dB in common",
        f"({cheng['correlation without']:.2f} to {cheng['correlation with']:.2f})",
        f"falls from {cheng['centre without']:.1f} to {cheng['centre with']:.1f}",
        f"the correlation falls {fell(cheng)}; with other crops and noise only {fell(chance)}",
        f"the checkerboard's rises {fell(board)}",
        f"gains {gain['cheng']:.1f} % (published {PAPER['gain']['cheng']} %)",
        f"with other crops and noise {chance['gain']:.1f} %",
        f"Mean-scale loses {-gain['mean-scale']:.1f} %, Swin-T gains nothing",
        f"channel slices lose {-gain['cheng-charm']:.1f} %",
        f"gain more ({tried['alpha x 10']:.0f} and {tried['window 5']:.0f} %)",
        f"mask `cross` ({tried['mask cross']:.0f} %)",
        f"the whole mask ({tried['mask diagonal']:.0f} and {tried['mask causal']:.0f} %)",
        f"stopped gradient less ({tried['stop-gradient']:.1f} %)",
        f"the hyperprior with the loss has {part('cheng+loss')}",
        f"the checkerboard {part('cheng-checkerboard+loss')}".replace("published ", ""),
        f"channel slices {part('cheng-charm+loss')}".replace("published ", ""),
        f"trained twice differs by {chance['without, against the first seed']:.0f} %",
    )
    assert set(record["rows"]) >= planned
    assert set(HYPERPRIORS) <= set(pairs)
    assert abs(gain["swin"]) < 0.1
    assert abs(tried["alpha x 0.1"]) < 1
    assert abs(tried["mask causal"] - gain["cheng"]) < 2
    assert gain["cheng-checkerboard"] is None


def test_speeds() -> None:
    record = stored("correlation/results.json")["speed"]
    assert record["widths"] == "paper"
    latents = {row["system"]: row["latents"] for row in record["systems"]}
    fronts = latents["cheng-autoregressive"]
    (serial,) = (row["one by one"] for row in record["systems"] if "one by one" in row)
    one, board = latents["cheng"], latents["cheng-checkerboard"]
    says(
        f"decodes {serial / one:.0f} times and the checkerboard {serial / board:.0f} times as fast",
        f"{fronts / one:.2g} and {fronts / board:.2g} times as fast as ours in wavefronts",
        "are five times *slower* than autoregression",
    )
    assert round(latents["cheng-charm"] / serial) == 5


def test_cost_and_the_product() -> None:
    models = stored("correlation-loss-cost.json")["models"]
    percent = {name: cost["percent"] for name, cost in models.items()}
    assert percent.pop("calotype") < 2
    assert max(percent.values()) < 0.5
    says("below 0.5 % for the published systems, below 2 % for the product's model")
    runs = stored("product-ideas/ideas.json")["runs"]
    fell = [
        100 * (1 - after[where] / before[where])
        for before, after in zip(
            runs["joint, as it is"]["neighbours"], runs["correlation loss"]["neighbours"], strict=True
        )
        for where in ("above and below", "beside")
    ]
    says(f"correlation of neighbours above, below and beside by {min(fell):.0f} to {max(fell):.0f} %")


def test_whose_ideas_are_at_work() -> None:
    """The gains in docs/training.md are those of the stored trials."""
    record = stored("product-ideas/ideas.json")
    runs, ideas = record["runs"], {idea.get("run"): idea for idea in record["ideas"]}
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    for name, said in {
        "transposed convolution": "transposed convolution",
        "gated activation": "gates",
    }.items():
        anchor, test = (runs[key]["validation"] for key in (ideas[name]["against"], name))
        rate = bd_rate(*(Curve(curve["bpp"], curve["psnr"]) for curve in (anchor, test))).value
        assert f"{said} instead: {rate:+.2f} %" in text
    assert f"{runs['gated activation']['transform_time']} times the CPU time of the synthesis" in text
    for name in ("correlation loss", "channel gate", "TCM encoder", "finishing filter", "SOAP", "Muon"):
        assert ideas[name]["verdict"].startswith("dropped"), (
            f"{name}: docs/training.md says that it was dropped"
        )


def test_reach() -> None:
    models = stored("analysis/erf.json")["models"]
    wide = {m["model"]: m["extent"]["0.0001"] for m in models}
    side = {name: e["rows"][1] - e["rows"][0] + 1 for name, e in wide.items()}
    assert round(side["swin"] / side["conv"]) == round(side["tcm"] / side["conv"]) == 2
    says("windows reach twice as far as convolutions, per side, above 0.0001")


def test_alpha() -> None:
    alpha = convert_alpha(1e-13, products((16, 192, 16, 16)))
    says(f"{alpha:.4f} for 16 crops of 256 x 256 with 192 latents", f"{MEAN_ALPHA} for `mean`")


def test_sizes_and_costs() -> None:
    """The table of systems; the sizes of TCM are those that `test_tcm` counts."""
    rows = dict(re.findall(r"^\| `((?:liu|zhu)[^`]+)` \|[^|]*\|(.*)\|$", TEXT, re.M))
    for size, known in SIZES.items():
        row = rows.pop(f"liu2023-tcm-{size}")
        assert row.startswith(f" {known['all']:,} | {known['total']} | ")
        assert f"{known['layers']:,}" in row
    assert len(rows) == 2
    for name, row in rows.items():
        with torch.device("meta"):
            model = registry.build(name)
        assert row.startswith(f" {parameters(model):,} | {kmacs_per_pixel(model)['total']:.2f} | ")


def test_the_ablation_of_decoders() -> None:
    prose = " ".join((DOCS / "lab-jpegai.md").read_text(encoding="utf-8").split())
    lost = {name: row["average"] for name, row in stored("jpegai-ablation/results.json")["summary"].items()}
    for phrase in (
        f"Chance is {lost['baseline, again']:.1f} %",
        f"CS (+{lost['attention-cs']:.1f} %), DS (+{lost['attention-ds']:.1f} %)",
        f"the simplified activation (+{lost['activation']:.1f} %)",
        f"Only the shuffle's loss of {lost['shuffle']:.1f} %",
        f"the combination's of {lost['combination']:.1f} %",
    ):
        assert phrase in prose, phrase


def test_the_shipped_packs() -> None:
    """Minutes are those of every run that led to them; 30 between two runs were not clocked."""
    minutes = {p["id"][:8]: p["training"]["minutes"] for p in stored("packs/history.json")["packs"]}
    full_pace = sum(minutes[pack] for pack in ("0762fbdb", "0bfb6ac8", "76b65fc1")) + 30
    tuned = sum(minutes[pack] for pack in ("0e0a16fa", "a8a392b5", "1924e96c"))
    text = " ".join((DOCS / "results" / "README.md").read_text(encoding="utf-8").split())
    assert f"about {minutes['392bca0d'] + full_pace:.0f} minutes on one core" in text
    assert f"the last {full_pace:.0f} of them" in text
    assert f"{tuned:.0f} minutes of further training" in text
    products = stored("kodak/results.json")["codecs"]["calotype"]["complexity"]["kmac_per_pixel"]
    assert (
        f"{products['encode']:.1f} thousand multiplications per pixel, decoding {products['decode']:.1f}"
        in text
    )
