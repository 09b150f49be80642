"""Notebooks as pages: run when the site is built, with what they print and draw."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import nbformat

TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


def pages(path: Path, repository: str, *, run: bool) -> dict[str, str | bytes]:
    """The page of a notebook, and the pictures in it, by their place in the site."""
    book = nbformat.read(path, as_version=4)
    if run:
        execute(book)
    made: dict[str, str | bytes] = {}
    parts = []
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [_shown(output, path.stem, made) for output in cell.get("outputs", [])]
    parts.append(f"*This page is a notebook: [{path.name}]({repository}/docs/notebooks/{path.name}).*")
    made[f"notebooks/{path.stem}.md"] = "\n\n".join(part for part in parts if part) + "\n"
    return made


def execute(book: Any) -> None:
    """Run all cells, in a folder of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell fails.
    """
    import tempfile

    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()


def _shown(output: Any, stem: str, made: dict[str, str | bytes]) -> str:
    """One output as Markdown; its picture goes into ``made``."""
    if output.output_type == "stream":
        return _text(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    for kind, suffix in (("image/png", "png"), ("image/jpeg", "jpg")):
        if kind in data:
            name = f"{stem}-{sum(uri.startswith('notebooks/') for uri in made) + 1}.{suffix}"
            made[f"notebooks/{name}"] = base64.b64decode(data[kind])
            return f"![What the cell above shows]({name})"
    if "text/markdown" in data:
        return str(data["text/markdown"])
    return _text(data["text/plain"]) if "text/plain" in data else ""


def _text(text: str) -> str:
    return f"```text\n{TERMINAL.sub('', text).rstrip()}\n```"
