"""Commands of the analyses: figures, numbers, and what they say of mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab import registry
from calotype.lab.checkpoint import save_checkpoint
from studies.analysis.__main__ import main
from studies.inside.specimens import synthetic

THIN_TCM = "liu2023-tcm-small:n=8,m=20,z=8,inner=16,widths=[8,8]"
THIN_MEAN_SCALE = "minnen2018-mean-scale:n=8,m=12"
THIN_CALOTYPE = (
    "calotype:latents=24,width=16,narrow=8,narrow16=8,wide16=8,render=8,"
    "analysis_blocks=[1,1],synthesis_blocks=[1,1]"
)


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    result: dict[str, Any] = json.loads((tmp_path / f"{arguments[0]}.json").read_text())
    assert result["libraries"]["torch"] == torch.__version__
    assert result["command"].startswith(f"python -m studies.analysis {arguments[0]} ")
    return result


def is_drawing(path: Path) -> bool:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return float(np.asarray(image.convert("L")).std()) > 5


def test_erf_command(tmp_path: Path) -> None:
    found = run(tmp_path, "erf", THIN_TCM, THIN_TCM + ",blocks=conv", "--size", "128", "--position", "4,4")
    assert [m["model"] for m in found["models"]] == [THIN_TCM, THIN_TCM + ",blocks=conv"]
    assert found["thresholds"] == [0.01, 0.0001]
    assert set(found["models"][0]["extent"]) == {"0.01", "0.0001"}
    assert is_drawing(tmp_path / "erf.png")


def test_a_field_that_goes_on_beyond_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A latent of Cheng's sees 115 pixels at most: a part of 64 cuts that off, one of 192 does not."""
    name = "cheng2020-hyperprior:n=8"
    found = run(tmp_path, "erf", name, "--size", "64", "--numbers-only")
    assert found["models"][0]["cut"]["0.0001"]
    told = capsys.readouterr().err
    assert told.startswith(f"studies.analysis: warning: {name}: above 0.0")
    assert "0.0001 the field reaches the edge of the 64 x 64 pixels looked at" in told
    assert told.count("\n") == 1
    found = run(tmp_path, "erf", name, "--size", "192", "--numbers-only")
    assert found["models"][0]["cut"] == {"0.01": False, "0.0001": False}
    assert not capsys.readouterr().err


@pytest.mark.slow
def test_deviation_command(tmp_path: Path) -> None:
    pixels = (synthetic(128)[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = run(tmp_path, "deviation", THIN_TCM, THIN_TCM + ",attention=False", "-p", str(tmp_path / "a.png"))
    first = found["models"][0]
    assert first["epsilon_s_literal"] == pytest.approx(20 * first["epsilon_s"])
    assert first["pictures"][0]["picture"] == "a.png"
    assert is_drawing(tmp_path / "deviation.png")


@pytest.mark.slow
def test_correlation_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, "correlation", "minnen2018-mean-scale:n=8,m=12", "--radius", "1")
    assert np.array(found["models"][0]["channels"]).shape == (12, 3, 3)
    assert "centre" in capsys.readouterr().out
    assert is_drawing(tmp_path / "correlation.png")
    assert is_drawing(tmp_path / "correlation-channels-1.png")


def test_the_product_model_by_name(tmp_path: Path) -> None:
    found = run(tmp_path, "correlation", THIN_CALOTYPE, "--level", "7", "--numbers-only")
    assert found["models"][0]["model"] == THIN_CALOTYPE
    assert len(found["models"][0]["channels"]) == 24


def test_numbers_only_draws_nothing(tmp_path: Path) -> None:
    run(tmp_path, "correlation", "minnen2018-mean-scale:n=8,m=12", "--numbers-only")
    assert [p.name for p in tmp_path.iterdir()] == ["correlation.json"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["erf", "no-such-model"], 1, "no model is called 'no-such-model'"),
        (["erf", "balle2017:n=8", "--position", "x"], 2, "ROW,COLUMN"),
        (["erf", "balle2017:n=8", "--half", "middle"], 2, "invalid choice"),
        (["erf", "balle2017:n=8", "--threshold", "2"], 2, "between 0 and 1"),
        (["erf", "balle2017:n=8", "--position", "99,0", "--size", "64"], 1, "outside the output"),
        (
            ["deviation", THIN_MEAN_SCALE, "balle2017:n=8"],
            1,
            "balle2017:n=8: this entropy model has no Gaussian",
        ),
        (["correlation", THIN_MEAN_SCALE, "balle2017:n=8"], 1, "Gaussian"),
        (["correlation"], 2, "MODEL"),
        (["deviation", THIN_MEAN_SCALE, "-p", "/nowhere/x.png"], 1, "/nowhere/x.png"),
        (["erf", "minnen2018-mean-scale:n=0"], 1, "n must be a whole number of at least 1, got 0"),
        (["erf", "calotype:width=abc"], 1, "width must be a whole number of at least 1, got 'abc'"),
        (["erf", "calotype:foo=1"], 1, "unknown option 'foo'"),
        (["erf", "balle2017:n=8", "--size", "100000"], 2, "4096"),
        (["erf", "balle2017:n=8", "--level", "3"], 1, "no quality levels"),
        (["correlation", THIN_CALOTYPE, "--level", "99"], 1, "within 0 .. 7, got 99"),
        (["correlation", THIN_MEAN_SCALE, "--radius", "40"], 1, "too large for the 16 x 16 latents"),
        (["correlation", THIN_MEAN_SCALE, "--radius", "900"], 1, "at most 15"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found: Any = main([*arguments, "-o", str(tmp_path / "out")])
    except SystemExit as stop:  # wrong usage
        found = stop.code
    assert found == status
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("analysis", ["erf", "deviation", "correlation"])
def test_a_file_is_no_folder_for_results(
    analysis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("text")
    assert main([analysis, "balle2017:n=8", "-o", str(tmp_path / "README.md")]) == 1
    assert capsys.readouterr().err == f"studies.analysis: {tmp_path / 'README.md'}: is a file, not a folder\n"


def test_what_was_measured_stays_when_another_model_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = registry.build("minnen2018-mean-scale", n=8, m=12)
    with torch.no_grad():
        for p in still.g_a.parameters():
            p.zero_()
    save_checkpoint(tmp_path / "still.safetensors", still)
    words = ["deviation", THIN_MEAN_SCALE, str(tmp_path / "still.safetensors"), "-o", str(tmp_path)]
    assert main(words) == 1
    told = capsys.readouterr()
    assert "still, synthetic: all latents are zero" in told.err
    assert told.out.startswith(f"{THIN_MEAN_SCALE}: epsilon_s ")
    stored = json.loads((tmp_path / "deviation.json").read_text())
    assert [m["model"] for m in stored["models"]] == [THIN_MEAN_SCALE]
