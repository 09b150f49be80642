"""What the gate measures: sets of pictures, curves of real files, and times of two packs in turns."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype import api
from calotype.bench import bdrate
from calotype.codec import encoder, metrics
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2

QUALITIES = (0, 14, 28, 43, 57, 71, 86, 100)
"""By the packs' plain maps to levels, whatever qualities mean to encoders."""
REPEATS = 25
"""Times each of four pictures is decoded."""
ENCODE_SHARE = 5
"""A picture is encoded once where it is decoded this often: encoding is stored, and judges nothing."""
TIMED = 4
"""Pictures whose times are taken: the first of the first set."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Record = dict[str, Any]
LIKENESS: dict[str, Callable[[Pixels, Pixels], float]] = {
    "psnr": metrics.psnr,
    "ms_ssim": lambda a, b: metrics.to_db(metrics.ms_ssim(a, b)),
    "ssimulacra2": ssimulacra2,
}


@dataclass(frozen=True)
class ImageSet:
    """The pictures of one folder, which are judged by themselves."""

    name: str
    """The folder's."""
    files: list[Path]
    pictures: list[Pixels]

    def digest(self) -> str:
        """The start of a hash over the files' hashes, in order."""
        return hashlib.sha256(
            b"".join(hashlib.sha256(f.read_bytes()).digest() for f in self.files)
        ).hexdigest()[:16]


def read_sets(folders: Sequence[Path]) -> list[ImageSet]:
    """Read a set from each folder, with its pictures as RGB.

    Raises ValueError for two folders of one name, BenchError for one without pictures, OSError for
    a picture that cannot be read.
    """
    from calotype.bench import runner

    names = [folder.resolve().name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two folders of pictures are called {name}; a set goes by its folder's name")
    found = [runner.find_images([folder]) for folder in folders]
    return [ImageSet(name, files, [_load(f) for f in files]) for name, files in zip(names, found)]


def points(
    pack: Pack, pictures: Sequence[Pixels], metric: str, threads: int, tick: Callable[[], None]
) -> Floats:
    """Bits per pixel of the file and likeness, [pictures, QUALITIES, 2]."""
    values = np.zeros((len(pictures), len(QUALITIES), 2))
    for k, setting in enumerate(QUALITIES):
        for i, pixels in enumerate(pictures):
            data = _file(pixels, setting, pack, threads)
            decoded = np.asarray(api.decode(data, pack=pack, threads=threads).convert("RGB"))
            bpp = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
            values[i, k] = bpp, LIKENESS[metric](pixels, decoded)
            tick()
    return values


def _file(pixels: Pixels, setting: float, pack: Pack, threads: int) -> bytes:
    level = pack.level_of(setting)
    return encoder.encode(Picture.from_array(pixels), level=level, pack=pack, threads=threads).data


def curve(values: Floats) -> list[list[float]]:
    """[quality, mean bits per pixel, mean likeness] of `points`, as the history holds it."""
    means = values.mean(0)
    return [[setting, round(float(r), 5), round(float(q), 4)] for setting, (r, q) in zip(QUALITIES, means)]


def compare(new: Floats, old: Floats) -> Record:
    """BD-rate of `points` against those of another pack on the same pictures, in percent.

    ``bd_rate`` is that of the mean curves, over ``range`` of likeness; ``bd_rate_per_image`` the mean of the
    pictures' own, in which a picture of few bits weighs as much as one of many. None where there is none.
    """
    mean = bdrate.bd_rate(_curve(old.mean(0)), _curve(new.mean(0)))
    each = bdrate.bd_rate_per_image(
        {str(i): _curve(v) for i, v in enumerate(old)}, {str(i): _curve(v) for i, v in enumerate(new)}
    )
    return {
        "bd_rate": _rounded(mean.value),
        "range": [_rounded(mean.low), _rounded(mean.high)],
        "bd_rate_per_image": _rounded(each.mean),
    }


def times(packs: Sequence[Pack], pictures: Sequence[Pixels], threads: int, repeats: int) -> list[Floats]:
    """Seconds to decode, [repeats, pictures] for each pack; in turns, each as often first as second."""
    files = [[_encode(pack, p, threads) for p in pictures[:TIMED]] for pack in packs]

    def decode(k: int, i: int) -> None:
        api.decode(files[k][i], pack=packs[k], threads=threads)

    return _in_turns(decode, len(packs), len(files[0]), repeats)


def encode_times(
    packs: Sequence[Pack], pictures: Sequence[Pixels], threads: int, repeats: int
) -> list[Floats]:
    """Seconds to encode, as `times`, with a fifth of its repeats."""

    def encode(k: int, i: int) -> None:
        _encode(packs[k], pictures[i], threads)

    return _in_turns(encode, len(packs), len(pictures[:TIMED]), math.ceil(repeats / ENCODE_SHARE))


def ratios(new: Floats, old: Floats) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of new / old over pairs measured one after the other.

    A stretch in which the machine is busy slows both of a pair; one that hits one of them is an outlier.
    """
    low, middle, high = np.quantile(new / old, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def speed(seconds: Floats, pictures: Sequence[Pixels]) -> float:
    """Megapixels per second, by the median time of each picture."""
    pixels: int = sum(p.shape[0] * p.shape[1] for p in pictures[: seconds.shape[1]])
    return round(pixels / 1e6 / float(np.median(seconds, axis=0).sum()), 2)


def _in_turns(run: Callable[[int, int], None], packs: int, pictures: int, repeats: int) -> list[Floats]:
    seconds = [np.zeros((repeats, pictures)) for _ in range(packs)]
    order = range(packs)
    for k in order:
        run(k, 0)  # reads the networks
    for repeat in range(repeats):
        for i in range(pictures):
            turn: Iterable[int] = order if (repeat + i) % 2 else reversed(order)
            for k in turn:
                start = time.perf_counter()
                run(k, i)
                seconds[k][repeat, i] = time.perf_counter() - start
    return seconds


def _encode(pack: Pack, pixels: Pixels, threads: int) -> bytes:
    return _file(pixels, QUALITIES[len(QUALITIES) // 2], pack, threads)


def _curve(values: Floats) -> bdrate.Curve:
    return bdrate.Curve(values[:, 0].tolist(), values[:, 1].tolist())


def _rounded(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


def _load(file: Path) -> Pixels:
    from PIL import Image

    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
