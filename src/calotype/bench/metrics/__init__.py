"""The metrics of the benchmark: one file each, gathered here by name.

Every metric is called as ``compute(reference, decoded)`` with two 8-bit RGB pictures ``[H, W, 3]`` of one
size and gives one number. ColorVideoVDP needs torch and a package, Butteraugli a program of libjxl, VMAF an
ffmpeg program with libvmaf; the others need nothing. Small pictures are extended by repeating their last row
and column as each file says, never refused. Grey pictures are RGB with three equal channels; alpha is not
looked at. Equal pictures give ``inf`` where the scale is in dB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from calotype.bench.errors import BenchError, nearest
from calotype.bench.metrics import butteraugli as _butteraugli
from calotype.bench.metrics import cvvdp as _cvvdp
from calotype.bench.metrics import vmaf as _vmaf
from calotype.bench.metrics._planes import Picture
from calotype.bench.metrics.fsim import fsim
from calotype.bench.metrics.iw_ssim import iw_ssim
from calotype.bench.metrics.ms_ssim import ms_ssim_db, ms_ssim_rgb, ms_ssim_y
from calotype.bench.metrics.nlpd import nlpd
from calotype.bench.metrics.psnr import psnr_rgb, psnr_y
from calotype.bench.metrics.psnr_hvs import psnr_hvs, psnr_hvs_m
from calotype.bench.metrics.vif import vif
from calotype.codec.metrics import to_db
from calotype.codec.ssimulacra2 import ssimulacra2

__all__ = ["BASIC", "EYES", "GROUPS", "JPEG_AI", "METRICS", "Metric", "check", "expand", "measure"]


@dataclass(frozen=True)
class Metric:
    """One metric and what a table or a plot must know of it."""

    name: str
    """The key in results: stable."""
    compute: Callable[[Picture, Picture], float]
    """``compute(reference, decoded)``."""
    label: str
    """For axes and headings."""
    plane: str
    """What it looks at."""
    source: str
    """The definition it follows."""
    unit: str = ""
    """``dB`` or empty."""
    direction: str = "higher"
    """``higher`` or ``lower``: which is better."""
    to_db: Callable[[float], float] | None = None
    """To the dB scale on which its BD-rate is customary (MS-SSIM); None: the values serve as they are."""
    missing: Callable[[], str | None] = lambda: None
    """Why it cannot be measured on this machine, or None."""
    version: Callable[[], str | None] = lambda: None
    """Of the program or package that computes it; None where that is this package, or not known."""

    def for_bd(self, value: float) -> float:
        """`value` on the scale on which BD-rates are taken: in dB where customary, and higher is better."""
        value = self.to_db(value) if self.to_db else value
        return value if self.direction == "higher" else -value


_RGB = "RGB, 8-bit"
_Y601 = "Y, BT.601 of 8-bit RGB, not rounded"
_Y10 = "Y, BT.709 full range, 10-bit"
_WANG = "Wang, Simoncelli, Bovik 2003; as pytorch-msssim 1.0.0"
_HVS = "Ponomarenko et al. 2007"

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("psnr_rgb", psnr_rgb, "PSNR (RGB)", _RGB, "mean squared error over R, G, B; peak 255", "dB"),
        Metric("psnr_y", psnr_y, "PSNR (Y)", _Y601, "mean squared error; peak 255", "dB"),
        Metric("ms_ssim", ms_ssim_rgb, "MS-SSIM (RGB)", _RGB, _WANG, to_db=to_db),
        Metric("ms_ssim_db", ms_ssim_db, "MS-SSIM (RGB)", _RGB, _WANG + ", -10 log10(1 - value)", "dB"),
        Metric("ms_ssim_y", ms_ssim_y, "MS-SSIM (Y)", _Y10, _WANG, to_db=to_db),
        Metric("fsim", fsim, "FSIMc", "RGB, 10-bit", "Zhang et al. 2011"),
        Metric("nlpd", nlpd, "NLPD", _Y10, "Laparra et al. 2016; as IQA-pytorch 0.1", direction="lower"),
        Metric("iw_ssim", iw_ssim, "IW-SSIM", _Y10, "Wang, Li 2011"),
        Metric(
            "vmaf", _vmaf.vmaf, "VMAF", _Y10, "libvmaf, vmaf_v0.6.1, one frame", missing=_vmaf.vmaf_missing
        ),
        Metric("vif", vif, "VIFp", _Y10, "Sheikh, Bovik 2006, pixel domain"),
        Metric("psnr_hvs_m", psnr_hvs_m, "PSNR-HVS-M", _Y10, _HVS, "dB"),
        Metric("psnr_hvs", psnr_hvs, "PSNR-HVS", _Y10, _HVS, "dB"),
        Metric("ssimulacra2", ssimulacra2, "SSIMULACRA2", _RGB, "Sneyers; as PyPI's ssimulacra2 0.3.0"),
        Metric(
            "cvvdp",
            _cvvdp.cvvdp,
            "ColorVideoVDP",
            _RGB,
            "Mantiuk et al. 2024, display standard_4k",
            "JOD",
            missing=_cvvdp.cvvdp_missing,
            version=_cvvdp.cvvdp_version,
        ),
        Metric(
            "butteraugli",
            _butteraugli.butteraugli,
            "Butteraugli (3-norm)",
            _RGB,
            "Alakuijala; libjxl's butteraugli_main",
            direction="lower",
            missing=_butteraugli.butteraugli_missing,
            version=_butteraugli.butteraugli_version,
        ),
    )
}

BASIC = ("psnr_rgb", "psnr_y", "ms_ssim")
"""What every run measures."""

JPEG_AI = ("ms_ssim_y", "fsim", "nlpd", "iw_ssim", "vmaf", "vif", "psnr_hvs_m")
"""The seven metrics of JPEG AI. Its tools report `psnr_hvs` where they name PSNR-HVS-M: both are here."""

EYES = ("ssimulacra2", "cvvdp", "butteraugli")
"""What is nearest to what people see, as far as opinion scores of compressed photographs tell."""

GROUPS = {"basic": BASIC, "jpegai": JPEG_AI, "jpeg-ai": JPEG_AI, "eyes": EYES, "all": tuple(METRICS)}
"""What one word means where metrics are asked for."""


def expand(words: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics, each once, of names and `GROUPS`; `check` refuses words that are neither."""
    names = [name for word in words for name in GROUPS.get(word, (word,))]
    return tuple(dict.fromkeys(names))


def check(names: Iterable[str]) -> None:
    """Raises BenchError, which says why, for a metric that is not known or cannot be measured here."""
    for name in names:
        if name not in METRICS:
            hint = nearest(name, [*METRICS, *GROUPS]) or f"; known: {', '.join([*METRICS, *GROUPS])}"
            raise BenchError(f"unknown metric {name!r}{hint}")
    for name in names:
        if why := METRICS[name].missing():
            raise BenchError(f"cannot measure {name}: {why}")


def measure(reference: Picture, decoded: Picture, names: tuple[str, ...] = BASIC) -> dict[str, float]:
    """The named metrics of one pair of pictures; MS-SSIM is computed once where both its scales are asked
    for.

    Raises `ValueError` for an unknown name or for pictures that are not 8-bit RGB of one size.
    """
    for image in (reference, decoded):
        if image.dtype.name != "uint8" or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"metrics take 8-bit RGB pictures [H, W, 3], got {image.dtype} {image.shape}")
    if reference.shape != decoded.shape:
        raise ValueError(f"the original has shape {reference.shape}, the decoded picture {decoded.shape}")
    if unknown := [n for n in names if n not in METRICS]:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}")
    values = {n: METRICS[n].compute(reference, decoded) for n in names if n != "ms_ssim_db"}
    if "ms_ssim_db" in names:
        value = values.get("ms_ssim", math.nan)
        values["ms_ssim_db"] = ms_ssim_db(reference, decoded) if math.isnan(value) else to_db(value)
    return {n: values[n] for n in names}
