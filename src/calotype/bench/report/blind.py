"""A page on which people choose blindly between two codecs, from the decoded pictures of a run.

One self-contained HTML file: pairs of the same picture at the same rate, in an order and on sides drawn anew
by each visit, beside the original; at the end who was chosen how often, and the votes as a file. How one
votes is the viewer's page's: its web/ballot.js and ballot.css are written into the file.
"""

from __future__ import annotations

import base64
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from calotype.bench import results
from calotype.bench.errors import BenchError
from calotype.bench.measure import lossless, middle
from calotype.page import home

NAME = "blind.html"
SIDE = (512, 400)
"""Width and height of what is shown, of the middle of each picture: three fit on a screen."""
PAIRS = 24
"""As many as people look at with care."""


def build(folder: Path, codecs: tuple[str, str], size: tuple[int, int] = SIDE, most: int = PAIRS) -> Path:
    """Write blind.html into the folder of a run; returns its path.

    Every picture and rate of ``--pictures`` and ``--picture-bpp`` that both codecs have is a pair; of more
    than `most`, as many evenly over all. Pictures are stored without loss.

    Raises:
        BenchError: when the folder holds no results, a codec is not in them, or there are no pairs.
        PackError: when the viewer's page is not in this installation.
    """
    found = results.read(folder)
    if codecs[0] == codecs[1]:
        raise BenchError("two different codecs make a pair")
    for codec in codecs:
        if codec not in found["codecs"]:
            raise BenchError(f"{codec} is not among the codecs of {folder}: {', '.join(found['codecs'])}")
    shown: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    for picture in found["pictures"]:
        if picture["codec"] in codecs:
            shown.setdefault((picture["image"], picture["wanted_bpp"]), {})[picture["codec"]] = picture
    originals: dict[str, str] = {}
    pairs = []
    both = [(at, versions) for at, versions in shown.items() if len(versions) == 2]
    for (image, bpp), versions in (both[k] for k in _evenly(len(both), most)):
        try:
            original = versions[codecs[0]]["original"]
            if image not in originals:
                originals[image] = _uri(folder / original, size)
            sides = [
                {"codec": c, "bpp": versions[c]["bpp"], "src": _uri(folder / versions[c]["file"], size)}
                for c in codecs
            ]
        except OSError as error:
            raise BenchError(f"{folder}: a picture of the run cannot be read: {error}") from error
        pairs.append({"image": image, "wanted": bpp, "sides": sides})
    if not pairs:
        raise BenchError(
            f"{folder} has no decoded pictures of both codecs: run with --pictures and --picture-bpp"
        )
    data = {"codecs": list(codecs), "pairs": pairs, "originals": originals}
    # "<" could end the script element, or begin another.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    template = resources.files(__package__).joinpath(NAME).read_text("utf-8")
    page = home()
    for mark, name in (("%%STYLE%%", "ballot.css"), ("%%BALLOT%%", "ballot.js")):
        template = template.replace(mark, (page / name).read_text("utf-8"))
    path = folder / NAME
    results.write_text(path, template.replace("%%DATA%%", text))
    return path


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers 0 to count - 1."""
    return [k * count // most for k in range(most)] if count > most else list(range(count))


def _uri(file: Path, size: tuple[int, int]) -> str:
    with Image.open(file) as picture:
        pixels = middle(np.asarray(picture.convert("RGB")), size)
    return "data:image/webp;base64," + base64.b64encode(lossless(pixels)).decode()
