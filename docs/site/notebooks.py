"""Notebooks as pages: run when the site is built, with what they print and draw."""

from __future__ import annotations

import base64
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


def pages(path: Path, *, run: bool) -> dict[str, str | bytes]:
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
        printed = "".join(o.text for o in cell.get("outputs", []) if o.get("name") == "stdout")
        parts += [_text(printed) if printed else ""]
        parts += [_shown(output, path.stem, made) for output in cell.get("outputs", [])]
    parts.append(f"*This page is a notebook: `docs/notebooks/{path.name}`.*")
    made[f"notebooks/{path.stem}.md"] = "\n\n".join(part for part in parts if part) + "\n"
    return made


def execute(book: Any) -> None:
    """Run all cells, in a folder of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        where = {"metadata": {"path": folder}}
        NotebookClient(book, timeout=300, kernel_name="python3", resources=where).execute()


def _shown(output: Any, stem: str, made: dict[str, str | bytes]) -> str:
    """What a cell shows, as Markdown; a picture goes into ``made``. What it prints is not here."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(made) + 1}.webp"
        smaller = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).save(smaller, "WEBP", quality=88)
        made[f"notebooks/{name}"] = smaller.getvalue()
        return f"![What the cell above shows]({name})"
    return (
        _text(data["text/plain"]) if "text/plain" in data and output.output_type == "execute_result" else ""
    )


def _text(text: str) -> str:
    return f"```text\n{TERMINAL.sub('', text).rstrip()}\n```"
