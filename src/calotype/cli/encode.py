"""``calotype encode``: pictures into .calo files."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from calotype.cli.jobs import CALO_SUFFIX, PICTURE_SUFFIXES, STANDARD, Job, Plan, UsageError, check_terminal
from calotype.cli.options import add_files, count, frame, number, parse, parser, prepare_pillow, region, size

if TYPE_CHECKING:
    from PIL import Image

    from calotype.cli.batch import Buffer
    from calotype.codec.image import Picture
    from calotype.codec.rate import Kind, Target

FOR_PACKS = ("effort", "roi", "roi_mask")
KINDS: tuple[Kind, ...] = ("size", "bpp", "psnr", "ms_ssim", "ssimulacra2")

_EPILOG = """\
examples:
  calotype encode photo.jpg                        writes photo.calo
  calotype encode photo.jpg small.calo -q 40
  calotype encode photo.jpg --target-size 40k      the best that fits into 40,000 bytes
  calotype encode *.jpg out/ --workers 4 --json
  calotype encode photos/ out/ --recursive
  calotype encode photo.jpg --effort 3             looks better at its size, takes some sixty times as long
  calotype encode photo.jpg --roi 200,80,240,300   more of the bits for a face (x,y,width,height)
  calotype encode scan.png --tune psnr --effort 5  least squared error, takes longer
  calotype encode photo.png photo.calo --model runs/cheng/0.013     a laboratory model (docs/training.md)

With two or more paths the last one is the output when it is a folder, ends in '/' or '.calo', or is '-'.
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser()
    given = parse(options, arguments)
    plan = Plan(PICTURE_SUFFIXES, CALO_SUFFIX, lambda path: path.lower().endswith(CALO_SUFFIX))
    try:
        _check_model(given)
        _check_roi(given)
        target = _target(given)
        jobs = plan.jobs(given.paths, given.output, given.recursive)
        check_terminal(jobs, given.json)
    except (UsageError, ValueError) as error:
        options.error(str(error))
    from calotype.cli import batch  # late: --help and wrong usage need none of what it brings

    prepare_pillow(given.max_pixels)
    return batch.run(
        jobs,
        lambda job, threads: _encode(job, given, target, threads),
        _summary,
        workers=given.workers,
        force=given.force,
        json=given.json,
        quiet=given.quiet,
    )


def _parser() -> argparse.ArgumentParser:
    options = parser("encode", "Compress pictures into .calo files.", _EPILOG)
    add_files(
        options, "pictures", "a .calo file, a folder or '-'; by default beside the input, ending in .calo"
    )
    rate = options.add_mutually_exclusive_group()
    rate.add_argument(
        "-q",
        "--quality",
        type=number(0, 100),
        metavar="Q",
        help="0 (smallest) to 100 (without loss); from 20 to 80 about the SSIMULACRA2; default 80"
        ": looks flawless",
    )
    rate.add_argument("--lossless", action="store_true", help="store every pixel as it is, as -q 100 does")
    rate.add_argument(
        "--target-size", type=size, metavar="SIZE", help="bytes per file, never more: 40k, 1.5M, 40KiB"
    )
    rate.add_argument("--target-bpp", type=float, metavar="BPP", help="bits per pixel, never more")
    rate.add_argument("--target-psnr", type=float, metavar="DB", help="PSNR over R, G, B in dB")
    rate.add_argument("--target-ms-ssim", type=float, metavar="X", help="MS-SSIM, below 1, such as 0.98")
    rate.add_argument(
        "--target-ssimulacra2",
        type=float,
        metavar="X",
        help="SSIMULACRA2, above 0 and below 100: 70 is high quality",
    )
    options.add_argument(
        "--effort",
        type=int,
        choices=range(10),
        metavar="N",
        help="0 (one pass, the default) to 9: how long to look for a better file",
    )
    parts = options.add_mutually_exclusive_group()
    parts.add_argument(
        "--roi",
        type=region,
        action="append",
        metavar="X,Y,W,H",
        help="a part that counts more, such as a face; may be given several times. In pixels of the file: as"
        " the camera stored them, with --strip upright",
    )
    parts.add_argument(
        "--roi-mask",
        metavar="FILE",
        help="a picture of the same size, white where errors count more, black where as usual",
    )
    options.add_argument(
        "--strip",
        action="store_true",
        help="leave out EXIF and XMP (camera, place, time); turns the picture upright",
    )
    options.add_argument(
        "--frame",
        type=frame,
        metavar="N",
        help="which one to take of an animation or of several pages; the first is 0",
    )
    options.add_argument(
        "--accept-truncated", action="store_true", help="read what there is of a file that is cut off"
    )
    options.add_argument(
        "--keep-hidden-colour",
        action="store_true",
        help="keep the colours of wholly transparent pixels, as --lossless does; by default they become what"
        " costs least",
    )
    networks = options.add_mutually_exclusive_group()
    networks.add_argument(
        "--tune",
        choices=("eyes", "psnr"),
        help="what to be close in: eyes, the default, or psnr, which has less squared error and looks softer",
    )
    networks.add_argument(
        "--pack",
        metavar="PACK",
        help="name, folder or .zip of another pack than those that come along",
    )
    networks.add_argument(
        "--model",
        metavar="CHECKPOINT",
        help="code with a laboratory model instead of a pack: a .safetensors checkpoint, or a run's folder",
    )
    options.add_argument(
        "--iterations",
        type=count,
        metavar="N",
        help="with --model, of a recurrent system: how many, each a part of the file; default: all it has",
    )
    return options


def _check_model(given: argparse.Namespace) -> None:
    """A checkpoint has its own rate, or that of so many iterations. Raises UsageError for options in each
    other's way.
    """
    if given.model is None:
        if given.iterations is not None:
            raise UsageError("--iterations is for a laboratory model: give --model CHECKPOINT, too")
        return
    for name in ("quality", "lossless", *(f"target_{kind}" for kind in KINDS), *FOR_PACKS):
        if getattr(given, name) not in (None, False):
            why = "the rate is the checkpoint's, of recurrent systems that of --iterations"
            why = "it is for packs" if name in FOR_PACKS else why
            raise UsageError(f"--{name.replace('_', '-')} has no meaning with --model: {why}")


def _check_roi(given: argparse.Namespace) -> None:
    """Raises UsageError where nothing is lost that could be weighed."""
    if (given.roi or given.roi_mask) and (given.lossless or given.quality == 100):
        option = "--roi" if given.roi else "--roi-mask"
        raise UsageError(f"{option} weighs what is lost, and nothing is without loss: give one of the two")


def _target(given: argparse.Namespace) -> Target | None:
    from calotype.codec.rate import Target

    for kind in KINDS:
        if (value := getattr(given, f"target_{kind}")) is not None:
            return Target(kind, value)
    return None


def _encode(
    job: Job, given: argparse.Namespace, target: Target | None, threads: int
) -> tuple[Buffer, dict[str, Any]]:
    from calotype import api
    from calotype.cli.pictures import read_picture
    from calotype.codec import library
    from calotype.errors import ImageError

    picture = read_picture(
        job.source,
        given.frame,
        accept_truncated=given.accept_truncated,
        hint="--accept-truncated reads what there is",
    )
    if given.strip:
        picture = picture.stripped()
    if given.roi or given.roi_mask:
        try:
            picture = picture.focused(given.roi or _mask(given.roi_mask, upright=given.strip))
        except ValueError as error:
            raise ImageError(str(error)) from error
    if not (given.keep_hidden_colour or given.lossless or given.quality == 100):
        picture = picture.concealed()
    record: dict[str, Any]
    if given.model is not None:
        from calotype.cli import checkpoints  # late: packs do without

        data = checkpoints.encode(picture, given.model, given.max_pixels, given.iterations)
        record = {"quality": None, "level": None, "reached": None, "model": given.model}
        return data, _record(picture, data) | record
    pack = library.tuned(given.tune) if given.tune else given.pack
    coded = api.encode_picture(
        picture,
        given.quality,
        target,
        lossless=given.lossless,
        effort=given.effort or 0,
        pack=pack,
        threads=threads,
    )
    if coded.note:
        picture = replace(picture, notes=(*picture.notes, coded.note))
    record = {"quality": coded.quality, "level": coded.level, "reached": coded.reached}
    return coded.data, _record(picture, coded.data) | record


def _mask(path: str, *, upright: bool) -> Image.Image:
    """The picture of a mask, turned as those are that it is for."""
    from calotype.cli.pictures import read_picture
    from calotype.errors import ImageError

    try:
        mask = read_picture(path)
    except ImageError as error:
        raise ImageError(f"the mask {path}: {error}") from error
    return (mask.upright() if upright else mask).to_pil()


def _record(picture: Picture, data: bytes) -> dict[str, Any]:
    return {
        "width": picture.width,
        "height": picture.height,
        "bytes": len(data),
        "bpp": 8 * len(data) / (picture.width * picture.height),
        "notes": list(picture.notes),
    }


def _summary(record: dict[str, Any]) -> str:
    source = "standard input" if record["input"] == STANDARD else record["input"]
    how = f"model {record['model']}" if "model" in record else f"quality {record['quality']:.1f}"
    return (
        f"{source} -> {record['output']}  {record['width']} x {record['height']}, "
        f"{record['bytes']:,} bytes, {record['bpp']:.3f} bpp, {how}"
    )
