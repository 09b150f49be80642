"""Speed and memory of encode and decode, beside Pillow's AVIF at speed 6, in one run.

    python benchmarks/codec.py PICTURE... [--quality 40] [--threads 2] [--repeat 5] [--megapixels 25] [--json]

For each picture (by default those in examples/) both codecs work in memory, in turn, with the same number of
threads; the best of the repeats counts. AVIF's quality is the one whose PSNR is nearest to ours from above.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from calotype.codec import quality
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHILDREN = ("encode", "decode", "avif-encode", "avif-decode")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("pictures", nargs="*", type=Path, default=sorted(EXAMPLES.glob("*.jpg")))
    options.add_argument("--quality", type=float, default=40)
    options.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument(
        "--megapixels", type=float, default=25, help="for the memory figures; 0 leaves them out"
    )
    options.add_argument("--json", action="store_true")
    options.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(_child(given)))
        return
    rows = [_time(path, given) for path in given.pictures]
    report = {"threads": given.threads, "quality": given.quality, "pictures": rows, "memory": _memory(given)}
    if given.json:
        print(json.dumps(report, indent=1))
        return
    for row in rows:
        print(f"{row['picture']}: {row['megapixels']:.2f} MP")
        for name, prefix in (("Calotype", ""), ("AVIF", "avif_")):
            print(f"  {name}: {row[prefix + 'psnr']:.2f} dB at {row[prefix + 'bpp']:.3f} bpp")
        for what in ("encode", "decode"):
            ours, avif = row[f"{what}_mp_s"], row[f"avif_{what}_mp_s"]
            print(f"  {what}  {ours:7.2f} MP/s   AVIF {avif:7.2f} MP/s   ratio {ours / avif:6.2f}")
    for what in ("encode", "decode"):
        ratios = [row[f"{what}_mp_s"] / row[f"avif_{what}_mp_s"] for row in rows]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"{what}: {mean:.2f} times AVIF's speed (geometric mean)")
    for name, mebibytes in report["memory"].items():
        print(f"peak memory, {given.megapixels:g} MP, {name}: {mebibytes:.0f} MiB")


def _time(path: Path, given: argparse.Namespace) -> dict[str, Any]:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    picture = Picture.from_pil(image)
    data = encode(picture, quality=given.quality, threads=given.threads).data
    psnr = quality.psnr(picture.pixels, decode(data, threads=given.threads).picture.pixels)
    avif_quality = _avif_quality(image, psnr, given.threads)
    avif = _avif(image, avif_quality, given.threads)
    jobs: dict[str, Callable[[], object]] = {
        "encode": lambda: encode(picture, quality=given.quality, threads=given.threads),
        "avif_encode": lambda: _avif(image, avif_quality, given.threads),
        "decode": lambda: decode(data, threads=given.threads),
        "avif_decode": lambda: _decode_avif(avif),
    }
    best = dict.fromkeys(jobs, math.inf)
    for _ in range(given.repeat):  # in turn, so that a busy moment does not hit one of them alone
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - start)
    megapixels = picture.width * picture.height / 1e6
    return {
        "picture": path.name,
        "megapixels": megapixels,
        "psnr": psnr,
        "bpp": len(data) * 8e-6 / megapixels,
        "avif_quality": avif_quality,
        "avif_psnr": quality.psnr(picture.pixels, _decode_avif(avif)),
        "avif_bpp": len(avif) * 8e-6 / megapixels,
        **{f"{name}_mp_s": megapixels / seconds for name, seconds in best.items()},
    }


def _avif(image: Image.Image, avif_quality: int, threads: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "AVIF", quality=avif_quality, speed=6, max_threads=threads)
    return out.getvalue()


def _decode_avif(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _avif_quality(image: Image.Image, psnr: float, threads: int) -> int:
    """AVIF's quality, 0 to 100, whose PSNR is nearest from above (or the highest)."""
    reference, low, high = np.asarray(image), 0, 100
    while low < high:
        middle = (low + high) // 2
        if quality.psnr(reference, _decode_avif(_avif(image, middle, threads))) < psnr:
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
            f"--threads={given.threads}",
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
        data = encode(Picture(_large(given)), quality=given.quality, threads=given.threads).data
        Path("large.calo").write_bytes(data)
    elif given.child == "decode":
        decode(Path("large.calo").read_bytes(), threads=given.threads)
    elif given.child == "avif-encode":
        Path("large.avif").write_bytes(_avif(Image.fromarray(_large(given)), 60, given.threads))
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
    main()
