"""The source tree as a whole."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 45_000_000
"""Machines that are lent for training take 64 MiB at a time, photographs included."""
UNDECIDED = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """What git tracks."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    found = [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    assert len(found) > 100
    return found


def test_the_tree_stays_small(files: list[Path]) -> None:
    largest = sorted(files, key=lambda path: -path.stat().st_size)[:3]
    total = sum(path.stat().st_size for path in files)
    assert total < LIMIT, f"{total / 1e6:.1f} MB tracked; the largest: {', '.join(map(str, largest))}"


def test_merges_are_decided(files: list[Path]) -> None:
    """No page or source has the marks that git leaves where two sides differ."""
    texts = [path for path in files if path.suffix in (".md", ".py", ".toml", ".yml", ".hpp", ".cpp", ".js")]
    texts.append(ROOT / "Makefile")
    assert [path.name for path in texts if UNDECIDED.search(path.read_bytes())] == []
