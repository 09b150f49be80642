"""Pairs with and without SWAtten: the same start, runs that go on, the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studies.tcm import __main__ as study
from studies.tcm.page import page

FOLDER = Path(__file__).parent
THIN = {"n": 8, "m": 12, "z": 8, "slices": 2, "inner": 16, "widths": [8, 8]}


def test_pairs_begin_alike() -> None:
    """Every weight that both have is the same; what only one has is SWAtten."""
    a, b = (study.build(3, attention=on, **THIN).state_dict() for on in (True, False))
    assert all(torch.equal(a[name], b[name]) for name in b)
    more = a.keys() - b.keys()
    assert more
    assert all(name.startswith(("mean_attention", "scale_attention")) for name in more)
    other = study.build(4, attention=True, **THIN).state_dict()
    assert any(not torch.equal(a[name], other[name]) for name in b)


@pytest.mark.slow
def test_training_goes_on_where_it_was(
    tmp_path: Path, photographs: Callable[[int, int, int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(study, "SEEDS", 1)
    photos, out = photographs(4, 128, 128), tmp_path / "out"
    assert not study.train([photos], out, 0.0, options=THIN, steps=1)
    assert not list(out.rglob("*.safetensors"))
    assert study.train([photos], out, float("inf"), options=THIN, steps=1)
    files = sorted(p.parent.name for p in out.rglob("model.safetensors"))
    assert files == ["with-0", "without-0"]
    assert not list(out.rglob("checkpoint.safetensors"))


def test_the_page_is_what_the_results_give(tmp_path: Path) -> None:
    record = json.loads((FOLDER / "results.json").read_text())
    assert (FOLDER / "results.md").read_text() == page(record)
    assert len(record["runs"]) == 2 * record["seeds"] >= 6
    assert all(min(f["input"]) == record["side"] for f in record["fields"])
    (tmp_path / "results.json").write_text(json.dumps(record))
    assert study.main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "results.md").read_text() == page(record)


def test_a_smaller_deviation_is_seen() -> None:
    """By the sign of the claim, and not by its opposite."""
    record = json.loads((FOLDER / "results.json").read_text())
    for by, told in ((-0.06, "*seen*"), (0.06, "*not seen*")):
        for r in record["runs"]:
            r["epsilon_s"] = (
                0.5 + 0.001 * r["seed"] + (by * (1 + 0.01 * r["seed"]) if r["kind"] == "with" else 0)
            )
        assert told in " ".join(page(record).split())
