"""Several files at a time: what is said of them on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_files_are_counted_on_a_terminal(process: Any, tmp_path: Path, make_scene: Any) -> None:
    """On its last line, which is empty when all is done; for several files only, and for people only."""
    names = ["a.png", "b.png"]
    for name in names:
        make_scene().save(tmp_path / name)

    def said(*arguments: str) -> bytes:
        ours, theirs = os.openpty()
        line = [sys.executable, "-m", "calotype", "encode", "-f", *arguments]
        subprocess.run(line, cwd=tmp_path, stderr=theirs, stdout=subprocess.PIPE, check=True, timeout=120)
        os.write(theirs, b"the end")
        os.close(theirs)
        found = b""
        while not found.endswith(b"the end"):
            found += os.read(ours, 4096)
        os.close(ours)
        return found

    told = said(*names)
    assert told.startswith(b"\r0 of 2 files ")
    assert told.count(b"\r1 of 2 files, 0:0") == 1
    assert told.endswith(b"\r" + b" " * 60 + b"\rthe end")
    assert said(names[0]) == said("--quiet", *names) == said("--json", *names) == b"the end"
    done = process("encode", "-f", *names, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
