"""A script's options, and what is wrong with its input: one line and exit status 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calotype.records.script import guarded, made_of, parser_of, run_as, usable


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @guarded
    def main(error: Exception | None) -> None:
        if error is not None:
            raise error

    assert main(None) == 0
    assert capsys.readouterr().err == ""
    assert main(ValueError("wrong\n  in two lines")) == 1
    assert capsys.readouterr().err == "test_script.py: wrong in two lines\n"
    assert main(FileNotFoundError(2, "No such file or directory", "a.json")) == 1
    assert capsys.readouterr().err == "test_script.py: a.json: no such file or directory\n"
    with pytest.raises(ZeroDivisionError):  # a mistake of ours is not hidden
        main(ZeroDivisionError())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "indices"),
        ("3", "subscriptable"),
        ('{"b": 1}', r"no 'a'"),
        ("\xff", "decode"),
    ],
)
def test_stored_results_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))

    def make(record: Any) -> Any:
        return record["a"]

    with pytest.raises(ValueError, match=rf"results\.json: cannot be used: .*{message}"):
        made_of(path, make)
    path.write_text('{"a": 7}')
    assert made_of(path, make) == 7


def test_how_a_module_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "outer" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    for file, run in (
        (package / "one.py", "python -m outer.inner.one"),
        (package / "__main__.py", "python -m outer.inner"),
        (tmp_path / "script.py", f"python {tmp_path.name}/script.py"),
    ):
        parser = parser_of(str(file), "What it does.\n\n    as written", epilog="and more")
        parser.add_argument("--pictures")
        assert run_as(str(file), ["--pictures", "a b"]) == [*run.split(), "--pictures", "a b"]
        with pytest.raises(SystemExit):
            parser.parse_args(["--help"])
        told = capsys.readouterr().out
        assert told.startswith(f"usage: {run} [-h]")
        assert "\nWhat it does.\n\n    as written\n" in told
        assert told.endswith("\nand more\n")
    with pytest.raises(SystemExit):
        parser.parse_args(["--pict", "a"])


def test_folders_for_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    usable(Path("new"))
    usable(tmp_path / "new" / "deeper")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    for taken in (Path("file"), Path("file") / "deeper", tmp_path / "file"):
        with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
            usable(taken)
