"""Usage errors, help, and what a command imports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import calotype

Run = Callable[..., Any]
Process = Callable[..., subprocess.CompletedProcess[bytes]]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["decode"],
        ["encode", "photo.png", "-q", "101"],
        ["encode", "photo.png", "-q", "good"],
        ["encode", "photo.png", "-q", "nan"],
        ["encode", "photo.png", "-q", "5", "--target-size", "40k"],
        ["encode", "photo.png", "--target-size", "0"],
        ["encode", "photo.png", "--target-size", "forty"],
        ["encode", "photo.png", "--target-ms-ssim", "1"],
        ["encode", "photo.png", "--target-ssimulacra2", "100"],
        ["encode", "photo.png", "--workers", "0"],
        ["encode", "photo.png", "--qual", "5"],
        ["encode", "photo.png", "-", "--json"],
        ["encode", "photo.png", "photo.png", "-o", "out.calo"],
        ["encode", "empty/"],
        ["decode", "photo.calo", "--region", "1,2,3"],
        ["decode", "photo.calo", "--region", "1,2,0,4"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_usage_is_status_2(
    run: Run, photo: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photo.parent)
    (photo.parent / "empty").mkdir()
    done = run(*arguments)
    assert done.status == 2
    assert "calotype" in done.err + done.out
    assert len(done.err.splitlines()) == (1 if arguments else 0)
    assert names(photo.parent) == ["photo.png"]


@pytest.mark.parametrize("command", ["encode", "decode", "probe", "compare", "demo"])
def test_help(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"usage: calotype {command}" in done.out
    assert command in run("--help").out


def test_version(run: Run) -> None:
    assert run("--version").out == f"calotype {calotype.__version__}\n"


def test_decoding_imports_nothing_heavy(process: Process, coded: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = process("decode", coded, tmp_path / "out.png", env=environment)
    assert done.returncode == 0
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.decode().splitlines()}
    assert "calotype._rans" in modules
    assert not modules & {
        "onnxruntime",
        "torch",
        "rich",
        "pydantic",
        "click",
        "matplotlib",
        "scipy",
        "calotype.codec.encoder",
    }
