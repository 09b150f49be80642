"""Where the viewer's page is, of which other pages take parts."""

from __future__ import annotations

from pathlib import Path

from calotype.errors import PackError


def home() -> Path:
    """The folder of the page: in the package, or in the sources that it is run from. Raises PackError."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "web", here.parents[2] / "web"):
        if (folder / "index.html").is_file():
            return folder
    raise PackError("the viewer's page is not in this installation; reinstall calotype, or use its sources")
