"""The formulas give what the networks cost; the page is what the counts give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from calotype.lab.models.jpegai2023 import Design, JpegAI2023Synthesis
from studies.jpegai.account import OURS, RULES, Reading, bases, shortened
from studies.jpegai.account_page import page
from studies.jpegai.complexity import decoder_kmacs

ATTENTION = replace(OURS, shuffles=(), high="tam-ds")
EVERYTHING = Reading(128, 64, (64, 32), low="cab", high="tam", shuffles=(1, 2, 3, 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reading", "design"),
    [
        (OURS, Design(high="tam-cs", up="shuffle")),
        (ATTENTION, Design(high="tam-ds")),
        (EVERYTHING, Design("cab", "tam", up="shuffle-all")),
    ],
)
def test_formulas_give_what_networks_cost(reading: Reading, design: Design) -> None:
    with torch.device("meta"):
        for combination, wired in ((True, design), (False, Design())):
            model = JpegAI2023Synthesis(reading.luma, reading.chroma, reading.hidden, wired)
            counts, _ = decoder_kmacs(model, reading.luma + reading.chroma)
            for rule in RULES:
                assert reading.total(rule, combination) == pytest.approx(counts[rule], rel=1e-9), rule


def test_attention_alone_leaves_the_upsamplings() -> None:
    alone = OURS.total("exact", True, attention_only=True)
    assert alone == pytest.approx(replace(OURS, shuffles=()).total("exact", True))
    assert OURS.total("exact", True) < alone < OURS.total("exact", False)


def test_baselines_differ() -> None:
    found = list(bases())
    assert len(set(found)) == len(found)
    assert OURS in [replace(r, high=OURS.high) for r in found]


def test_the_page_is_what_the_counts_give() -> None:
    folder = Path(__file__).parent
    record = json.loads((folder / "account.json").read_text())
    assert (folder / "account.md").read_text() == page(record)
    for row, (branch, stage, _) in zip(record["stages"], OURS.stages(True), strict=True):
        assert (row["branch"], row["stage"]) == (branch, stage)
    total = sum(row["combination exact"] for row in record["stages"])
    assert total == pytest.approx(OURS.total("exact", True))
    for match in record["found"]:
        stored = match["reading"]
        reading = Reading(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})
        assert reading.total(match["rule"], True) == pytest.approx(match["combination"])
        assert reading.total(match["rule"], False) == pytest.approx(match["baseline"])


def test_the_nearest_are_kept() -> None:
    found = [{"saved": s} for s in (60.0, 75.2, 74.0)]
    short = shortened({"found": found})
    assert [f["saved"] for f in short["found"]] == [75.2, 74.0, 60.0]
    assert (short["matches"], short["both"]) == (3, 1)
