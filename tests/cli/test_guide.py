"""Every command and every Python example of docs/guide.md runs as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def _photos(tmp_path: Path, make_scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_scene(400, 260).save("photo.jpg")
    make_scene(400, 260).convert("L").save("mask.png")
    Path("photos").mkdir()
    make_scene(seed=1).save("photos/one.jpg")


@pytest.mark.usefixtures("_photos")
def test_commands(run: Run) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    assert len(lines) >= 9
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "calotype"
        if arguments == ["demo"]:
            arguments.append("photo.jpg")  # smaller than the bundled one
        if "--target-size" in arguments:
            arguments[arguments.index("40k")] = str(Path("photo.calo").stat().st_size)
        done = run(*arguments)
        assert (done.status, done.err) == (0, ""), line


@pytest.mark.usefixtures("_photos")
@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(number: int) -> None:
    code = blocks("python")[number]
    if "target_size" in code:
        from PIL import Image

        import calotype

        size = len(calotype.encode(Image.open("photo.jpg"), quality=50))
        code = code.replace("40_000", str(size))  # what this small picture can have
    exec(compile(code, "docs/guide.md", "exec"), {})
    assert Path("photo.calo").exists()
