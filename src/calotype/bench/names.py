"""The pictures of a run: where they are, and a name of its own for each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from calotype.bench.errors import BenchError

SUFFIXES = (".png", ".ppm", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".avif")


def find_images(paths: Sequence[Path], recursive: bool = False, skip: Path | None = None) -> list[Path]:
    """Files as given; of folders, every picture in them, sorted.

    recursive: with all folders in them, except hidden ones and `skip` (where the results go). A picture that
    is reached twice is taken once. Raises BenchError when there are none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _inside(path, recursive, skip)
        elif path.is_file():
            found.append(path)
        else:
            raise BenchError(f"no such picture or folder: {path}")
    if not found:
        raise BenchError("no pictures given")
    once: dict[str, Path] = {}
    for path in found:
        once.setdefault(_place(path), path)
    return list(once.values())


def _inside(folder: Path, recursive: bool, skip: Path | None) -> list[Path]:
    found, folders = [], 0
    avoid = _place(skip) if skip is not None else None
    for here, inner, files in os.walk(folder):
        inner[:] = sorted(n for n in inner if n[0] != "." and _place(Path(here, n)) != avoid)
        folders += len(inner)
        if not recursive:
            inner.clear()
        found += [Path(here, name) for name in sorted(files) if name.lower().endswith(SUFFIXES)]
    if not found:
        cure = f"; there are {folders} folders in it: add --recursive" if folders and not recursive else ""
        raise BenchError(f"no pictures in {folder} (looked for {' '.join(SUFFIXES)}){cure}")
    return found


def _place(path: Path) -> str:
    return os.path.normpath(path.absolute())  # links are left alone: their names are what the user knows


def unique_names(paths: Iterable[str]) -> dict[str, str]:
    """By path as given: its file name, with as many of its folders as tell it from the others."""
    parts = {path: Path(_place(Path(path))).parts for path in paths}
    depth = dict.fromkeys(parts, 1)
    while True:
        groups: dict[str, list[str]] = defaultdict(list)
        for path, words in parts.items():
            groups["/".join(words[-depth[path] :])].append(path)
        same = [path for group in groups.values() if len(group) > 1 for path in group]
        if not any(depth[path] < len(parts[path]) for path in same):
            return {path: name for name, group in groups.items() for path in group}
        for path in same:
            depth[path] += 1
