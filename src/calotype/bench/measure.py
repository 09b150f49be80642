"""Do one task: encode, decode, check, compare. Runs inside a worker process (worker.py)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import math
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from calotype.bench import codecs, metrics
from calotype.bench.cost import Cost, measured
from calotype.bench.errors import one_line
from calotype.bench.task import MEASURE, PICTURE, PROBE, TIMING, Outcome, Task

LONG = 2.0  # seconds: a call that takes longer is not repeated
INFINITE = "infinite: the decoded picture equals the original"
PICTURE_SIDE = (768, 768)  # the report shows at most this much of a picture, from its middle


class WrongSize(Exception):
    """The decoded picture has not the size or kind of the original."""


def perform(task: Task, data: bytes | None = None) -> Outcome:
    """Do the task. `data` holds the picture's file when it was sent here (Ray); else it is read from its
    path.
    """
    try:
        image, digest, note = load(task.image, data)
    except Exception as error:  # Pillow raises many kinds on damaged files
        return Outcome(failure="corrupt-image", message=_unreadable(error))
    if task.kind == PROBE:
        height, width = image.shape[:2]
        return Outcome({"width": width, "height": height, "sha256": digest, "note": note})
    stage = "setup"
    try:
        codec = _codec(task.codec, task.threads)
        _warm_up(task, codec)
        if task.kind == PICTURE:
            return Outcome(_picture(codec, image, task))
        stage = "encode"
        call: Callable[[], bytes] = partial(codec.encode, image, task.quality)
        if task.kind == TIMING:
            call = codec.as_used(image, task.quality)
        stream, encode = measured(call, task.repeats, LONG)
        if not isinstance(stream, bytes) or not stream:
            raise TypeError(
                f"encode returned {type(stream).__name__} of {len(stream) if stream else 0} bytes"
            )
        stage = "decode"
        decoded, decode = measured(lambda: codec.decode(stream), task.repeats, LONG)
        _check(decoded, image)
    except WrongSize as error:
        return Outcome(failure="wrong-size", message=str(error))
    except Exception as error:
        return Outcome(failure="codec-error", message=f"{stage}: {one_line(error)}")
    record = _record(image, stream, encode, decode)
    if task.kind == MEASURE:
        record["metrics"], record["metric_errors"] = _compare(image, decoded, task.metrics)
    return Outcome(record)


def _unreadable(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its text speaks of a file object that nobody knows
        return "not a picture, or of a kind that Pillow cannot read"
    return one_line(error)


def _record(image: np.ndarray, stream: bytes, encode: Cost, decode: Cost) -> dict[str, Any]:
    pixels = image.shape[0] * image.shape[1]
    return {
        "bytes": len(stream),
        "bpp": 8 * len(stream) / pixels,
        "sha256": hashlib.sha256(stream).hexdigest(),
        "encode": encode.to_json(pixels),
        "decode": decode.to_json(pixels),
    }


def _compare(
    image: np.ndarray, decoded: np.ndarray, names: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, str]]:
    values: dict[str, float] = {}
    errors: dict[str, str] = {}
    for name in names:
        try:
            value = float(metrics.METRICS[name].compute(image, decoded))
            if math.isfinite(value):
                values[name] = value
            else:  # JSON has no infinity
                errors[name] = INFINITE
        except Exception as error:  # a metric that fails costs its own number, not the measurement
            errors[name] = one_line(error)
    return values, errors


def _picture(codec: codecs.Codec, image: np.ndarray, task: Task) -> dict[str, Any]:
    """Search the quality whose bpp is nearest to task.bpp, and return that decoded picture as lossless
    WebP.
    """
    known = dict(task.ladder)
    pixels = image.shape[0] * image.shape[1]
    streams: dict[float, bytes] = {}
    for _ in range(7):
        quality = next_quality(known, task.bpp, codec.quality_step)
        if quality in streams:
            break
        streams[quality] = codec.encode(image, quality)
        known[quality] = 8 * len(streams[quality]) / pixels
        if abs(known[quality] / task.bpp - 1) < 0.01:
            break
    best = min(known, key=lambda q: abs(known[q] - task.bpp))
    decoded = codec.decode(streams.get(best) or codec.encode(image, best))
    _check(decoded, image)
    values, _ = _compare(image, decoded, task.metrics)
    return {
        "quality": best,
        "bpp": known[best],
        "metrics": values,
        "webp": base64.b64encode(lossless(middle(decoded))).decode(),
        "original": base64.b64encode(lossless(middle(image))).decode(),
    }


def lossless(image: np.ndarray) -> bytes:
    """The picture as lossless WebP."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "WEBP", lossless=True, quality=60, method=4)
    return out.getvalue()


def next_quality(known: dict[float, float], bpp: float, step: float) -> float:
    """The quality to try next, by log-linear interpolation between the two known points around `bpp`.

    `known` maps quality to bpp. Returns a known quality when the search cannot get nearer.
    """
    below = max((q for q in known if known[q] <= bpp), key=lambda q: known[q], default=None)
    above = min((q for q in known if known[q] > bpp), key=lambda q: known[q], default=None)
    if below is None or above is None:
        return min(known, key=lambda q: abs(known[q] - bpp))
    low, high, want = np.log([known[below], known[above], bpp])
    guess = below + (above - below) * float((want - low) / (high - low))
    if step:
        guess = round(guess / step) * step
        inner = sorted((below, above))
        if guess in inner and inner[1] - inner[0] > 1.5 * step:  # step off a known end
            guess = inner[0] + step if guess == inner[0] else inner[1] - step
    return guess


def middle(image: np.ndarray, size: tuple[int, int] = PICTURE_SIDE) -> np.ndarray:
    """The middle of a picture, at most `size` (width, height) large."""
    height, width = image.shape[:2]
    top, left = max(0, (height - size[1]) // 2), max(0, (width - size[0]) // 2)
    return image[top : top + size[1], left : left + size[0]]


def _check(decoded: object, image: np.ndarray) -> None:
    if not isinstance(decoded, np.ndarray) or decoded.dtype != np.uint8:
        raise WrongSize(
            f"decode returned {getattr(decoded, 'dtype', type(decoded).__name__)}, not a uint8 array"
        )
    if decoded.shape != image.shape:
        raise WrongSize(f"decoded picture is {decoded.shape}, the original {image.shape}")


@lru_cache(maxsize=4)
def load(path: str, data: bytes | None = None) -> tuple[np.ndarray, str, str]:
    """The picture as uint8 [h, w, 3] RGB, the SHA-256 of its file, and a note when it had to be converted."""
    data = Path(path).read_bytes() if data is None else data
    with Image.open(io.BytesIO(data)) as picture:
        mode = picture.mode
        image = np.ascontiguousarray(picture.convert("RGB"))
    image.setflags(write=False)  # a codec that scribbles on its input would spoil the comparison
    note = "" if mode == "RGB" else f"converted from Pillow mode {mode} to 8-bit RGB"
    return image, hashlib.sha256(data).hexdigest(), note


@lru_cache(maxsize=32)
def _codec(spec: str, threads: int) -> codecs.Codec:
    codec = codecs.get(spec).with_threads(threads)
    reason, _ = codecs.state(codec)
    if reason is not None:
        raise RuntimeError(f"not available on this machine: {reason}")
    return codec


_warm: set[tuple[str, int]] = set()


def _warm_up(task: Task, codec: codecs.Codec) -> None:
    """Once per process and codec: imports, tables and weights are not part of a codec's time."""
    if codec.slow or (task.codec, task.threads) in _warm:
        return
    rows, columns = np.mgrid[0:64, 0:64]
    tiny = np.stack([rows * 4, columns * 4, rows + columns], axis=-1).astype(np.uint8)
    with contextlib.suppress(
        Exception
    ):  # too small for it, perhaps; if it is broken, the measurement will tell
        codec.decode(codec.encode(tiny, task.quality or codec.qualities[0]))
    _warm.add((task.codec, task.threads))
