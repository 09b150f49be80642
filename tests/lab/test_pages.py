"""Pages under docs/results are what their stored results give."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from calotype.lab.analysis import page as analyses

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def stored(folder: str, name: str) -> Any:
    path = RESULTS / folder / name
    if not path.is_file():
        pytest.skip("documents are not here")
    return json.loads(path.read_text(encoding="utf-8"))


def test_ideas_tried_in_the_product() -> None:
    ideas, record = script("product_ideas"), stored("product-ideas", "ideas.json")
    assert (RESULTS / "product-ideas" / "README.md").read_text(encoding="utf-8") == ideas.page(record)


def test_a_gain_is_the_bd_rate_of_the_curves() -> None:
    """10 % fewer bits at equal PSNR, beside 1 % of chance."""
    ideas = script("product_ideas")

    def run(factor: float) -> dict[str, Any]:
        return {"validation": {"bpp": [factor * b for b in (0.1, 0.2, 0.4)], "psnr": [30.0, 33.0, 36.0]}}

    runs = {"a": run(1.0), "b": run(0.9), "c": run(1.01)}
    assert ideas.gain({"run": "b", "against": "a"}, runs) == "`b`: BD-rate -10.00 %"
    text = ideas.gain({"run": "b", "against": "a", "chance": "c"}, runs)
    assert text == "`b`: BD-rate -10.00 % (the same run with other crops: +1.00 %)"
    runs["b"]["transform_time"] = 1.25
    assert ideas.gain({"run": "b", "against": "a"}, runs).endswith("%, 1.25 times the transform's CPU time")
    assert ideas.gain({"gain": "much"}, runs) == "much"


def test_ablation_of_decoders() -> None:
    ablation, record = script("jpegai_ablation"), stored("jpegai-ablation", "results.json")
    assert (RESULTS / "jpegai-ablation" / "README.md").read_text(encoding="utf-8") == ablation.page(record)
    again = ablation.summary(record["points"], record["metrics"])
    assert again == record["summary"]


def test_analyses(tmp_path: Path) -> None:
    folder = RESULTS / "analysis"
    stored("analysis", "about.json")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == analyses.page(folder)
    for name in analyses.FIGURES:
        assert (folder / f"{name}.png").stat().st_size < 150_000
        assert f"({name}.png)" in text
