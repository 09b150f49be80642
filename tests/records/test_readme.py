"""README.md: what it links to is there, also on PyPI, where links have to be whole addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib")

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)]+)\)")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    paths = [path.partition("#")[0] for _, path in LINK.findall(README) if "://" not in path]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_on_pypi_all_links_are_addresses_and_pictures_are_pictures() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    text = README
    for change in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    source = project["project"]["urls"]["Source"]
    pictures = [path for mark, path in LINK.findall(text) if mark]
    assert pictures
    assert all(path.startswith(f"{source}/raw/") for path in pictures)
    assert all(path.startswith("https://") for _, path in LINK.findall(text))
