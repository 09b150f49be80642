"""The source tree as a whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 45_000_000
"""Machines that are lent for training take 64 MiB at a time, photographs included."""


def test_the_tree_stays_small() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    files = [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    assert len(files) > 100
    largest = sorted(files, key=lambda path: -path.stat().st_size)[:3]
    total = sum(path.stat().st_size for path in files)
    assert total < LIMIT, f"{total / 1e6:.1f} MB tracked; the largest: {', '.join(map(str, largest))}"
