"""Pillow plugin: ``Image.open("x.calo")`` and ``image.save("x.calo", quality=60)``.

``import calotype`` registers it. Opening reads the header and the metadata only; the pixels are decoded
when they are first asked for. ``thumbnail`` decodes only the preview in the file when that is large enough.
Pillow's limit ``Image.MAX_IMAGE_PIXELS`` holds here as for any other format.

``save`` takes the keywords of :func:`calotype.encode`, and ``exif``, ``icc_profile`` and ``xmp`` as
Pillow's other writers do; without them the picture's own metadata are kept.

A file that is saved by its name appears when all of it is written; a failure leaves what was there before.
Pillow itself opens, and so empties, a file before it asks a writer, who can do nothing about it. So its
``save`` is wrapped: files of this format go another way, everything else goes straight on.
"""

from __future__ import annotations

import functools
import io
import os
from typing import IO, Any

from PIL import Image, ImageFile

FORMAT = "CALO"
MIME = "image/x-calotype"
SUFFIX = ".calo"

_EIGHTH = 8  # of a preview's size
_TARGETS = ("target_size", "target_bpp", "target_psnr", "target_ms_ssim", "target_ssimulacra2")
_METADATA = ("icc_profile", "exif", "xmp", "strip")
_OPTIONS = (
    "quality",
    *_TARGETS,
    "lossless",
    "effort",
    "roi",
    "tune",
    "pack",
    "threads",
    *_METADATA,
    "keep_hidden_colour",
)


class CaloImageFile(ImageFile.ImageFile):
    """A .calo file as Pillow sees it."""

    format = FORMAT
    format_description = "Calotype"

    def _open(self) -> None:
        # Late imports: registering the plugin must not cost what using it does.
        from calotype import api, bitstream
        from calotype.codec import metadata
        from calotype.errors import CalotypeError, LimitError

        assert self.fp is not None
        self._data = self.fp.read()
        try:
            # The size is left to Pillow, which checks it right after this.
            file = bitstream.parse(self._data, limits=api.limits(None))
        except LimitError as error:
            raise Image.DecompressionBombError(str(error)) from error
        except CalotypeError as error:
            raise OSError(str(error)) from error  # what Pillow raises for damaged files
        header = file.header
        self._size = (header.width, header.height)
        self._mode = ("L" if header.grey else "RGB") + ("A" if file.alpha is not None else "")
        metadata.attach(self, file.icc, file.exif, file.xmp)
        self._pack_id, self._small = header.pack_id, False

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Make ready to decode the preview instead, if it fills a box of ``size``; ``thumbnail`` asks for it.

        Returns mode and box (the part of the preview that is the picture), None when nothing changes. The
        mode asked for is ignored.
        """
        width, height = self._size
        if size is None or self._im is not None or self._small:
            return None
        if width < _EIGHTH * max(size[0], 1) and height < _EIGHTH * max(size[1], 1):
            return None
        self._small = True
        self._size = (-(-width // _EIGHTH), -(-height // _EIGHTH))
        return self.mode, (0, 0, width / _EIGHTH, height / _EIGHTH)

    def load(self) -> Any:
        """Decode the pixels, the first time."""
        if self._im is None:
            from calotype import api
            from calotype.errors import CalotypeError

            try:
                decoded = (api.preview if self._small else api.decode)(self._data)
            except CalotypeError as error:
                raise OSError(str(error)) from error
            self.im = decoded.im
            self._data = b""
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
                self.fp = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(b"\xcaLO")


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from calotype import api
    from calotype.errors import CalotypeError

    given: dict[str, Any] = getattr(image, "encoderinfo", {})
    options = {name: given[name] for name in _OPTIONS if name in given}
    # Pillow saves the frame that an image is at.
    several = getattr(image, "n_frames", 1) > 1 and image.format not in ("HEIF", "MPO", "PSD")
    frame = image.tell() if several else None
    try:
        data = api.encode(image, frame=frame, **options)
    except CalotypeError as error:
        raise OSError(f"cannot write {filename!r}: {error}" if filename else str(error)) from error
    stream.write(data)


def _save_whole() -> None:
    """Let Pillow's ``save`` put files of this format under their names when they are complete."""
    original = Image.Image.save
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def save(self: Image.Image, fp: Any, format: str | None = None, **params: Any) -> None:
        name = os.fsdecode(fp) if isinstance(fp, (str, bytes, os.PathLike)) else ""
        if not name or (format.upper() if format else _suffix(name)) not in (FORMAT, SUFFIX):
            original(self, fp, format, **params)
            return
        from calotype.codec.files import write_file

        whole = io.BytesIO()
        original(self, whole, FORMAT, **params)
        write_file(name, whole.getbuffer())

    Image.Image.save = save  # type: ignore[method-assign]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (as Pillow does)


def register() -> None:
    """Make Pillow know the format; doing it twice does no harm."""
    Image.register_open(FORMAT, CaloImageFile, _accept)
    Image.register_save(FORMAT, _save)
    _save_whole()
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)
