"""Pillow plugin: ``Image.open("x.calo")`` and ``image.save("x.calo", quality=60)``.

``import calotype`` registers it. Opening reads the header and the metadata only; the pixels are decoded
when they are first asked for. Pillow's limit ``Image.MAX_IMAGE_PIXELS`` holds here as for any other format.

``save`` takes the keywords of :func:`calotype.encode`, and ``exif``, ``icc_profile`` and ``xmp`` as
Pillow's other writers do; without them the picture's own metadata are kept.

Pillow opens, and so empties, the file before a writer is asked. All of it is encoded before the first byte
is written. If that fails, Pillow removes a file that it made, and one that was there before is lost; on a
full disk a part may stay. :func:`calotype.save` leaves what was there before, and never a part.
"""

from __future__ import annotations

from typing import IO, Any

from PIL import Image, ImageFile

FORMAT = "CALO"
MIME = "image/x-calotype"
SUFFIX = ".calo"

_TARGETS = ("target_size", "target_bpp", "target_psnr", "target_ms_ssim", "target_ssimulacra2")
_OPTIONS = ("quality", *_TARGETS, "effort", "tune", "pack", "threads")
_METADATA = ("icc_profile", "exif", "xmp")


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

    def load(self) -> Any:
        """Decode the pixels, the first time."""
        if self._im is None:
            from calotype import api
            from calotype.errors import CalotypeError

            try:
                decoded = api.decode(self._data)
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
    metadata = {name: given[name] for name in _METADATA if name in given}
    if metadata:
        image = image.copy()
        image.info.update(metadata)
    try:
        stream.write(api.encode(image, **options))
    except CalotypeError as error:
        raise OSError(f"cannot write {filename!r}: {error}") from error


def register() -> None:
    """Make Pillow know the format; doing it twice does no harm."""
    Image.register_open(FORMAT, CaloImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, SUFFIX)
    Image.register_mime(FORMAT, MIME)
