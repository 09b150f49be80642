"""How the words of a command line become inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from calotype.cli.jobs import CALO_SUFFIX, PICTURE_SUFFIXES, Job, Plan, UsageError

ENCODE = Plan(PICTURE_SUFFIXES, CALO_SUFFIX, lambda path: path.endswith(".calo"))
DECODE = Plan(frozenset([CALO_SUFFIX]), ".png", lambda path: not path.endswith(".calo"))


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """a.png b.jpg x.calo y.calo photos/{c.png,d.txt,deep/e.webp} out/"""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.jpg", "x.calo", "y.calo", "photos/c.png", "photos/d.txt", "photos/deep/e.webp"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("out").mkdir()


def pairs(
    plan: Plan, *paths: str, output: str | None = None, recursive: bool = False
) -> list[tuple[str, str]]:
    return [(job.source, job.target) for job in plan.jobs(list(paths), output, recursive)]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a.png"], [("a.png", "a.calo")]),
        (["a.png", "z.calo"], [("a.png", "z.calo")]),
        (["a.png", "b.jpg"], [("a.png", "a.calo"), ("b.jpg", "b.calo")]),
        (["a.png", "out"], [("a.png", "out/a.calo")]),
        (["a.png", "b.jpg", "new/"], [("a.png", "new/a.calo"), ("b.jpg", "new/b.calo")]),
        (["photos"], [("photos/c.png", "photos/c.calo")]),
        (["photos", "new"], [("photos/c.png", "new/c.calo")]),
        (["*.png", "out"], [("a.png", "out/a.calo")]),
        (["a.png", "-"], [("a.png", "-")]),
        (["-"], [("-", "-")]),
        (["-", "z.calo"], [("-", "z.calo")]),
        (["-", "out"], [("-", "out/stdin.calo")]),
        (["x.calo"], [("x.calo", "x.calo")]),
        (["missing.png"], [("missing.png", "missing.calo")]),  # the reading complains
    ],
)
def test_encode(paths: list[str], expected: list[tuple[str, str]]) -> None:
    assert pairs(ENCODE, *paths) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x.calo"], [("x.calo", "x.png")]),
        (["x.calo", "y.calo"], [("x.calo", "x.png"), ("y.calo", "y.png")]),
        (["x.calo", "z.jpg"], [("x.calo", "z.jpg")]),
        (["x.calo", "y.calo", "out"], [("x.calo", "out/x.png"), ("y.calo", "out/y.png")]),
        (["*.calo"], [("x.calo", "x.png"), ("y.calo", "y.png")]),
        (["a.png"], [("a.png", "a.png")]),  # not a .calo file by its name, but it may be one
    ],
)
def test_decode(paths: list[str], expected: list[tuple[str, str]]) -> None:
    assert pairs(DECODE, *paths) == expected


def test_output_option() -> None:
    assert pairs(ENCODE, "a.png", output="thing.bin") == [("a.png", "thing.bin")]
    assert pairs(ENCODE, "a.png", "b.jpg", output="out") == [("a.png", "out/a.calo"), ("b.jpg", "out/b.calo")]


def test_recursion_keeps_the_tree() -> None:
    expected = [("photos/c.png", "new/c.calo"), ("photos/deep/e.webp", "new/deep/e.calo")]
    assert pairs(ENCODE, "photos", "new/", recursive=True) == expected


def test_only_an_output_folder_may_be_made() -> None:
    assert ENCODE.jobs(["a.png", "new/"], None, False) == [Job("a.png", "new/a.calo", makes_folders=True)]
    assert ENCODE.jobs(["a.png", "new/z.calo"], None, False) == [Job("a.png", "new/z.calo")]


def test_equal_names_are_kept_apart() -> None:
    Path("a.jpg").touch()
    assert pairs(ENCODE, "a.png", "a.jpg") == [("a.png", "a.png.calo"), ("a.jpg", "a.jpg.calo")]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a.png", "b.jpg", "z.calo"], "2 inputs cannot go into one file z.calo; name a folder: z.calo/"),
        (["a.png", "new"], "there is no new; to write into a new folder, say new/"),
        (["out"], "no pictures found in out"),
        (["*.bmp"], "no pictures found in"),
        (["photos/c.png", "photos", "out"], "two inputs would both be written to out/c.png.calo"),
        (["photos", "a.png", "-"], "2 inputs cannot go to standard output; name a folder, such as out/"),
    ],
)
def test_what_makes_no_sense(paths: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("*", r"\*")):
        ENCODE.jobs(paths, None, False)
