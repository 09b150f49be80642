"""The Python interface: pictures in, bytes out, and back. ``import calotype`` shows all of it.

A picture is a Pillow image, or a uint8 array [H, W], [H, W, 1] (grey), [H, W, 3] (RGB) or [H, W, 4] (RGB,
alpha). Which other kinds of Pillow image are converted and which are refused is in
:mod:`calotype.codec.convert`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from PIL import Image

from calotype import bitstream
from calotype.codec import arguments
from calotype.codec.files import write_file
from calotype.errors import ConversionWarning, FormatError, ImageError

if TYPE_CHECKING:  # those of an encoder are imported late, and NumPy with them: decoding needs none of it
    import numpy as np
    from numpy.typing import NDArray

    from calotype.codec.bits import Bits
    from calotype.codec.decoder import Decoded
    from calotype.codec.exposure import Encoded
    from calotype.codec.focus import Parts
    from calotype.codec.image import Picture
    from calotype.codec.metadata import ExifLike, Keep
    from calotype.codec.pack import Pack
    from calotype.codec.rate import Target

ImageLike: TypeAlias = "Image.Image | NDArray[np.uint8] | Picture"
PathLike: TypeAlias = "str | os.PathLike[str]"
BytesLike: TypeAlias = "bytes | bytearray | memoryview"
PackLike: TypeAlias = "str | Path | Pack"
Region: TypeAlias = tuple[int, int, int, int]

__all__ = ["ConversionWarning", "decode", "encode", "open", "preview", "probe", "save"]


def encode(
    image: ImageLike,
    quality: float | None = None,
    *,
    target_size: int | None = None,
    target_bpp: float | None = None,
    target_psnr: float | None = None,
    target_ms_ssim: float | None = None,
    target_ssimulacra2: float | None = None,
    lossless: bool = False,
    effort: int = 0,
    roi: Parts | Image.Image | None = None,
    tune: Literal["eyes", "psnr"] | None = None,
    pack: PackLike | None = None,
    threads: int | None = None,
    exif: ExifLike = "keep",
    icc_profile: bytes | Keep | None = "keep",
    xmp: bytes | str | Keep | None = "keep",
    strip: bool = False,
    frame: int | None = None,
    keep_hidden_colour: bool = False,
) -> bytes:
    """Compress a picture and return the bytes of a .calo file. Give a quality, or one target, or neither.

    quality:        0 (smallest) to 100 (without loss), any real number; 80 by default, where photographs look
                    flawless. From 20 to 80 it is about the SSIMULACRA2 that the file has; with
                    tune="psnr" it leads evenly through all levels.
    target_size:    bytes; the file is never larger, and within 1 % of it, a few on pages of few tiles. Beyond
                    quality 95 it is the best that fits, at most the file without loss, which meets every
                    likeness, too.
    target_bpp:     bits per pixel, counting the whole file; never more, and as near as a size.
    target_psnr:    dB; PSNR of the decoded picture over R, G and B, within 1 %.
    target_ms_ssim: above 0, below 1; its MS-SSIM, within 1 % on the scale -10 log10(1 - x).
    target_ssimulacra2: above 0, below 100; SSIMULACRA2 of the decoded picture, within half a point. 50 is
                    medium, 70 high quality, 90 hard to tell from the original.
    lossless:       store every pixel as it is, as quality 100 does.
    effort:         0 (one pass) to 9: how long to refine the file for this picture;
                    smaller or better files for more time, decoders do not notice.
    roi:            parts that count more, such as faces and text: boxes (left, top, right, bottom), or a mask
                    of the picture's size, image or array [H, W], 255 or True where it counts most. In pixels
                    of the file, as ``region``: as the camera stored them; with ``strip`` upright.
    tune:           what to be close in: "eyes" (the default), or "psnr" for archives and measurements,
                    which has less squared error and looks softer.
    pack:           name or path of a pack to use instead of those that come with the package.
    threads:        how many to use; as many as there are cores by default.
    exif:           EXIF data (bytes or a PIL.Image.Exif) in place of the picture's own; None leaves them out.
    icc_profile:    an ICC profile (bytes) in place of the picture's own, its pixels as they are; None: sRGB.
    xmp:            an XMP packet in place of the picture's own; None leaves it out.
    strip:          leave out EXIF and XMP, which tell camera, place and time; the picture is turned upright.
    frame:          which one to take of an animation or of several pages, from 0.
    keep_hidden_colour: keep the colours of pixels with alpha 0; by default they become what costs least,
                    but without loss they are kept, too.

    What was changed through the image's ``getexif()`` counts, as when Pillow saves it.

    Raises ImageError when the picture cannot be taken, LimitError when it is too large or the target cannot
    be met, PackError when the pack is missing or unfit, ValueError for options that are out of range or
    exclude each other and for EXIF or XMP that are none, TypeError for those of another kind. Gives a
    ConversionWarning when the picture was converted in a way that loses something, such as 16 bits to 8.
    """
    arguments.check(
        quality=quality,
        target_size=target_size,
        target_bpp=target_bpp,
        target_psnr=target_psnr,
        target_ms_ssim=target_ms_ssim,
        target_ssimulacra2=target_ssimulacra2,
        lossless=lossless,
        effort=effort,
        tune=tune,
        pack=pack,
        threads=threads,
        exif=exif,
        icc_profile=icc_profile,
        xmp=xmp,
        strip=strip,
        frame=frame,
        keep_hidden_colour=keep_hidden_colour,
    )
    target = to_target(
        size=target_size,
        bpp=target_bpp,
        psnr=target_psnr,
        ms_ssim=target_ms_ssim,
        ssimulacra2=target_ssimulacra2,
    )
    if tune is not None:
        if pack is not None:
            raise ValueError("give tune or pack, not both")
        from calotype.codec import library  # late: opening and probing need no packs

        pack = library.tuned(tune)
    picture = to_picture(image, frame)
    for note in picture.notes:
        warnings.warn(note, ConversionWarning, stacklevel=2)
    if strip:
        picture = picture.stripped()
    picture = picture.given(exif, icc_profile, xmp)
    if roi is not None:
        picture = picture.focused(roi)
    if not (keep_hidden_colour or lossless or quality == 100):
        picture = picture.concealed()
    coded = encode_picture(
        picture, quality, target, lossless=lossless, effort=effort, pack=pack, threads=threads
    )
    if coded.note:
        warnings.warn(coded.note, ConversionWarning, stacklevel=2)
    return coded.data


def decode(
    data: BytesLike,
    region: Region | None = None,
    *,
    pack: PackLike | None = None,
    threads: int | None = None,
    max_pixels: int | None = None,
    max_metadata: int | None = None,
    damaged: Literal["error", "keep"] = "error",
) -> Image.Image:
    """Decompress a .calo file into a Pillow image of mode L, LA, RGB or RGBA, metadata in its ``info``.

    region:     (left, top, right, bottom) in pixels, as in Pillow's ``crop``; only the tiles it needs are
                decoded.
    pack:       where to look first for the pack that the file names.
    threads:    how many to use; as many as there are cores by default.
    max_pixels: the largest picture to decode; by default Pillow's own limit, twice Image.MAX_IMAGE_PIXELS.
    max_metadata: most bytes of ICC profile, EXIF and XMP together; 16 MiB by default.
    damaged:    "error" refuses a damaged file; "keep" decodes what is left and fills damaged tiles.

    The pixels are as they were given to ``encode``: a picture with an EXIF orientation is turned by whoever
    shows it (``PIL.ImageOps.exif_transpose``).

    Raises FormatError when the data are not a .calo file, or truncated or damaged, LimitError when the
    picture is too large, PackError when the file needs a pack that is not here, ValueError for a region
    that is empty or not inside the picture, TypeError for arguments of another kind.
    """
    arguments.check(region=region)
    _check_reading(pack, threads, max_pixels, max_metadata, damaged)
    decoded = decode_picture(
        data,
        region,
        pack=pack,
        threads=threads,
        max_pixels=max_pixels,
        max_metadata=max_metadata,
        damaged=damaged,
    )
    return decoded.to_pil()


def preview(
    data: BytesLike,
    *,
    pack: PackLike | None = None,
    threads: int | None = None,
    max_pixels: int | None = None,
    max_metadata: int | None = None,
    damaged: Literal["error", "keep"] = "error",
) -> Image.Image:
    """The picture at an eighth of its size, ceil(width / 8) x ceil(height / 8), from each tile's first part.

    Many times faster than :func:`decode`, with the same options and metadata. With ``damaged="keep"`` also
    from a file that is cut off: what there is of the tile where it ends is shown, and plain grey after that.
    Nothing vouches for that tile, so such a preview may be wrong.

    Raises what :func:`decode` does.
    """
    _check_reading(pack, threads, max_pixels, max_metadata, damaged)
    options: dict[str, Any] = {"pack": pack, "threads": threads, "damaged": damaged}
    return preview_picture(data, limits(max_pixels, max_metadata), **options).to_pil()


def open(source: PathLike | IO[bytes], region: Region | None = None, **options: Any) -> Image.Image:
    """Read and decode a .calo file (a path or a file object), with the options of :func:`decode`."""
    return decode(_read(source), region, **options)


def save(
    image: ImageLike, target: PathLike | IO[bytes], quality: float | None = None, **options: Any
) -> None:
    """Compress a picture into a file (a path or a file object), with the options of :func:`encode`.

    The file appears under its name when all of it is written; a failure leaves what was there before.
    """
    data = encode(image, quality, **options)
    if isinstance(target, (str, os.PathLike)):
        write_file(target, data)
    elif not hasattr(target, "write"):
        raise ValueError(f"expected a path or a file opened for writing bytes, not {type(target).__name__}")
    else:
        target.write(data)


def probe(
    source: PathLike | BytesLike | IO[bytes],
    *,
    bits: bool = False,
    pack: PackLike | None = None,
    max_pixels: int | None = None,
    max_metadata: int | None = None,
) -> dict[str, Any]:
    """Every field of a .calo file by its name in docs/FORMAT.md, ready for JSON, without loading a network.

    bits:         add ``bits``: what the bits of the tiles went to. This needs the file's pack.
    pack:         where to look first for that pack.
    max_pixels:   beyond it only the header is described; by default 2**30, as nothing is decoded.
    max_metadata: most bytes of ICC profile, EXIF and XMP together; 16 MiB by default.

    A damaged or too large file is described as far as it can be read; ``error`` then says what is wrong with
    it, else it is None. Raises FormatError when ``source`` is not a .calo file at all, and with ``bits`` also
    when it is damaged; then LimitError when it is too large, PackError when its pack is not here or does not
    count.
    """
    _check_reading(pack, None, max_pixels, max_metadata)
    data = source if isinstance(source, (bytes, bytearray, memoryview)) else _read(source)
    fields = bitstream.probe(data, limits=_limits(max_pixels, max_metadata))
    if bits:
        fields["bits"] = count_bits(data, limits(max_pixels, max_metadata), pack).to_dict()
    return fields


def count_bits(
    data: BytesLike, limits: bitstream.Limits, pack: PackLike | None = None, *, keep_damaged: bool = False
) -> Bits:
    """As ``bits`` of :func:`probe`, for the command line: with maps, and of damaged files too."""
    from calotype.codec import bits  # late: plain probing needs no pack

    return bits.count(data, pack=pack, limits=limits, keep_damaged=keep_damaged)


def to_picture(image: ImageLike, frame: int | None = None) -> Picture:
    """Bring what people have to what the codec takes. Raises ImageError."""
    import numpy as np

    from calotype.codec.image import Picture

    if isinstance(image, Image.Image):
        return Picture.from_pil(image, frame)
    if frame:
        raise ImageError(f"the picture has no frame {frame}; its only frame is 0")
    if isinstance(image, Picture):
        return image
    if hasattr(image, "__array__") or hasattr(image, "__array_interface__"):
        return Picture.from_array(np.asanyarray(image))
    raise ImageError(f"expected a Pillow image or a uint8 array, not {type(image).__name__}")


def to_target(**figures: float | None) -> Target | None:
    """The one target that is given, by its kind, if any. Raises ValueError for two."""
    given: list[tuple[Any, float]] = [(kind, value) for kind, value in figures.items() if value is not None]
    if len(given) > 1:
        raise ValueError("give one target, not " + " and ".join(kind for kind, _ in given))
    if not given:
        return None
    from calotype.codec.rate import Target

    return Target(*given[0])


def encode_picture(
    picture: Picture,
    quality: float | None = None,
    target: Target | None = None,
    *,
    lossless: bool = False,
    effort: int = 0,
    pack: PackLike | None = None,
    threads: int | None = None,
) -> Encoded:
    """As :func:`encode`, for the command line: the file together with the level that it is coded at."""
    from calotype.codec import encoder  # late: opening and probing need no networks

    return encoder.encode(
        picture,
        quality=quality,
        target=target,
        lossless=lossless,
        effort=effort,
        pack=pack,
        threads=threads,
    )


def decode_picture(
    data: BytesLike,
    region: Region | None = None,
    *,
    pack: PackLike | None = None,
    threads: int | None = None,
    max_pixels: int | None = None,
    max_metadata: int | None = None,
    damaged: Literal["error", "keep"] = "error",
) -> Decoded:
    """As :func:`decode`, for the command line: the picture, and what was wrong with a damaged file."""
    from calotype.codec import decoder  # late: as above

    return decoder.decode(
        _bytes(data),
        region=region,
        pack=pack,
        threads=threads,
        damaged=damaged,
        # A part of a huge picture takes little memory, so the default is for whole pictures.
        limits=(_limits if region is not None else limits)(max_pixels, max_metadata),
    )


def preview_picture(data: BytesLike, limits: bitstream.Limits, **options: Any) -> Decoded:
    """As :func:`preview`, for the command line: the picture, and what was wrong with a damaged file."""
    from calotype.codec import decoder  # late: as above

    return decoder.preview(_bytes(data), limits=limits, **options)


def limits(max_pixels: int | None, max_metadata: int | None = None) -> bitstream.Limits:
    """What a reader accepts: ``max_pixels``, or when it is None as much as Pillow does; and metadata."""
    if max_pixels is None and Image.MAX_IMAGE_PIXELS is not None:
        max_pixels = 2 * Image.MAX_IMAGE_PIXELS
    return _limits(max_pixels, max_metadata)


def _check_reading(
    pack: object, threads: object, max_pixels: object, max_metadata: object, damaged: object = None
) -> None:
    """The arguments of all functions that read. Raises TypeError, ValueError."""
    arguments.check(
        pack=pack, threads=threads, max_pixels=max_pixels, max_metadata=max_metadata, damaged=damaged
    )


def _limits(max_pixels: int | None, max_metadata: int | None) -> bitstream.Limits:
    """The limits that are given; those of the format for the others."""
    given = {"max_pixels": max_pixels, "max_metadata": max_metadata}
    return bitstream.Limits(**{name: value for name, value in given.items() if value is not None})


def _bytes(data: object) -> bytes | memoryview:
    if isinstance(data, (bytes, memoryview)):
        return data
    if isinstance(data, bytearray):
        return bytes(data)
    hint = (
        "; calotype.open reads a file"
        if isinstance(data, (str, os.PathLike)) or hasattr(data, "read")
        else ""
    )
    raise FormatError(f"expected the bytes of a .calo file, not {type(data).__name__}{hint}")


def _read(source: PathLike | IO[bytes]) -> bytes:
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    if hasattr(source, "read"):
        return bytes(_bytes(source.read()))
    raise FormatError(f"expected a path or a file opened for reading bytes, not {type(source).__name__}")
