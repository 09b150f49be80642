"""The layers that docs/FORMAT.md lists are those of the shipped packs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from calotype.codec import manifest, tensors

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "FORMAT.md").read_text(encoding="utf-8")
PACKS = sorted((ROOT / "src" / "calotype" / "packs").glob("*/manifest.json"))
Layers = dict[str, tuple[str, tuple[int, ...]]]


def number(text: str, letter: str, at: int) -> int:
    """What a cell comes to: "16 (1 + n mod 3): the low channels" with n = ``at``, "M - 16 = 368"."""
    text = text.split(":")[0].split("=")[-1].replace("mod", "%").replace(" x ", " * ")
    text = re.sub(r"(\w) \(", r"\1 * (", text)
    return int(eval(text, {"K": 4, "M": 384, letter: at}))


def listed(title: str) -> Layers:
    """Type and shape of the weights of each layer in the table behind ``title``."""
    (table,) = re.findall(rf"^\*\*{title}\*\*.*?\n\n((?:\|[^\n]*\n)+)", TEXT, re.M | re.S)
    found: Layers = {}
    for line in table.splitlines()[2:]:
        names, which, kernel, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        dtype = cells.pop(0) if cells[0].startswith("int") else "int16"
        side = int(kernel[0])
        letter, last = re.fullmatch(r"(\w) = \d \.\. (\d)", which or "k = 0 .. 0").groups()  # type: ignore[union-attr]
        first = int(which.split(" ")[2]) if which else 0
        for name in re.findall(r"`([\w.]+)`", names):
            for at in range(first, int(last) + 1):
                shape = (number(cells[1], letter, at), number(cells[0], letter, at), side, side)
                found[re.sub(rf"\.{letter}(?=\.|$)", f".{at}", name)] = (dtype, shape)
    return found


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.parent.name)
@pytest.mark.parametrize(
    ("title", "name"),
    [("Layers of the tables", manifest.TABLES), ("Layers of the networks", manifest.NETWORKS)],
)
def test_layers(path: Path, title: str, name: str) -> None:
    arrays = tensors.load(manifest.read(path.parent, name))
    stored = {key[:-7]: a for key, a in arrays.items() if key.endswith(".weight")}
    assert listed(title) == {key: (str(a.dtype), a.shape) for key, a in stored.items()}


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.parent.name)
def test_a_length_counts_the_escape(path: Path) -> None:
    arrays = tensors.load(manifest.read(path.parent, manifest.TABLES))
    for kind in ("r", "z"):
        lengths = arrays[f"{kind}_lengths"].astype(int)
        frequencies = arrays[f"{kind}_frequencies"]
        assert lengths.sum() == frequencies.size
        assert (np.add.reduceat(frequencies, np.cumsum(lengths) - lengths) == 2**14).all()
