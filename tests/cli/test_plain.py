"""``calotype decode PHOTO.calo`` goes a short way, and gives what the long one gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.golden import DATA

import calotype
from calotype.cli import plain

PHOTO = (DATA / "shipped" / "photo-eyes-odd.calo").read_bytes()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.calo").write_bytes(PHOTO)
    return tmp_path


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What the short way gives each time: None where the long one is gone."""
    found: list[int | None] = []
    decode = plain.decode
    monkeypatch.setattr(plain, "decode", lambda arguments: found.append(decode(arguments)) or found[-1])
    return found


def contents() -> dict[str, bytes]:
    """The files of the folder."""
    return {str(path): path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.calo"],
        ["a.calo", "b.png"],
        ["a.calo", "-f"],
        ["--force", "a.calo", "b.PNG"],
        ["a.calo", "--quiet"],
    ],
)
def test_both_ways_give_the_same(
    arguments: list[str], here: Path, run: Callable[..., Any], straight: list[int | None]
) -> None:
    made = contents()
    short = run("decode", *arguments)
    assert straight == [0]
    ((name, picture),) = contents().items() - made.items()
    Path(name).unlink()
    long = run("decode", *arguments, "--workers", 1)
    assert straight == [0, None]
    assert (long, picture) == (short, Path(name).read_bytes())


@pytest.mark.parametrize("kind", ["grey", "alpha", "both"])
def test_other_channels(
    kind: str, here: Path, run: Callable[..., Any], straight: list[int | None], make_scene: Any
) -> None:
    mode = {"grey": "L", "alpha": "RGBA", "both": "LA"}[kind]
    image = make_scene(150, 90).convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    calotype.save(image, "b.calo", quality=30)
    run("decode", "b.calo", "short.png")
    run("decode", "b.calo", "long.png", "--workers", 1)
    assert straight == [0, None]
    assert Path("short.png").read_bytes() == Path("long.png").read_bytes()


def refused(*arguments: str) -> bool:
    before = contents()
    status = plain.decode(list(arguments))
    return status is None and before == contents()


@pytest.mark.parametrize(
    "line",
    [
        "", "-", "--", "--help", "missing.calo", "a.calo b.png c.png", "a.calo b.jpg", "a.calo -", "./a.calo",
        "a.calo folder", "a.calo folder.png", "folder.calo", "a.calo there.png", "there.calo",
        "there.png a.png", "*.calo", "a.calo b[1].png", "a.calo --json", "a.calo --region 0,0,8,8",
        "a.calo -o b.png", "broken.calo", "cut.calo", "empty.calo", "named.calo", "pixels.calo",
    ],
)  # fmt: skip
def test_what_is_not_plain_goes_the_long_way(line: str, here: Path, make_scene: Any) -> None:
    for name in ("folder", "folder.png", "folder.calo"):
        Path(name).mkdir()
    Path("there.png").touch()
    Path("there.calo").write_bytes(PHOTO)
    Path("broken.calo").write_bytes(PHOTO[:-9] + bytes(9))
    Path("cut.calo").write_bytes(PHOTO[:-9])
    Path("empty.calo").touch()
    image = make_scene(64, 64)
    calotype.save(image, "pixels.calo", lossless=True)
    image.info["xmp"] = b"<x/>"
    calotype.save(image, "named.calo", quality=10)
    assert refused(*line.split())


def test_large_pictures_and_packs_of_others_go_the_long_way(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plain, "LARGEST", 1000)
        assert refused("a.calo")
    with monkeypatch.context() as patch:
        patch.setattr(plain, "PACKS", str(here))
        assert refused("a.calo")
    monkeypatch.setenv("CALOTYPE_PACKS", str(here))
    assert refused("a.calo")


def test_a_folder_that_is_missing_is_named(
    here: Path, run: Callable[..., Any], straight: list[int | None]
) -> None:
    complaint = run("decode", "a.calo", "no/b.png").complaint
    assert complaint == run("decode", "a.calo", "no/b.png", "--workers", 1).complaint
    assert complaint.startswith("no/b.png: ")
    assert len(straight) == 1  # the first ended in an error
