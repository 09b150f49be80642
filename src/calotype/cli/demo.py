"""``calotype demo [PHOTO]``: compress a photograph and set it beside JPEG and AVIF of the same size."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calotype.cli.options import add_max_pixels, number, parser, prepare_pillow
from calotype.cli.report import print_json
from calotype.cli.waiting import apart

if TYPE_CHECKING:
    from calotype.codec.arrays import UInt8Array

PHOTO = Path(__file__).parent / "photos" / "lake-sherburne.jpg"
FOLDER = "calotype-demo"
QUALITY = 50.0

_EPILOG = """\
The photograph is compressed and decoded again by Calotype. JPEG and AVIF (as Pillow writes them, AVIF at
speed 6) get the quality whose file is nearest in size to Calotype's, with 4:2:0 or 4:4:4 colour, whichever
is closer to the original. Metadata are left out of all files. The folder gets the files and comparison.png,
which shows the same detail of all of them. Times are for one picture, the networks loaded.
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    given = _parser().parse_args(arguments)
    prepare_pillow(given.max_pixels)
    folder = _folder(given.output, given.force)
    report = apart(lambda: run(given.photo, folder, given.quality, given.force))
    if given.json:
        print_json(report)
    else:
        print(_table(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    options = parser(
        "demo", "Compress a photograph and set it beside JPEG and AVIF of the same size.", _EPILOG
    )
    options.add_argument(
        "photo", nargs="?", default=str(PHOTO), metavar="PHOTO", help="default: the bundled one"
    )
    options.add_argument(
        "-q",
        "--quality",
        type=number(0, 100),
        default=QUALITY,
        metavar="Q",
        help=f"0 to 100; default {QUALITY:g}",
    )
    options.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help=f"for the files; default: {FOLDER}, or a number after it if it exists",
    )
    options.add_argument("-f", "--force", action="store_true", help="overwrite files that exist")
    options.add_argument("--json", action="store_true", help="print one JSON object")
    add_max_pixels(options)
    return options


def _folder(asked: str | None, force: bool) -> Path:
    folder, count = Path(asked or FOLDER), 1
    while asked is None and not force and folder.exists():
        count += 1
        folder = Path(f"{FOLDER}-{count}")
    return folder


def run(photo: str, folder: Path, quality: float, force: bool = False) -> dict[str, Any]:
    """Do it all; returns what was measured, codec by codec. Raises ImageError, PackError and OSError."""
    from PIL import Image

    from calotype.cli import rivals
    from calotype.cli.pictures import read_picture
    from calotype.cli.sheet import draw
    from calotype.cli.writing import to_file
    from calotype.codec.files import write_file

    pixels = read_picture(photo).upright().pixels
    results = [_ours(pixels, quality)]
    results += [rivals.match(name, pixels, len(results[0].data)) for name in rivals.names()]
    stem = Path(photo).stem
    files = {f"{stem}{result.suffix}": result.data for result in results}
    files[f"{stem}.calo.png"] = to_file(Image.fromarray(results[0].pixels), "PNG")[0]
    files["comparison.png"] = draw(pixels, results)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_file(folder / name, data, overwrite=force)
    height, width = pixels.shape[:2]
    return {
        "photo": photo,
        "width": width,
        "height": height,
        "codecs": [result.record(width * height) for result in results],
        "files": [str(folder / name) for name in files],
    }


def _ours(pixels: UInt8Array, quality: float) -> Any:
    from calotype import api
    from calotype.cli.rivals import Result
    from calotype.codec.image import Picture

    picture = Picture(pixels)
    api.decode_picture(api.encode_picture(picture, quality).data)  # loads the networks
    start = time.perf_counter()
    data = api.encode_picture(picture, quality).data
    middle = time.perf_counter()
    decoded = api.decode_picture(data).picture.pixels
    end = time.perf_counter()
    return Result.measure(
        "Calotype", ".calo", f"quality {quality:g}", data, pixels, decoded, middle - start, end - middle
    )


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['photo']}, {report['width']} x {report['height']}",
        "",
        "codec      bytes    bpp     PSNR      MS-SSIM            encode   decode   setting",
    ]
    for codec in report["codecs"]:
        lines.append(
            f"{codec['codec']:9}{codec['bytes']:8,}  {codec['bpp']:.3f}  {codec['psnr']:5.2f} dB  "
            f"{codec['ms_ssim']:.4f} ({codec['ms_ssim_db']:5.2f} dB)  {codec['encode_seconds']:5.2f} s  "
            f"{codec['decode_seconds']:5.2f} s   {codec['setting']}"
        )
    return "\n".join([*lines, "", *report["files"]])
