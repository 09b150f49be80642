"""``calotype decode``: .calo files into pictures."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calotype.cli.jobs import CALO_SUFFIX, STANDARD, Job, Plan, UsageError, check_terminal, read_bytes
from calotype.cli.options import (
    MAX_PIXELS,
    add_files,
    add_max_metadata,
    colour,
    count,
    parse,
    parser,
    prepare_pillow,
    region,
)
from calotype.errors import CalotypeError, FormatError, ImageError

if TYPE_CHECKING:
    from PIL import Image

    from calotype.bitstream import Limits
    from calotype.cli.batch import Buffer
    from calotype.codec.decoder import Decoded

_EPILOG = """\
examples:
  calotype decode photo.calo                            writes photo.png
  calotype decode photo.calo photo.jpg
  calotype decode photo.calo part.png --region 1024,0,512,512
  calotype decode photo.calo small.png --preview        at an eighth of its size, in a fraction of the time
  calotype decode photo.calo small.png --size 256       a thumbnail of at most 256 pixels a side
  calotype decode *.calo out/ --format webp
  calotype decode photo.calo - | display -
  calotype decode photo.calo --models runs/             a file of a laboratory model (docs/training.md)

With two or more paths the last one is the output when it is a folder, ends in '/', does not end in '.calo',
or is '-'. Metadata are kept where the format holds them. A picture with an EXIF orientation stays as it was
stored, with its tag; --upright turns it, as do formats that hold no EXIF. JPEG and AVIF are written at
quality 95, WebP without loss.
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser()
    given = parse(options, arguments)
    if swallowed := [path for path in given.models if path.lower().endswith(CALO_SUFFIX)]:
        options.error(f"--models takes folders, not {swallowed[0]}; name the files before it")
    suffix = "." + given.format.lower().lstrip(".") if given.format else ".png"
    plan = Plan(frozenset([CALO_SUFFIX]), suffix, lambda path: not path.lower().endswith(CALO_SUFFIX))
    try:
        jobs = plan.jobs(given.paths, given.output, given.recursive)
        check_terminal(jobs, given.json)
    except UsageError as error:
        options.error(str(error))
    from calotype.codec import library  # late: --help and wrong usage need none of what these bring

    if jobs and jobs[0].source != STANDARD:
        library.expect(jobs[0].source, given.pack)
    from calotype.cli import batch

    return batch.run(
        jobs,
        lambda job, threads: _decode(job, given, suffix, threads),
        _summary,
        workers=given.workers,
        force=given.force,
        json=given.json,
        quiet=given.quiet,
    )


def _parser() -> argparse.ArgumentParser:
    options = parser("decode", "Decompress .calo files into pictures.", _EPILOG)
    add_files(
        options, ".calo files", "a picture, a folder or '-'; by default beside the input, ending in .png"
    )
    add_max_metadata(options)
    options.add_argument(
        "--format", metavar="SUFFIX", help="of the output: png (default), jpg, webp, tif, ..."
    )
    part = options.add_mutually_exclusive_group()
    part.add_argument(
        "--region", type=region, metavar="X,Y,W,H", help="decode this part only, in stored pixels"
    )
    part.add_argument(
        "--preview",
        action="store_true",
        help="an eighth of width and height, from the first part of each tile; with --keep-damaged also of a "
        "file that is cut off",
    )
    options.add_argument(
        "--size",
        type=count,
        metavar="N",
        help="scale down to at most N pixels in width and height, for thumbnails; made of the preview where "
        "that is large enough",
    )
    options.add_argument(
        "--upright", action="store_true", help="turn the pixels as the EXIF orientation asks"
    )
    options.add_argument(
        "--background",
        type=colour,
        metavar="COLOUR",
        help="what shows through where the picture is transparent, such as white or #808080; no alpha then",
    )
    options.add_argument("--keep-damaged", action="store_true", help="decode what is left of a damaged file")
    options.add_argument("--pack", metavar="PACK", help="folder or .zip of a pack to look into first")
    options.add_argument(
        "--models",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="where to look for the checkpoint of a laboratory file, before CALOTYPE_MODELS and the current "
        "folder; stands after the files",
    )
    return options


def _decode(job: Job, given: argparse.Namespace, suffix: str, threads: int) -> tuple[Buffer, dict[str, Any]]:
    from calotype.codec import decoder

    named = job.target != STANDARD and Path(job.target).suffix and not given.format
    form = _format_of(job.target if named else suffix)
    data = read_bytes(job.source)
    fits = given.size is not None and given.region is None
    preview = given.preview or (fits and _fills(data, given.size, given.keep_damaged))
    if not preview and _is_lab(data):
        return _decode_lab(data, given, form)
    options: dict[str, Any] = {
        "pack": given.pack,
        "threads": threads,
        "damaged": "keep" if given.keep_damaged else "error",
        "limits": _limits(given, preview),
    }
    try:
        decoded = (
            decoder.preview(data, **options)
            if preview
            else decoder.decode(data, region=given.region, **options)
        )
    except FormatError as error:
        small = None
        if given.keep_damaged and not preview:
            with contextlib.suppress(CalotypeError):
                small = decoder.preview(data, **{**options, "limits": _limits(given, True)})
        if small is None:
            raise
        raise FormatError(f"{error}; --preview shows what is left, small") from error
    except ValueError as error:  # the region is not inside this picture
        raise ImageError(str(error)) from error
    damaged, problem = list(decoded.damaged), decoded.error
    if form == "PNG" and decoded.photo and _as_it_is(decoded, given):
        from calotype.coder.files import png

        assert decoded.pixels.shape is not None  # which some views have not
        size = decoded.pixels.shape[1], decoded.pixels.shape[0]
        file: Buffer = png(decoded.pixels, threads)
        notes: list[str] = []
    else:
        prepare_pillow(given.max_pixels)
        image, photo = decoded.to_pil(), decoded.photo
        del decoded  # its pixels, which image has a copy of; they may be large
        file, notes, size = _to_file(image, given, form, photo)
    if problem is not None:
        what = "not whole" if preview else "filled in"
        notes.append(f"damaged ({problem}); tiles {what}: {len(damaged)}")
    return file, _record(data, form, size, damaged, notes)


def _decode_lab(data: bytes, given: argparse.Namespace, form: str) -> tuple[Buffer, dict[str, Any]]:
    from calotype.cli import checkpoints

    prepare_pillow(given.max_pixels)
    picture = checkpoints.decode(data, given.models, given.region, given.max_pixels, given.max_metadata)
    image, cut = picture.to_pil(), picture.notes
    del picture  # as above
    file, notes, size = _to_file(image, given, form, photo=True)
    return file, _record(data, form, size, [], [*cut, *notes])


def _record(
    data: bytes, form: str, size: tuple[int, int], damaged: list[int], notes: list[str]
) -> dict[str, Any]:
    return {
        "width": size[0],
        "height": size[1],
        "format": form,
        "bytes": len(data),
        "damaged_tiles": damaged,
        "notes": notes,
    }


def _format_of(name: str) -> str:
    """Pillow's name of the format of a file name or suffix, without Pillow for the most common."""
    if name.lower().endswith(".png"):
        return "PNG"
    from calotype.cli import writing

    return writing.format_of(name)


def _as_it_is(decoded: Decoded, given: argparse.Namespace) -> bool:
    """Whether the file to write holds the decoded pixels and nothing else, for which Pillow is not needed."""
    changed = given.size is not None or given.upright or given.background is not None
    return not changed and decoded.icc is decoded.exif is decoded.xmp is None


def _to_file(
    image: Image.Image, given: argparse.Namespace, form: str, photo: bool
) -> tuple[Buffer, list[str], tuple[int, int]]:
    """The picture as a file, notes, and its size."""
    from calotype.cli import writing

    if given.size is not None:
        image.thumbnail((given.size, given.size))
    if given.upright:
        from calotype.codec import metadata  # late: few ask for it

        image = metadata.upright(image)
    file, notes = writing.to_file(image, form, given.background, photo=photo)
    return file, notes, image.size


def _limits(given: argparse.Namespace, preview: bool) -> Limits:
    """The largest picture to decode. A part of a huge one takes little memory, so the default is for all."""
    from calotype.bitstream import Limits

    asked = {"max_pixels": given.max_pixels, "max_metadata": given.max_metadata}
    if given.region is None or preview:
        asked["max_pixels"] = given.max_pixels or MAX_PIXELS
    return Limits(**{name: value for name, value in asked.items() if value is not None})


def _is_lab(data: bytes) -> bool:
    """Whether the bytes are a laboratory file, as far as the header tells; damage is for ``decode``."""
    from calotype import bitstream

    try:
        return bitstream.probe(data)["lab"] is True
    except CalotypeError:
        return False


def _fills(data: bytes, size: int, keep: bool) -> bool:
    """Whether the preview in a file is at least as large as a square of so many pixels, one way.

    keep: also of a damaged file, or one that is cut off
    """
    from calotype import bitstream
    from calotype.codec.decoder import EIGHTH

    with contextlib.suppress(CalotypeError):  # decoding says what is wrong
        header = bitstream.parse(data, damaged="prefix" if keep else "error").header
        return not header.lab and max(header.width, header.height) >= EIGHTH * size
    return False


def _summary(record: dict[str, Any]) -> str:
    source = "standard input" if record["input"] == STANDARD else record["input"]
    return f"{source} -> {record['output']}  {record['width']} x {record['height']}"
