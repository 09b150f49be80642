"""Pictures as the codec sees them: 8-bit pixels, an optional alpha plane and the metadata that go along.

:class:`Picture` is all that the encoder takes and the decoder gives. It is made from a Pillow image
(:meth:`Picture.from_pil`) or from an array (:meth:`Picture.from_array`). Which kinds of picture are
converted, by which rule, and which are refused is decided in :mod:`calotype.codec.convert`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.codec import icc, metadata
from calotype.codec.arrays import UInt8Array
from calotype.codec.exif import bare
from calotype.errors import ImageError

if TYPE_CHECKING:
    from calotype.codec.focus import Parts

#: Rows converted at a time, so that a conversion needs little memory beside its input and its result.
STRIP = 256


@dataclass(frozen=True, eq=False)
class Picture:
    """One 8-bit picture.

    pixels: uint8 [H, W, 3], R G B, in the colour space that ``icc`` names (sRGB when it is None). H, W >= 1.
    grey:   the picture is grey: the three channels are equal, and it decodes to one channel.
    alpha:  uint8 [H, W], 0 = transparent, not premultiplied; None when the picture has no alpha channel.
    icc:    ICC profile, byte for byte.
    exif:   EXIF data as a TIFF structure ("II*" or "MM*" first), without the ``Exif\\0\\0`` that JPEG puts
            before. The orientation tag in it holds for ``pixels``: pixels are never turned.
    xmp:    XMP packet, UTF-8.
    notes:  one sentence for each lossy conversion that was needed to get here, for people to read.
    before: ``pixels`` before :meth:`concealed` changed them; None when it did not.
    other:  what :meth:`concealed` might have made of ``pixels`` as well; None when that is not to be tried.
    focus:  how much more errors count at each latent, uint8 [ceil(H / 16), ceil(W / 16)]
            (:mod:`calotype.codec.focus`); None where all count alike.

    Raises ImageError when an array has another shape or type.
    """

    pixels: UInt8Array
    grey: bool = False
    alpha: UInt8Array | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()
    before: UInt8Array | None = None
    other: UInt8Array | None = None
    focus: UInt8Array | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise ImageError(f"pixels must be uint8 [H, W, 3], not {self.pixels.dtype} {list(shape)}")
        if shape[0] < 1 or shape[1] < 1:
            raise ImageError(f"the picture is empty ({shape[1]} x {shape[0]} pixels)")
        if self.alpha is not None and (self.alpha.dtype != np.uint8 or self.alpha.shape != shape[:2]):
            raise ImageError(
                f"alpha must be uint8 {list(shape[:2])}, not {self.alpha.dtype} {list(self.alpha.shape)}"
            )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @classmethod
    def from_array(cls, array: NDArray[np.uint8]) -> Picture:
        """Make a picture from uint8 [H, W] or [H, W, 1] (grey), [H, W, 2] (grey, alpha), [H, W, 3] (RGB) or
        [H, W, 4] (RGB, alpha).

        Raises ImageError for any other shape or type: values are never rescaled by guess.
        """
        if isinstance(array, np.ma.MaskedArray):
            raise ImageError("an array with a mask: fill it first, as in array.filled(0)")
        array = np.asarray(array)
        if array.dtype != np.uint8:
            raise ImageError(
                f"an array must be uint8 (0 to 255), not {array.dtype}; scale and convert it first"
            )
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
            raise ImageError(f"an array must be [H, W] or [H, W, C], C from 1 to 4, not {list(array.shape)}")
        if array.shape[0] < 1 or array.shape[1] < 1:
            raise ImageError(f"the picture is empty ({array.shape[1]} x {array.shape[0]} pixels)")
        channels = array.shape[2]
        grey = channels <= 2
        pixels = np.repeat(array[:, :, :1], 3, axis=2) if grey else np.ascontiguousarray(array[:, :, :3])
        alpha = np.ascontiguousarray(array[:, :, -1]) if channels in (2, 4) else None
        return cls(pixels, grey, alpha)

    @classmethod
    def from_pil(cls, image: Image.Image, frame: int | None = None) -> Picture:
        """Make a picture from a Pillow image, with its alpha, ICC profile, EXIF and XMP.

        frame: which one to take of an animation or of several pages, from 0.

        A file whose pixels are all there is read even if something else in it is damaged; a note says so.
        Raises ImageError when the image cannot be read or is of a kind that Calotype refuses
        (see :mod:`calotype.codec.convert`).
        """
        from calotype.codec import convert, mend, source  # late: a decoder reads no pictures

        file = None
        try:
            plain = convert.to_8_bit(image, frame)
        except convert.DamageError:
            file = mend.mended(source.whole(image) or b"")
            if file is None:
                raise
            with Image.open(io.BytesIO(file[0])) as again:
                plain = convert.to_8_bit(again, frame)
        with convert.readable():
            meta = metadata.read(image)
        notes = (*plain.notes, *meta.notes, *((file[1],) if file else ()))
        picture = cls._of(plain.image)
        return replace(
            picture, icc=plain.icc, exif=meta.exif, xmp=meta.xmp, notes=tuple(dict.fromkeys(notes))
        )

    @classmethod
    def _of(cls, im: Image.Image) -> Picture:
        """The pixels of a loaded image of mode L, LA, RGB or RGBA."""
        width, height = im.size
        if width < 1 or height < 1:
            raise ImageError(f"the picture is empty ({width} x {height} pixels)")
        pixels = np.empty((height, width, 3), np.uint8)
        alpha = np.empty((height, width), np.uint8) if im.mode in ("LA", "RGBA") else None
        grey = im.mode in ("L", "LA")
        for top in range(0, height, STRIP):
            bottom = min(top + STRIP, height)
            strip = np.asarray(im.crop((0, top, width, bottom)))
            if strip.ndim == 2:
                strip = strip[:, :, None]
            pixels[top:bottom] = strip[:, :, :1] if grey else strip[:, :, :3]
            if alpha is not None:
                alpha[top:bottom] = strip[:, :, -1]
        return cls(pixels, grey, alpha)

    def to_pil(self) -> Image.Image:
        """Give the picture as a Pillow image of mode L, LA, RGB or RGBA, with the metadata in its ``info``
        (``icc_profile``, ``exif``, ``xmp``), where Pillow's own readers put it."""
        colour = Image.fromarray(np.ascontiguousarray(self.pixels[:, :, 0]) if self.grey else self.pixels)
        if self.alpha is None:
            image = colour
        else:
            image = colour.convert("LA" if self.grey else "RGBA")
            image.putalpha(Image.fromarray(self.alpha))
        metadata.attach(image, self.icc, self.exif, self.xmp)
        return image

    def upright(self) -> Picture:
        """The picture turned as its EXIF orientation asks, the tag removed; the same one if it is upright."""
        stub = Image.new("L", (1, 1))
        metadata.attach(stub, None, self.exif, self.xmp)
        if metadata.orientation(stub) == 1:
            return self
        turned = metadata.upright(self.to_pil())
        exif, xmp = turned.info.get("exif"), turned.info.get("xmp")
        return replace(Picture._of(turned), icc=self.icc, exif=bare(exif), xmp=xmp, notes=self.notes)

    def stripped(self) -> Picture:
        """The picture without EXIF and XMP, turned upright. The ICC profile stays: it makes the colours."""
        return replace(self.upright(), exif=None, xmp=None)

    def focused(self, roi: Parts | Image.Image) -> Picture:
        """The picture with parts that count more than the rest (:func:`calotype.codec.focus.focus`).

        A mask that is an image is read as pictures are: 16 bits become 8, and what is transparent counts as
        usual.

        Raises ValueError for parts that are not in the picture, ImageError for an image of another kind.
        """
        from calotype.codec.focus import focus  # late: for encoders alone

        if isinstance(roi, Image.Image):
            mask = Picture.from_pil(roi)
            roi = np.array(mask.to_pil().convert("L"))
            if mask.alpha is not None:
                roi = (roi * (mask.alpha / 255)).astype(np.uint8)
        return replace(self, focus=focus(roi, self.width, self.height))

    def concealed(self) -> Picture:
        """The picture with colours where alpha is 0 that cost least (:mod:`calotype.codec.hidden`)."""
        if self.alpha is None:
            return self
        from calotype.codec.hidden import conceal  # late: for encoders alone

        ways = conceal(self.pixels, self.alpha)
        if ways[0] is self.pixels:
            return self
        if self.grey:  # filled channel by channel, which rounding could part
            for pixels in ways:
                pixels[:, :, 1:] = pixels[:, :, :1]
        return replace(self, pixels=ways[0], before=self.pixels, other=ways[1] if len(ways) > 1 else None)

    def concealments(self) -> list[Picture]:
        """This picture with either colours under alpha 0."""
        ways = [self.pixels, *([] if self.other is None else [self.other])]
        return [replace(self, pixels=pixels, other=None) for pixels in ways]

    def given(
        self,
        exif: metadata.ExifLike = "keep",
        icc_profile: bytes | metadata.Keep | None = "keep",
        xmp: bytes | str | metadata.Keep | None = "keep",
    ) -> Picture:
        """The picture with metadata in place of its own; None or nothing leaves them out.

        Raises ValueError for an ICC profile that is not for such a picture."""
        own = metadata.given(exif, xmp, metadata.Metadata(self.exif, self.xmp))
        if icc_profile == "keep":
            return replace(self, exif=own.exif, xmp=own.xmp)
        if icc_profile and icc.space(icc_profile) != ("GRAY" if self.grey else "RGB"):
            kind = icc.space(icc_profile) or "nothing that is known"
            what = "grey" if self.grey else "RGB"
            raise ValueError(f"icc_profile is a profile for {kind}, and the picture is {what}")
        return replace(self, exif=own.exif, xmp=own.xmp, icc=icc_profile or None)
