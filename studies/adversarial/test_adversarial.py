"""The page is what the stored results say, and a run stores what it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calotype.lab import registry
from studies.adversarial import __main__ as study
from studies.adversarial.__main__ import PAGE, PICTURES, RESULTS, SIZES, branched
from studies.adversarial.page import markdown

FOLDER = Path(__file__).parent


def test_the_page_is_what_the_results_give() -> None:
    record = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    shown = (FOLDER / PAGE).read_text(encoding="utf-8")
    assert shown == markdown(record), f"python -m studies.adversarial --out {FOLDER.name}"
    assert (FOLDER / PICTURES).exists()
    for run in record["runs"]:
        files = [row["bytes"] for row in run["decoders"]]
        assert all(row == files[0] for row in files)  # the rate is equal, to the byte
    assert shown.count("95 % intervals") == len(record["runs"][0]["decoders"]) - 1


def test_only_decoder_and_discriminator_go_on() -> None:
    torch.manual_seed(0)
    model = registry.build("mentzer2020-hific", **SIZES)
    twin = branched(model, 0.6)  # type: ignore[arg-type]
    learning = {name.split(".")[0] for name, p in twin.named_parameters() if p.requires_grad}
    assert learning == {"g_s", "discriminator"}
    assert twin.deceive
    assert not branched(model, 0.0).deceive  # type: ignore[arg-type]


@pytest.mark.slow
def test_some_steps(photographs: Callable[[int, int, int], Path], tmp_path: Path) -> None:
    photos, out = photographs(4, 140, 150), tmp_path / "out"
    given = ["--out", str(out), "--steps", "3", "--branch-steps", "3", "--crop", "64", "--batch", "1"]
    given += ["--held-out", "1", "--strengths", "0", "1", "--cache", str(tmp_path / "cache"), "--seeds", "2"]
    given += ["--branch-lr", "0.1"]  # so few steps are all of them within the warm-up
    assert study.main(["--data", str(photos), *given]) == 0
    text = (out / RESULTS).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    record = json.loads(text)
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    without, term = record["runs"][0]["decoders"]
    assert (without["strength"], term["strength"]) == (0, 1)
    assert without["bytes"] == term["bytes"]
    assert without["psnr"] != term["psnr"]
    assert record["runs"][0]["decoders"] != record["runs"][1]["decoders"]
    assert (out / PAGE).read_text(encoding="utf-8") == markdown(record)
