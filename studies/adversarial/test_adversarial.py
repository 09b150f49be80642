"""The page is what the stored results say, and a run stores what it should."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from calotype.lab import registry
from calotype.lab.adversarial import sharpness
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.models.base import LabModel
from studies.adversarial import __main__ as study
from studies.adversarial.__main__ import PAGE, RESULTS, SIZES, SYSTEM, branched, detail_of
from studies.adversarial.measure import PERIOD, off_grid
from studies.adversarial.page import markdown, verdicts

FOLDER = Path(__file__).parent
SMALL = "balle2018-hyperprior"


def test_the_page_is_what_the_results_give() -> None:
    records = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    shown = (FOLDER / PAGE).read_text(encoding="utf-8")
    assert shown == markdown(records), f"python -m studies.adversarial --out {FOLDER.name}"
    for name, record in records.items():
        assert (FOLDER / f"{name}.jpg").exists()
        for run in record["runs"]:
            files = [row["bytes"] for row in run["decoders"]]
            assert all(row == files[0] for row in files)  # the rate is equal, to the byte
    strengths = [row["strength"] for r in records.values() for row in r["runs"][0]["decoders"][1:]]
    assert shown.count("sharper at equal rate") == len(strengths)


def test_the_seed_that_was_looked_at_first_decides_nothing() -> None:
    """As the page says of the section of detail."""
    records = json.loads((FOLDER / RESULTS).read_text(encoding="utf-8"))
    (runs,) = [record["runs"] for record in records.values() if "detail" in record]
    said, without = ([re.findall(r"\*([a-z ]+)\*", line) for line in verdicts(of)] for of in (runs, runs[1:]))
    assert said == without == 2 * [["seen", "seen", "seen", "not seen"]]


def test_a_grid_adds_nothing_off_the_grid() -> None:
    """And detail, a blur and noise do what they should; `sharpness` tells a grid and detail not apart."""
    given = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 128, 128, generator=given, dtype=torch.float64)
    x[1] /= 2
    tile = torch.randn(2, 3, PERIOD, PERIOD, generator=given, dtype=torch.float64) / 4
    tile -= tile.mean((2, 3), keepdim=True)
    grid = tile.repeat(1, 1, 8, 8)
    slow = torch.sin(torch.pi * (torch.arange(128, dtype=torch.float64) + 0.5) / 128) ** 2
    for printed in (grid, grid * slow[:, None] * slow):
        assert (sharpness(x + printed) > 1.01 * sharpness(x)).all()
        strength, kept = off_grid(x, x + printed)
        assert torch.allclose(strength, torch.ones(2).double(), atol=2e-3)
        assert torch.allclose(kept, torch.ones(2).double(), atol=2e-3)
    strength, kept = off_grid(x, 0.5 * x)
    assert torch.allclose(strength, kept)
    assert strength[0] == pytest.approx(0.5)
    soft = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    assert all((value < 0.6).all() for value in off_grid(x, soft))
    strength, kept = off_grid(x, x + x.std() * torch.randn(x.shape, generator=given))
    assert (strength > 1.3).all()  # invented
    assert ((kept - 1).abs() < 0.2).all()


def test_detail_is_what_a_blur_takes_away() -> None:
    assert not detail_of(torch.full((1, 3, 32, 32), 0.7)).abs().gt(1e-6).any()
    fine = torch.ones(32, 32)
    fine[::2, ::2] = fine[1::2, 1::2] = -1
    assert torch.allclose(detail_of(fine[None, None]), fine, atol=0.05)


@pytest.mark.parametrize(("name", "detail"), [(SYSTEM, 0.0), (SMALL, 0.0), (SMALL, 4.0)])
def test_only_the_decoder_goes_on(name: str, detail: float) -> None:
    torch.manual_seed(0)
    start = registry.build(name, **(SIZES if name == SYSTEM else {"n": 8, "m": 8}))
    assert isinstance(start, LabModel)
    crops = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    twins = [
        branched(start, strength, lambda step: crops, 0, 2, 0.01, detail=detail)[0]
        for strength in (0.0, 0.0, 1.0)
    ]
    before, plain, again, term = (m.state_dict() for m in (start, *twins))
    for key, value in before.items():
        assert torch.equal(plain[key], again[key])
        if not key.startswith("g_s."):
            assert torch.equal(value, plain[key]), key
            assert torch.equal(value, term[key]), key
    decoder = [key for key in before if key.startswith("g_s.") and before[key].is_floating_point()]
    assert any(not torch.equal(before[key], plain[key]) for key in decoder)
    assert any(not torch.equal(term[key], plain[key]) for key in decoder)


def test_a_start_without_a_decoder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recurrent system's decoder is in its walk."""
    name, start = "toderici2016", tmp_path / "start.safetensors"
    model = registry.build(name, **registry.entry(name).thin)
    assert isinstance(model, LabModel)
    save_checkpoint(start, model)
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--start", str(start)]
    assert study.main(given) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"studies.adversarial: {start}: {name} has no decoder")
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_some_steps(photographs: Callable[[int, int, int], Path], tmp_path: Path) -> None:
    photos, out = photographs(4, 140, 150), tmp_path / "out"
    given = ["--data", str(photos), "--out", str(out), "--steps", "3", "--branch-steps", "3", "--batch", "1"]
    given += ["--held-out", "1", "--strengths", "0", "1", "--cache", str(tmp_path / "cache"), "--seeds", "2"]
    given += ["--branch-lr", "0.1"]  # so few steps are all of them within the warm-up
    assert study.main(given) == 0
    start = tmp_path / "start.safetensors"
    model = registry.build(SMALL, n=8, m=8)
    assert isinstance(model, LabModel)
    save_checkpoint(start, model, {"lambda": 0.1, "steps": 9, "commit": "c"})
    other = ["--start", str(start), "--detail", "4", "--name", "other"]
    assert study.main([*given, "--start", str(start)]) == 0
    assert study.main([*given, *other]) == 0
    text = (out / RESULTS).read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    records = json.loads(text)
    assert list(records) == [SYSTEM, SMALL, "other"]
    plain, shown = (records[name]["runs"][0]["decoders"] for name in (SMALL, "other"))
    assert plain[0] == shown[0]  # without the term nothing looks at it
    assert plain[1] != shown[1]
    assert records[SMALL]["start"]["steps"] == 9
    for record in records.values():
        assert [run["seed"] for run in record["runs"]] == [0, 1]
        without, term = record["runs"][0]["decoders"]
        assert (without["strength"], term["strength"]) == (0, 1)
        assert without["bytes"] == term["bytes"]
        assert without["psnr"] != term["psnr"]
        assert record["runs"][0]["decoders"] != record["runs"][1]["decoders"]
    assert (out / PAGE).read_text(encoding="utf-8") == markdown(records)
    assert study.main([*given, "--start", str(start), "--seeds", "3"]) == 0
    more = json.loads((out / RESULTS).read_text(encoding="utf-8"))
    assert more[SYSTEM] == records[SYSTEM]
    assert more[SMALL]["runs"][:2] == records[SMALL]["runs"]  # it went on
    assert [run["seed"] for run in more[SMALL]["runs"]] == [0, 1, 2]
    assert (out / f"{SMALL}.jpg").is_file()
    assert (out / "other.jpg").is_file()
