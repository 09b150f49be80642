"""The decoded pictures that the page sets side by side, small enough to travel inside it."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from calotype.bench.measure import PICTURE_SIDE, load, lossless, middle


@dataclass(frozen=True)
class Look:
    """How much of each picture the page shows, and how it is stored in the page."""

    size: tuple[int, int] = PICTURE_SIDE
    """At most this many pixels of its middle, width and height."""
    quality: int | None = 90
    """Of AVIF (4:4:4), 1..100, whose loss is measured and told; None: lossless WebP, several times larger."""
    reference: str | None = None
    """Picture set whose published curves are drawn even though the run is of other pictures."""


def gather(folder: Path, found: dict[str, Any], look: Look) -> dict[str, Any]:
    """``sets``: for each picture and rate the versions by codec; ``originals`` by picture; ``told``: how they
    are stored; ``lost``: pictures of the results whose files are not in the folder.

    Versions name their data as URIs. Originals come from the folder, else from where they were read.
    """
    store = _Store(look)
    paths = {i["name"]: i["path"] for i in found["images"]}
    sets: dict[tuple[str, float], dict[str, Any]] = {}
    originals: dict[str, str] = {}
    lost = 0
    for picture in found["pictures"]:
        file, image = folder / picture["file"], picture["image"]
        if not file.is_file():
            lost += 1
            continue
        shown = _read(file)
        if image not in originals:
            original = _original(folder / picture.get("original", ""), paths[image])
            if original is not None:
                originals[image] = store.uri(original)
        wanted = picture.get("wanted_bpp") or picture["bpp"]
        about = {"image": image, "wanted": wanted, "versions": []}
        about["height"], about["width"] = middle(shown, look.size).shape[:2]
        version = {key: picture[key] for key in ("quality", "bpp", "metrics") if key in picture}
        version |= {"name": picture["codec"], "src": store.uri(shown)}
        sets.setdefault((image, wanted), about)["versions"].append(version)
    return {"sets": list(sets.values()), "originals": originals, "told": store.told(), "lost": lost}


class _Store:
    """Turns pictures into data URIs, and knows what that cost them."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.quality = look.quality if features.check("avif") else None
        self.worst = math.inf

    def uri(self, image: np.ndarray) -> str:
        image = middle(image, self.look.size)
        if self.quality is None:
            return "data:image/webp;base64," + base64.b64encode(lossless(image)).decode()
        data = _avif(image, self.quality)
        with Image.open(io.BytesIO(data)) as again:
            loss = np.asarray(again.convert("RGB"), np.float64) - image
        mse = float(np.mean(loss * loss))
        self.worst = min(self.worst, 10 * math.log10(255**2 / mse) if mse else math.inf)
        return "data:image/avif;base64," + base64.b64encode(data).decode()

    def told(self) -> str:
        if self.quality is None or self.worst == math.inf:
            return "stored here without loss"
        return (
            f"stored here as AVIF 4:4:4 at quality {self.quality} to keep the page small, which adds a loss "
            f"of its own: PSNR {self.worst:.1f} dB or more against what the codec gave. The numbers are the "
            "codec's own"
        )


def _avif(image: np.ndarray, quality: int) -> bytes:
    options: dict[str, Any] = {"quality": quality, "subsampling": "4:4:4", "speed": 8}
    for more in ({"advanced": {"tune": "psnr"}}, {}):  # not every AV1 encoder takes a tune
        out = io.BytesIO()
        try:
            Image.fromarray(image).save(out, "AVIF", **options, **more)
            return out.getvalue()
        except (ValueError, OSError):
            continue
    raise ValueError("this Pillow cannot write AVIF")


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))


def _original(file: Path, path: str) -> np.ndarray | None:
    if file.is_file():
        return _read(file)
    try:
        return middle(load(path)[0])
    except OSError:  # the pictures have been moved since the run
        return None
