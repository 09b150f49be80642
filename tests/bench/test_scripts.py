"""The scripts in benchmarks say what is wrong with their input in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.conftest import scene
from tests.bench.scripts import script

from calotype.bench import codecs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("effort", ["table", "nowhere.json", "page.md"], "nowhere.json: no such file or directory"),
        (
            "effort",
            ["table", "bad/results.json", "page.md"],
            "bad/results.json: cannot be used: no 'files'",
        ),
        (
            "sheet",
            ["nowhere", "--out", "sheet"],
            "nowhere/large/clic25_0369d229ba4c.png: no such file or directory",
        ),
        ("codec", ["nowhere.jpg"], "nowhere.jpg: no such file or directory"),
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
    (tmp_path / "bad" / "results.json").write_text('{"metrics": []}')
    monkeypatch.chdir(tmp_path)
    assert script(name).main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"{name}.py: ")
    assert message in told
    assert told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad"]


def test_the_sheet_finds_the_size() -> None:
    """Codecs whose quality falls as its number rises, too."""
    sheet, image = script("sheet"), scene(120, 160)
    codec = codecs.get("webp")
    turned = type("Turned", (type(codec),), {"encode": lambda s, i, q: codec.encode(i, 100 - q)})()
    turned.qualities = tuple(100 - q for q in codec.qualities)
    for one in (codec, turned):
        size, decoded = sheet.made(one, image, 0.6)
        assert size == pytest.approx(0.6, rel=0.15)
        assert decoded.shape == image.shape
