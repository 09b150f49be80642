"""Speed and memory of encode and decode, beside Pillow's AVIF at speed 6 in 4:4:4, in one run.

    python benchmarks/codec.py PICTURE... [--quality 40] [--threads 1 2] [--repeat 5] [--megapixels 25]
    [--json]

For each picture (by default those in examples/) both codecs work in memory, in turn, with the same number of
threads. AVIF's quality is the one whose PSNR is nearest to ours from above. Every repeat gives one ratio of
their
times; medians are reported, of wall time and of CPU time. On a machine that does other things, too, trust the
second: it is what the work costs, on however many cores. Previews are compared with decoding all of it.
Memory is the peak of a fresh process that makes a large picture (out of the first one, mirrored) and encodes
it, or reads the file and decodes it; the picture itself is in it. Only the ratios mean something on another
machine.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from calotype.codec import metrics
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.records.script import guarded, parser_of

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHILDREN = ("encode", "decode", "avif-encode", "avif-decode")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("pictures", nargs="*", type=Path, default=sorted(EXAMPLES.glob("*.jpg")))
    options.add_argument("--quality", type=float, default=40)
    options.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, os.cpu_count() or 1)}))
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument(
        "--megapixels", type=float, default=25, help="for the memory figures; 0 leaves them out"
    )
    options.add_argument("--json", action="store_true")
    options.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.child:
        print(json.dumps(_child(given)))
        return
    rows = [_measure(path, given) for path in given.pictures]
    report = {"quality": given.quality, "pictures": rows, "memory": _memory(given)}
    if given.json:
        print(json.dumps(report, indent=1))
        return
    for row in rows:
        print(
            f"{row['picture']}: {row['megapixels']:.2f} MP; Calotype {row['psnr']:.2f} dB at {row['bpp']:.3f} bpp, "  # noqa: E501
            f"AVIF {row['avif_psnr']:.2f} dB at {row['avif_bpp']:.3f} bpp"
        )
    for threads in given.threads:
        for what in ("encode", "decode"):
            for clock in CLOCKS:
                print(f"{threads} thread(s), {what}, {clock} time: {_summary(rows, threads, what, clock)}")
        for clock in CLOCKS:
            print(f"{threads} thread(s), preview, {clock} time: {_preview_summary(rows, threads, clock)}")
    for name, mebibytes in report["memory"].items():
        print(f"peak memory, {given.megapixels:g} MP, {name}: {mebibytes:.0f} MiB")


def _summary(rows: list[dict[str, Any]], threads: int, what: str, clock: str) -> str:
    """Medians over all pictures and repeats."""
    speeds: dict[str, list[float]] = {"": [], "avif_": []}
    ratios = []
    for row in rows:
        ours, avif = (row["seconds"][f"{threads}"][prefix + what][clock] for prefix in speeds)
        ratios += [b / a for a, b in zip(ours, avif)]
        for prefix, seconds in zip(speeds, (ours, avif)):
            speeds[prefix] += [row["megapixels"] / s for s in seconds]
    ours_speed, avif_speed = (statistics.median(values) for values in speeds.values())
    ratio = statistics.median(ratios)
    return f"{ours_speed:.2f} MP/s, AVIF {avif_speed:.2f} MP/s, {ratio:.2f} times as fast"


def _preview_summary(rows: list[dict[str, Any]], threads: int, clock: str) -> str:
    """The median, over all pictures and repeats, of how many times as fast as decoding a preview is."""
    ratios = []
    for row in rows:
        whole, small = (row["seconds"][f"{threads}"][what][clock] for what in ("decode", "preview"))
        ratios += [a / b for a, b in zip(whole, small)]
    return f"{statistics.median(ratios):.1f} times as fast as decode"


def _measure(path: Path, given: argparse.Namespace) -> dict[str, Any]:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    picture = Picture.from_pil(image)
    data = encode(picture, quality=given.quality).data
    psnr = metrics.psnr(picture.pixels, decode(data).picture.pixels)
    avif_quality = _avif_quality(image, psnr)
    avif = _avif(image, avif_quality, 2)
    megapixels = picture.width * picture.height / 1e6
    return {
        "picture": path.name,
        "megapixels": megapixels,
        "psnr": psnr,
        "bpp": len(data) * 8e-6 / megapixels,
        "avif_quality": avif_quality,
        "avif_psnr": metrics.psnr(picture.pixels, _decode_avif(avif)),
        "avif_bpp": len(avif) * 8e-6 / megapixels,
        "seconds": {
            str(threads): _time(
                {
                    "encode": lambda: encode(picture, quality=given.quality, threads=threads),  # noqa: B023
                    "avif_encode": lambda: _avif(image, avif_quality, threads),  # noqa: B023
                    "decode": lambda: decode(data, threads=threads),  # noqa: B023
                    "preview": lambda: preview(data, threads=threads),  # noqa: B023
                    "avif_decode": lambda: _decode_avif(avif),
                },
                given.repeat,
            )
            for threads in given.threads
        },
    }


def _time(jobs: dict[str, Callable[[], object]], repeat: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by job and clock, one number per repeat."""
    seconds: dict[str, dict[str, list[float]]] = {name: {clock: [] for clock in CLOCKS} for name in jobs}
    for number in range(repeat + 1):  # in turn, so that a busy moment does not hit one of them alone
        for name, job in jobs.items():
            start = {clock: now() for clock, now in CLOCKS.items()}
            job()
            if number:  # the first one opens networks
                for clock, now in CLOCKS.items():
                    seconds[name][clock].append(now() - start[clock])
    return seconds


def _avif(image: Image.Image, avif_quality: int, threads: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "AVIF", quality=avif_quality, speed=6, subsampling="4:4:4", max_threads=threads)
    return out.getvalue()


def _decode_avif(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _avif_quality(image: Image.Image, psnr: float) -> int:
    """AVIF's quality, 0 to 100, whose PSNR is nearest from above (or the highest)."""
    reference, low, high = np.asarray(image), 0, 100
    while low < high:
        middle = (low + high) // 2
        if metrics.psnr(reference, _decode_avif(_avif(image, middle, 2))) < psnr:
            low = middle + 1
        else:
            high = middle
    return low


# ---- memory: each figure from a process of its own ----


def _memory(given: argparse.Namespace) -> dict[str, float]:
    if not given.megapixels:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            f"--quality={given.quality}",
            f"--threads={given.threads[-1]}",
            f"--megapixels={given.megapixels}",
        ]
        figures = {}
        for child in CHILDREN:
            command = [
                sys.executable,
                __file__,
                str(given.pictures[0].resolve()),
                *settings,
                f"--child={child}",
            ]
            done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            figures[child] = float(json.loads(done.stdout))
        return figures


def _child(given: argparse.Namespace) -> float:
    """Do one thing in the current folder; returns the peak resident memory in MiB."""
    if given.child == "encode":
        data = encode(Picture(_large(given)), quality=given.quality, threads=given.threads[0]).data
        Path("large.calo").write_bytes(data)
    elif given.child == "decode":
        decode(Path("large.calo").read_bytes(), threads=given.threads[0])
    elif given.child == "avif-encode":
        Path("large.avif").write_bytes(_avif(Image.fromarray(_large(given)), 60, given.threads[0]))
    else:
        _decode_avif(Path("large.avif").read_bytes())
    return _peak()


def _peak() -> float:
    """Peak resident memory of this process in MiB; not ru_maxrss on Linux, which starts with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _large(given: argparse.Namespace) -> np.ndarray:
    """A square picture of `--megapixels`, tiled out of the first picture and its mirror images."""
    with Image.open(given.pictures[0]) as opened:
        piece = np.asarray(opened.convert("RGB"))[:1024, :1024]
    piece = np.concatenate([piece, piece[::-1]])
    piece = np.concatenate([piece, piece[:, ::-1]], axis=1)
    side = round(math.sqrt(given.megapixels * 1e6))
    out = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, piece.shape[0]):
        for left in range(0, side, piece.shape[1]):
            part = out[top : top + piece.shape[0], left : left + piece.shape[1]]
            part[:] = piece[: part.shape[0], : part.shape[1]]
    return out


if __name__ == "__main__":
    sys.exit(main())
