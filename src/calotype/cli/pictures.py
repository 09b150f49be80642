"""Reading ordinary picture files, for ``encode`` and ``compare``."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError, features

from calotype.cli.jobs import STANDARD, read_bytes
from calotype.codec import mend
from calotype.codec.convert import RAW, DamageError
from calotype.codec.image import Picture
from calotype.errors import CalotypeError, ImageError, LimitError

#: Raw files by their first bytes: where they stand, and what they are.
_RAW = (
    (8, b"CR\2", "CR2"), (4, b"ftypcrx ", "CR3"), (0, b"FUJIFILMCCD-RAW", "RAF"), (0, b"IIRO", "ORF"),
    (0, b"IIRS", "ORF"), (0, b"MMOR", "ORF"), (0, b"IIU\0", "RW2"), (0, b"FOVb", "X3F"), (0, b"\0MRM", "MRW"),
)  # fmt: skip
#: Those that begin like any TIFF, by the ends of their names. DNG is known by a tag, too.
_RAW_NAMES = frozenset({
    ".3fr", ".arw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".nef", ".nrw", ".pef", ".rwl",
    ".sr2", ".srw",
})  # fmt: skip
_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

#: What Pillow says of files that it reads in part when it is told to,
_IN_PART = ("image file is truncated", "cannot load this image")
#: and of those of which it shows nothing then.
_NOTHING = ("not enough image data", "truncated file read", "truncated data", "reached eof")
#: What it says of files that are whole, but not of a kind that it reads; and of either.
_UNREAD = ("unsupported", "not supported", "cannot find loader", "unable to locate", "unknown pixel mode")
_EITHER = ("decoder error -2",)
_CUT = "the file is cut off or damaged"
_JPEG2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
#: Files that say what they are, though Pillow finds no picture in them.
_MAGIC = (b"GIF8", b"II*\0", b"MM\0*", b"\0\0\1\0", b"icns", b"8BPS", b"qoif", *_JPEG2000)

# Whether Pillow takes truncated files is a setting of the whole process.
_tolerance = threading.Lock()


def read_picture(
    source: str, frame: int | None = None, *, accept_truncated: bool = False, hint: str = ""
) -> Picture:
    """Read a picture file, a pipe or standard input.

    frame:            which one to take of an animation or of several pages, from 0
    accept_truncated: read what there is of a file that is cut off; by default only what lacks no pixel
    hint:             said of a file that could be read so and is not

    Raises ImageError, LimitError and OSError.
    """
    with _opened(source) as stream, _tolerance if accept_truncated else contextlib.nullcontext():
        try:
            with _image(stream, source) as image:
                return Picture.from_pil(image, frame)
        except DamageError as error:
            stream.seek(0)
            data = stream.read()
            if (mended := mend.mended(data)) is not None:
                with contextlib.suppress(DamageError), _image(io.BytesIO(mended[0]), source) as image:
                    picture = Picture.from_pil(image, frame)
                    return replace(picture, notes=(*picture.notes, mended[1]))
            said = str(error).lower()
            if any(words in said for words in _NOTHING) or data.startswith(_JPEG2000):
                raise DamageError(_CUT) from error
            if accept_truncated:
                return _truncated(data, source, frame)
            if isinstance(error.__cause__, OSError):
                _refuse_unread(error.__cause__)
            if any(words in said for words in _IN_PART):
                raise DamageError(f"{_CUT}; {hint}" if hint else _CUT) from error
            raise


def _truncated(data: bytes, source: str, frame: int | None) -> Picture:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with _image(io.BytesIO(data), source) as image:
            picture = Picture.from_pil(image, frame)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return replace(picture, notes=(*picture.notes, "the file is truncated: parts of the picture are missing"))


@contextlib.contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    """A file that can be read more than once; a pipe is read into memory."""
    if source == STANDARD or not Path(source).is_file():
        data = read_bytes(source)
        with io.BytesIO(data) as stream:
            yield stream
    else:
        with Path(source).open("rb") as stream:
            yield stream


def _image(stream: IO[bytes], source: str) -> Image.Image:
    """Open a picture with Pillow. Raises ImageError, LimitError and OSError."""
    head = stream.read(64)
    stream.seek(0)
    if not head:
        raise ImageError("the file is empty")
    _refuse_raw(head, source)
    try:
        return Image.open(stream)
    except UnidentifiedImageError as error:
        if head[4:8] == b"ftyp" and head[8:12] in _AVIF and features.check("avif"):
            raise DamageError(_CUT) from error
        if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
            return _heif(stream)
        if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):  # it says what it is, but
            raise DamageError("the picture is damaged or cannot be read") from error
        if head.startswith(_MAGIC):
            _refuse_unread(_why_no_tiff(stream))
            raise DamageError(_CUT) from error
        raise ImageError("not a picture, or of a format that Pillow does not read") from error
    except Image.DecompressionBombError as error:
        raise LimitError(f"{error} --max-pixels allows more") from error
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and not error.errno:  # Pillow's own, and not of the file system
            _refuse_unread(error)
            raise DamageError(_CUT) from error
        raise
    except Exception as error:  # Pillow's readers may raise anything for damaged data
        raise DamageError(f"the picture is damaged: {str(error) or type(error).__name__}") from error


def _refuse_unread(error: Exception | None) -> None:
    """Raise ImageError where Pillow's error says that it lacks what a file needs."""
    said = " ".join(str(error).split())
    if any(words in said.lower() for words in _UNREAD):
        raise ImageError(f"of a kind that Pillow does not read: {said}") from error
    if any(words in said.lower() for words in _EITHER):
        raise ImageError(f"damaged, or of a kind that Pillow does not read: {said}") from error


def _why_no_tiff(stream: IO[bytes]) -> Exception | None:
    """What Pillow's reader of TIFF says, which ``Image.open`` keeps to itself."""
    stream.seek(0)
    try:
        TiffImagePlugin.TiffImageFile(stream)
    except Exception as error:  # it may be anything, for files of other formats, too
        return error
    return None


def _refuse_raw(head: bytes, source: str) -> None:
    suffix = Path(source).suffix.lower()
    kinds = [kind for at, magic, kind in _RAW if head[at:].startswith(magic)]
    if kinds or (suffix in _RAW_NAMES and head[:4] in (b"II*\0", b"MM\0*")):
        raise ImageError(RAW.format(kinds[0] if kinds else suffix.lstrip(".").upper()))


def _heif(stream: IO[bytes]) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("HEIC pictures need pillow-heif: pip install 'calotype[heif]'") from error
    pillow_heif.register_heif_opener()
    stream.seek(0)
    try:
        return Image.open(stream)
    except CalotypeError:
        raise
    except Exception as error:  # as above
        raise DamageError(
            "the HEIC picture is damaged or of a kind that pillow-heif does not read"
        ) from error
