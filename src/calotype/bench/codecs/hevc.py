"""HEVC intra in HEIC files by x265 and libde265, through pillow-heif: the stand-in for BPG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from calotype.bench.codecs.base import Codec

# psy-rd and psy-rdoq trade PSNR for looks, and in 4:4:4 psy-rd also raises the chroma QP by 6; adaptive
# quantisation is perceptual too. Off, x265 is within 2 % of BPG on Kodak.
PARAMETERS = {"preset": "slow", "tune": "psnr", "x265:psy-rd": "0", "x265:psy-rdoq": "0", "x265:aq-mode": "0"}


class Hevc(Codec):
    family = "hevc"
    quality_unit = "libheif quality 0..100"
    qualities = (8, 17, 22, 27, 37, 48, 54, 58)
    requires, install = ("pillow_heif",), "pip install pillow-heif"

    def __init__(self, chroma: str) -> None:
        self.chroma = chroma.replace(":", "")
        self.name = f"hevc-{self.chroma}"
        told = ", ".join(f"{key.removeprefix('x265:')}={value}" for key, value in PARAMETERS.items())
        self.settings = (
            f"x265 intra, {chroma}, 8 bit, {told}; BT.601 full range by libheif; whole HEIC counted"
        )

    def version(self) -> str:
        import pillow_heif

        info = pillow_heif.libheif_info()
        return f"pillow-heif {pillow_heif.__version__}, libheif {info['libheif']}, {info['HEIF']}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        import pillow_heif

        out = io.BytesIO()
        picture = pillow_heif.from_pillow(Image.fromarray(image))
        picture.save(out, quality=int(quality), chroma=self.chroma, enc_params=PARAMETERS)
        return out.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        import pillow_heif

        return np.asarray(pillow_heif.open_heif(data, convert_hdr_to_8bit=True).to_pillow().convert("RGB"))


CODECS = [Hevc("4:2:0"), Hevc("4:4:4")]
