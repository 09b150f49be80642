"""``calotype desktop``: what it installs is what the desktop's own programs understand, and goes again."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from calotype.cli import COMMANDS, LATE_COMMANDS, desktop

Run = Callable[..., Any]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a Linux desktop")


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is empty, and the only one."""
    folder = tmp_path / "data home"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


def needs(program: str) -> Any:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_installs_and_removes(run: Run, home: Path) -> None:
    home.mkdir()
    assert run("desktop", "--install").status == 0
    assert set(desktop.files("")) <= everything(home)
    assert run("desktop", "--install", "--user").status == 0  # renews
    assert run("desktop", "--uninstall").status == 0
    assert not set(desktop.files("")) & everything(home)
    assert run("desktop", "--uninstall").status == 0


def test_a_relative_data_home_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "share")
    assert desktop.data_home() == tmp_path / ".local" / "share"


def test_what_goes_wrong_leaves_the_folder_as_it_was(run: Run, home: Path) -> None:
    (home / "mime" / "packages").mkdir(parents=True)
    (home / "mime" / "packages" / "calotype.xml").write_text("mine")
    (home / "thumbnailers").write_text("a file where a folder belongs")
    done = run("desktop", "--install")
    assert done.status == 1
    assert "thumbnailers" in done.err
    assert done.err.count("\n") == 1
    assert everything(home) == {"mime/packages/calotype.xml", "thumbnailers"}
    assert (home / "mime" / "packages" / "calotype.xml").read_text() == "mine"


def test_wrong_usage(run: Run) -> None:
    for words in ([], ["--install", "--uninstall"], ["--install", "--user", "--system"]):
        assert run("desktop", *words).status == 2


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/usr/bin/calotype", "/usr/bin/calotype"),
        ("/home/a b/calotype", '"/home/a b/calotype"'),
        ("/home/50%/calotype", '"/home/50%%/calotype"'),
        ('/home/"$x/c', '"/home/\\\\"\\\\$x/c"'),
    ],
)
def test_paths_as_words_of_a_desktop_file(path: str, word: str) -> None:
    assert desktop.quoted(path) == word


def test_a_path_with_a_line_feed_is_refused() -> None:
    with pytest.raises(desktop.DesktopError):
        desktop.quoted("/home/a\nExec=/bin/sh")


def test_the_commands_that_are_named_exist() -> None:
    for place, text in desktop.files("calotype").items():
        if place.endswith((".desktop", ".thumbnailer")):
            line = next(line for line in text.splitlines() if line.startswith("Exec="))
            assert line.split()[1] in {**COMMANDS, **LATE_COMMANDS}


@needs("update-mime-database")
@needs("gio")
def test_the_type_is_known_by_name_and_by_content(run: Run, home: Path, make_scene: Any) -> None:
    make_scene(64, 48).save("photo.calo")
    shutil.copy("photo.calo", "nameless")
    Path("other").write_bytes(b"\xcaLX" + bytes(40))
    run("desktop", "--install")
    env = {**os.environ, "XDG_DATA_DIRS": "/usr/local/share:/usr/share"}
    for name, expected in (("photo.calo", True), ("nameless", True), ("other", False)):
        line = ["gio", "info", "-a", "standard::content-type", name]
        told = subprocess.run(line, capture_output=True, text=True, env=env, check=True).stdout
        assert ("image/x-calotype" in told) == expected, (name, told)


@needs("update-mime-database")
@needs("xdg-mime")
def test_xdg_mime_knows_the_type(run: Run, home: Path, make_scene: Any) -> None:
    make_scene(64, 48).save("photo.calo")
    run("desktop", "--install")
    line = ["xdg-mime", "query", "filetype", "photo.calo"]
    told = subprocess.run(line, capture_output=True, text=True, check=False).stdout
    assert told.strip() == "image/x-calotype"


@pytest.mark.parametrize("size", [(700, 420), (90, 60)])
def test_the_thumbnailer_makes_a_thumbnail(
    run: Run, home: Path, make_scene: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    """As a desktop does it: the line of the file, filled in; the output has no suffix and exists already."""
    source, target = tmp_path / "a photo.calo", tmp_path / "thumb.XYZ"
    picture = make_scene(*size)
    picture.getexif()[0x0112] = 6  # to be turned
    picture.save(source)
    target.touch()
    run("desktop", "--install")
    parsed = configparser.RawConfigParser()
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(home / "thumbnailers" / "calotype.thumbnailer")
    line = parsed["Thumbnailer Entry"]["Exec"]
    assert parsed["Thumbnailer Entry"]["MimeType"] == "image/x-calotype;"
    for mark, word in (("%i", f"'{source}'"), ("%o", f"'{target}'"), ("%s", "64")):
        line = line.replace(mark, word)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    with Image.open(target) as made:
        assert made.format == "PNG"
        assert max(made.size) == 64
        assert made.height > made.width  # upright


def test_a_size_takes_the_preview_where_that_is_enough(run: Run, make_scene: Any) -> None:
    make_scene(640, 400).save("photo.calo")
    assert run("decode", "photo.calo", "preview.png", "--preview").status == 0
    assert run("decode", "photo.calo", "same.png", "--size", "80").status == 0
    assert run("decode", "photo.calo", "larger.png", "--size", "100").status == 0
    assert run("decode", "photo.calo", "whole.png", "--size", "2000").status == 0
    with Image.open("preview.png") as preview, Image.open("same.png") as same:
        assert same.size == (80, 50)
        assert same.tobytes() == preview.tobytes()
    sizes = [Image.open(name).size for name in ("larger.png", "whole.png")]
    assert sizes == [(100, 63), (640, 400)]
    Path("junk.calo").write_bytes(b"junk")
    done = run("decode", "junk.calo", "junk.png", "--size", "64")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert run("decode", "photo.calo", "x.png", "--size", "0").status == 2
