"""The page of blind choices holds the pairs of a run, without loss, and nothing from outside."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calotype.bench import results
from calotype.bench.errors import BenchError
from calotype.bench.report import blind
from calotype.bench.runner import Settings, run
from calotype.cli import main

from .conftest import in_this_process, scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("blind")
    for name, seed in (("a", 1), ("b", 2)):
        Image.fromarray(scene(96, 128, seed)).save(base / f"{name}.png")
    ladder = {"jpeg-420": (10, 50, 90), "webp": (10, 50, 90)}
    wanted = {"metrics": ("psnr_rgb",), "picture_bpp": (0.5, 1.0), "timing_images": 0, "workers": 1}
    settings = Settings(out=base / "run", codecs=tuple(ladder), qualities=ladder, **wanted)
    with in_this_process():
        run([base / "a.png", base / "b.png"], settings)
    return base / "run"


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def test_every_pair_is_in_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "blind", str(folder), "webp", "jpeg-420"]) == 0
    assert blind.NAME in capsys.readouterr().out
    text = (folder / blind.NAME).read_text("utf-8")
    assert not re.search(r"https?:", text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [(p["image"], p["wanted"]) for p in data["pairs"]] == [
        (image, bpp) for image in ("a.png", "b.png") for bpp in (0.5, 1.0)
    ]
    stored = {(p["codec"], p["image"], p["wanted_bpp"]): p for p in results.read(folder)["pictures"]}
    for pair in data["pairs"]:
        assert [side["codec"] for side in pair["sides"]] == ["webp", "jpeg-420"]
        for side in pair["sides"]:
            file = stored[side["codec"], pair["image"], pair["wanted"]]["file"]
            np.testing.assert_array_equal(
                pixels(side["src"]), np.asarray(Image.open(folder / file).convert("RGB"))
            )
    np.testing.assert_array_equal(pixels(data["originals"]["a.png"]), scene(96, 128, 1))


def test_the_middle_is_shown(folder: Path) -> None:
    text = blind.build(folder, ("webp", "jpeg-420"), (64, 32)).read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    np.testing.assert_array_equal(pixels(data["originals"]["a.png"]), scene(96, 128, 1)[32:64, 32:96])


VISIT = Path(__file__).with_name("visit_blind.js")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_visitor_is_told_how_he_voted(folder: Path) -> None:
    """The page's own script, on elements that only remember what they are given."""
    path = blind.build(folder, ("webp", "jpeg-420"))
    done = subprocess.run(["node", str(VISIT), str(path)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["shown"] == [True] * 4
    assert told["hidden"] is False
    assert told["rows"] == [
        ["rate", "webp", "jpeg-420", "no difference"],
        ["0.5 bpp", 2, 0, 0],
        ["1 bpp", 0, 0, 2],
        ["all", 2, 0, 2],
    ]
    assert "50.0 %" in told["chance"]


def test_at_most_so_many_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "blind", str(folder), "webp", "jpeg-420", "--pairs", "3"]) == 0
    text = (folder / blind.NAME).read_text("utf-8")
    pairs = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])["pairs"]
    assert [(p["image"], p["wanted"]) for p in pairs] == [("a.png", 0.5), ("a.png", 1.0), ("b.png", 0.5)]
    assert main(["bench", "blind", str(folder), "webp", "jpeg-420", "--pairs", "0"]) == 2
    assert "--pairs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codecs", "complaint"),
    [(("webp", "avif-444"), "avif-444 is not among"), (("webp", "webp"), "two different codecs")],
)
def test_what_it_refuses(folder: Path, codecs: tuple[str, str], complaint: str) -> None:
    with pytest.raises(BenchError, match=complaint):
        blind.build(folder, codecs)


def test_a_run_without_pictures(folder: Path, tmp_path: Path) -> None:
    found = results.read(folder)
    (tmp_path / results.NAME).write_text(json.dumps({**found, "pictures": []}))
    with pytest.raises(BenchError, match="--pictures"):
        blind.build(tmp_path, ("webp", "jpeg-420"))
    (tmp_path / results.NAME).write_text(json.dumps(found))
    with pytest.raises(BenchError, match="cannot be read"):
        blind.build(tmp_path, ("webp", "jpeg-420"))
