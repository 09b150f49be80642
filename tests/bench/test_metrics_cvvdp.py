"""ColorVideoVDP is the package's; what stands in for torchvision must be the blur that it stands for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from calotype.bench.metrics import cvvdp as module


def test_the_blur_is_a_gaussian_with_mirrored_borders() -> None:
    torch = pytest.importorskip("torch")
    planes = torch.rand(2, 3, 14, 17, generator=torch.Generator().manual_seed(0))
    found = module.GaussianBlur(9, 1.7).forward(planes)
    i = np.arange(-4, 5)
    window = np.exp(-(i**2) / (2 * 1.7**2))
    window /= window.sum()
    padded = np.pad(planes.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, (9, 9), axis=(2, 3))
    np.testing.assert_allclose(found, views @ window @ window, atol=1e-6)


@pytest.mark.slow  # a process that imports torch and the package
def test_nothing_stays_behind() -> None:
    """Who asks for torchvision later must not get what stands in for it."""
    if module.cvvdp_version() is None:  # whether it works takes seconds of imports, which the process does
        pytest.skip("no cvvdp")
    code = (
        "import sys; before = list(sys.path)\n"
        "from calotype.bench.metrics.cvvdp import cvvdp_missing\n"
        "assert cvvdp_missing() is None and sys.path == before\n"
        "import importlib.util\n"
        "assert ('torchvision' in sys.modules) <= bool(importlib.util.find_spec('torchvision'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
