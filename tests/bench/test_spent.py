"""What a pack from before spent on parts of its files is set beside today's at the same PSNR."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.bench.conftest import scene
from tests.bench.scripts import BENCHMARKS, script


def test_bits_at_the_same_psnr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spent = script("spent")
    Image.fromarray(scene(96, 128)).save(tmp_path / "scene.png")
    row = {"set": "some", "quality": 9, "psnr": 30.0, "bpp": 2.0, "z": 0.5, "means": 0.25}
    before = {"pack": "12345678", "rows": [row | {"picture": "scene"}, row | {"picture": "elsewhere"}]}
    (tmp_path / "before.json").write_text(json.dumps(before))
    (tmp_path / "page.md").write_text("<!-- benchmark:spent -->\n<!-- end -->\n")

    out = tmp_path / "spent.json"
    words = ["measure", "--before", str(tmp_path / "before.json"), str(tmp_path), "--out", str(out)]
    assert not spent.main(words)
    (found,) = json.loads(out.read_text())["rows"]
    assert found["picture"] == "scene"
    assert found["bpp"][0] == 2.0
    assert 0 < found["z"][1] + found["means"][1] < found["bpp"][1] < 2

    assert not spent.main(["table", str(out), str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text()
    assert "| some | 1 | 30.0 dB | 2.0000 to " in page
    assert "From pack 12345678 to pack " in page
