"""VMAF through one pipe must be what ffmpeg says of two files, and its absence must be told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calotype.bench.metrics import vmaf as module
from calotype.bench.metrics._planes import luma709
from calotype.errors import CalotypeError


def pair() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:151, 0:203]
    image = np.stack([128 + 90 * np.sin(x * (0.1 + 0.05 * c) + y * 0.07) for c in range(3)], axis=2).astype(
        np.uint8
    )
    return image, (image // 20 * 20 + 10).astype(np.uint8)


@pytest.mark.skipif(module.vmaf_missing() is not None, reason="no ffmpeg with libvmaf")
def test_same_score_as_two_files(tmp_path: Path) -> None:
    inputs = []
    for name, image in zip(("reference", "decoded"), pair()):
        luma = np.round(luma709(image) * 1023).astype("<u2")
        file = tmp_path / f"{name}.yuv"
        file.write_bytes(luma.tobytes() + np.full((2, *luma.shape), 512, "<u2").tobytes())
        inputs.append(
            ["-f", "rawvideo", "-pixel_format", "yuv444p10le", "-video_size", "203x151", "-i", str(file)]
        )
    command = [module._ffmpeg(), *inputs[1], *inputs[0], "-lavfi", "libvmaf", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True).stderr.decode()
    assert module.vmaf(*pair()) == float(re.findall(r"VMAF score: ([\d.]+)", said)[0])


def test_absence_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ffmpeg", lambda: "")
    module.vmaf_missing.cache_clear()
    try:
        with pytest.raises(CalotypeError, match="pip install imageio-ffmpeg"):
            module.vmaf(*pair())
    finally:
        module.vmaf_missing.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="stands in a shell script for ffmpeg")
def test_a_program_without_libvmaf_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho ' T. xpsnr'\n")
    program.chmod(0o755)
    monkeypatch.setattr(module, "_ffmpeg", lambda: str(program))
    module.vmaf_missing.cache_clear()
    try:
        assert module.vmaf_missing() == f"VMAF: {program} is built without libvmaf"
    finally:
        module.vmaf_missing.cache_clear()
