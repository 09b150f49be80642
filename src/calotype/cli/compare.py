"""``calotype compare A B``: how close two pictures are, and bits per pixel of each file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calotype.cli.jobs import STANDARD
from calotype.cli.options import add_max_pixels, parser, prepare_pillow, words
from calotype.cli.report import print_json
from calotype.cli.waiting import apart
from calotype.errors import CalotypeError, ImageError

if TYPE_CHECKING:
    from calotype.bench.metrics import Metric

_SHOWN = ("psnr_rgb", "ms_ssim", "ms_ssim_db", "ssimulacra2")
"""Metrics that have a line of their own in any case."""

_EPILOG = """\
A and B are pictures of any kind that Pillow reads, or .calo files. They are compared as they are shown:
turned as their EXIF orientation asks, in 8-bit RGB. Alpha is left out, colour profiles are not applied, and
pixels that are wholly transparent in both count as equal.
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = parser("compare", "How close two pictures are.", _EPILOG)
    options.add_argument("a", metavar="A", help="the original")
    options.add_argument("b", metavar="B", help="the picture to measure")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    more = "more of those that `calotype bench list` knows, and its groups: cvvdp,butteraugli or eyes"
    options.add_argument("--metrics", metavar="LIST", help=more)
    add_max_pixels(options)
    given = options.parse_args(arguments)
    if STANDARD in (given.a, given.b):
        options.error("compare needs files, not standard input")
    prepare_pillow(given.max_pixels)
    asked = words(given.metrics or "")
    record = apart(lambda: compare(given.a, given.b, asked))
    if given.json:
        print_json(record)
    else:
        print(_text(record))
    return 0


def compare(a: str, b: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """Measure two files. ``psnr`` is in dB, infinite for equal pictures; ``bpp`` counts the whole file;
    ``metrics`` holds those named in `more`, of `calotype.bench.metrics` and its groups, with ``value`` and
    ``version``.

    Raises ImageError when their sizes differ, CalotypeError for a metric that is not known or cannot be
    measured here, and whatever reading them raises.
    """
    import numpy as np  # late: --help needs none of it

    from calotype.codec import metrics
    from calotype.codec.ssimulacra2 import ssimulacra2

    asked = _metrics(more)
    first, second = _load(a), _load(b)
    if (first.width, first.height) != (second.width, second.height):
        raise ImageError(
            f"the pictures differ in size: {a} is {first.width} x {first.height}, "
            f"{b} is {second.width} x {second.height}"
        )
    if first.alpha is not None and second.alpha is not None:
        hidden = (first.alpha == 0) & (second.alpha == 0)
        second = replace(second, pixels=np.where(hidden[..., None], first.pixels, second.pixels))
    similarity = metrics.ms_ssim(first.pixels, second.pixels)
    notes = []
    if (first.alpha is None) != (second.alpha is None) or first.alpha is not None:
        notes.append("alpha is not compared")
    if first.icc != second.icc:
        notes.append("the colour profiles differ and are not applied")
    return {
        "a": a,
        "b": b,
        "width": first.width,
        "height": first.height,
        "psnr": metrics.psnr(first.pixels, second.pixels),
        "ms_ssim": similarity,
        "ms_ssim_db": metrics.to_db(similarity),
        "ssimulacra2": ssimulacra2(first.pixels, second.pixels),
        "metrics": {
            metric.name: {
                "label": metric.label,
                "value": metric.compute(first.pixels, second.pixels),
                "unit": metric.unit,
                "version": metric.version(),
            }
            for metric in asked
        },
        "identical": bool((first.pixels == second.pixels).all()),
        "bpp_a": 8 * Path(a).stat().st_size / (first.width * first.height),
        "bpp_b": 8 * Path(b).stat().st_size / (first.width * first.height),
        "notes": notes,
    }


def _metrics(names: Sequence[str]) -> list[Metric]:
    if not names:
        return []
    from calotype.bench.metrics import METRICS, check, expand

    found = expand(names)
    check(found)
    return [METRICS[name] for name in found]


def _load(path: str) -> Any:
    from calotype.cli.pictures import read_picture

    try:
        return read_picture(path).upright()
    except CalotypeError as error:
        raise type(error)(f"{path}: {error}") from error


def _text(record: dict[str, Any]) -> str:
    lines = [
        ("size", f"{record['width']} x {record['height']}"),
        ("PSNR", f"{record['psnr']:.3f} dB" + (" (identical)" if record["identical"] else "")),
        ("MS-SSIM", f"{record['ms_ssim']:.5f} ({record['ms_ssim_db']:.2f} dB)"),
        ("SSIMULACRA2", f"{record['ssimulacra2']:.2f}"),
    ]
    for found in (found for name, found in record["metrics"].items() if name not in _SHOWN):
        version = f" ({found['version']})" if found["version"] else ""
        lines.append((found["label"], f"{found['value']:.4f} {found['unit']}".rstrip() + version))
    lines.append(("bpp", f"{record['bpp_a']:.4f} (A), {record['bpp_b']:.4f} (B)"))
    lines += [("note", note) for note in record["notes"]]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {text}" for name, text in lines)
