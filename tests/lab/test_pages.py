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


def test_analyses() -> None:
    folder = RESULTS / "analysis"
    stored("analysis", "about.json")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text == analyses.page(folder)
    for name in analyses.FIGURES:
        made = stored("analysis", f"{name}.json")
        assert made["commit"][:10] in text
        assert made["hardware"]["processor"] in text
        assert (folder / f"{name}.png").stat().st_size < 150_000
        assert f"({name}.png)" in text


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("product_ideas", ["nowhere"], "nowhere/ideas.json: no such file or directory"),
        ("product_ideas", ["bad"], "bad/ideas.json: cannot be used: Expecting"),
        ("jpegai_ablation", ["--stored", "nowhere"], "nowhere/results.json: no such file or directory"),
        ("jpegai_ablation", ["--stored", "bad"], "bad/results.json: cannot be used: no 'summary'"),
        ("jpegai_ablation", ["--data=a", "--images=b", "--out=bad/ideas.json"], "is a file, not a folder"),
        ("effort", ["table", "nowhere.json", "page.md"], "nowhere.json: no such file or directory"),
        (
            "precision",
            ["table", "bad/results.json", "page.md"],
            "bad/results.json: cannot be used: no 'rows'",
        ),
        ("sheet", ["nowhere", "--out", "sheet"], "nowhere/kodak/kodim04.png: no such file or directory"),
        ("codec", ["nowhere.jpg"], "nowhere.jpg: no such file or directory"),
        ("product_trials", ["--data", "nowhere", "--out", "out"], "nowhere: neither a folder nor a tar file"),
    ],
)
def test_scripts_say_what_is_wrong_in_one_line(
    name: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "ideas.json").write_text("{")
    (tmp_path / "bad" / "results.json").write_text('{"metrics": []}')
    monkeypatch.chdir(tmp_path)
    assert script(name).main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{name}.py: ")
    assert message in told
    assert told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad"]
