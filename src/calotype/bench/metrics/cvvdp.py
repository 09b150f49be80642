"""ColorVideoVDP of a still picture: JOD (just-objectionable differences) on a 4K monitor of 200 cd/m² seen
from a usual distance (display model ``standard_4k``). 10 is equal, and one JOD less is what three of four
people would call worse.

Computed by the PyPI package cvvdp, on the processor. It needs torch, and asks for torchvision of the same
build, of which it uses one Gaussian. Where torchvision is not there, it gets that one from here, so ``pip
install --no-deps cvvdp`` is enough beside the extras ``lab`` and ``bench``; its part for learned metrics,
which asks for more, is not loaded. Sides below 32 are extended.

Source: Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display
distortions", ACM TOG 43(4), 2024.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np

from calotype.bench.metrics._planes import Picture, at_least
from calotype.errors import CalotypeError, describe

DISPLAY = "standard_4k"


def cvvdp(reference: Picture, decoded: Picture) -> float:
    """JOD, up to 10, higher is better. Raises `CalotypeError` when the package is not there."""
    if reason := cvvdp_missing():
        raise CalotypeError(reason)
    import torch

    first, second = (np.array(at_least(x, 32)) for x in (decoded, reference))
    with torch.inference_mode():
        value, _ = _metric().predict(first, second, dim_order="HWC")
    return float(value)


@functools.lru_cache(maxsize=1)
def cvvdp_missing() -> str | None:
    """Why it cannot be measured here, or None when it can."""
    if cvvdp_version() is None or importlib.util.find_spec("torch") is None:
        return "ColorVideoVDP needs torch and the package cvvdp: pip install --no-deps cvvdp"
    try:
        _metric()
    except Exception as error:  # whatever the package's imports run into
        return f"ColorVideoVDP: the package cvvdp does not work: {describe(error)}"
    return None


def cvvdp_version() -> str | None:
    """Version of the package."""
    try:
        return f"cvvdp {metadata.version('cvvdp')}"
    except metadata.PackageNotFoundError:
        return None


@functools.lru_cache(maxsize=1)
def _metric() -> Any:
    import torch

    path = list(sys.path)
    with _stand_ins():
        if "pycvvdp" not in sys.modules:
            # Not its __init__, which loads the learned metrics and all that they need.
            spec = importlib.util.find_spec("pycvvdp")
            assert spec is not None
            sys.modules["pycvvdp"] = importlib.util.module_from_spec(spec)
        try:
            from pycvvdp.cvvdp_metric import cvvdp as Metric
        finally:
            sys.path[:] = path  # to which it adds its own folder
        return Metric(display_name=DISPLAY, quiet=True, device=torch.device("cpu"))


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    """In place of libraries that are not here: a blur of torchvision; ffmpeg, which would write videos."""
    mine = {"ffmpeg": types.ModuleType("ffmpeg")}
    vision, transforms = (types.ModuleType(name) for name in ("torchvision", "torchvision.transforms"))
    vision.transforms = transforms  # type: ignore[attr-defined]
    transforms.GaussianBlur = GaussianBlur  # type: ignore[attr-defined]
    if importlib.util.find_spec("torchvision") is None:
        mine |= {"torchvision": vision, "torchvision.transforms": transforms}
    mine = {name: module for name, module in mine.items() if name not in sys.modules}
    sys.modules.update(mine)
    try:
        yield
    finally:
        for name in mine:
            sys.modules.pop(name, None)


class GaussianBlur:
    """As torchvision's module of this name: a Gaussian over the last two dimensions, mirrored borders."""

    def __init__(self, kernel_size: int, sigma: float) -> None:
        import torch

        self.reach = kernel_size // 2
        taps = torch.exp(-0.5 * (torch.arange(-self.reach, self.reach + 1) / sigma).square())
        self.taps = taps / taps.sum()

    def forward(self, planes: Any) -> Any:
        from torch.nn import functional as F

        *rest, height, width = planes.shape
        flat = planes.reshape(-1, 1, height, width)
        flat = F.pad(flat, [self.reach] * 4, mode="reflect")
        taps = self.taps.to(flat)
        flat = F.conv2d(F.conv2d(flat, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
        return flat.view(*rest, height, width)
