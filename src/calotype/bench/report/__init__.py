"""The report of a run: one self-contained HTML page, and figures as PNG and PDF.

curves.py makes curves and BD-rates of the results, page.py the page, figures.py the figures.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from calotype.bench import results
from calotype.bench.errors import BenchError
from calotype.bench.report.curves import Table
from calotype.bench.report.pictures import Look
from calotype.bench.report.published import published_curves

__all__ = ["Look", "build", "check"]


def check() -> None:
    """Raise BenchError when the libraries that draw the report are not installed."""
    for module in ("plotly", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            raise BenchError(f"the report needs {module}: pip install 'calotype[bench]', or use --no-report")


def build(
    folder: Path,
    anchor: str | None = None,
    progress: Callable[[str], None] = lambda what: None,
    look: Look | None = None,
) -> list[Path]:
    """Write report.html and figures/*.png, *.pdf into the folder of a run; returns what was written.

    anchor: the codec that tables and figures compare with at first; by default the best known baseline of the
    run. look: how the pictures set side by side are stored in the page. Raises BenchError when the folder
    holds no results or the anchor is not in them.
    """
    check()
    from calotype.bench.report import figures, page  # late: plotly and matplotlib are slow to import

    found = results.read(folder)
    table = Table(found)
    curves = published_curves(table.images, look.reference if look else None)
    chosen = page.choose_anchor(found, list(curves), anchor)
    progress("computing BD-rates")
    payload = page.payload(folder, found, table, curves, chosen, look)
    progress("writing the page")
    written = [page.write(folder / "report.html", payload)]
    progress("drawing figures")
    return written + figures.draw(folder / "figures", payload)
