"""VMAF of a still picture, by libvmaf inside an ffmpeg program.

Model ``vmaf_v0.6.1`` (the default of libvmaf 2 and 3), one frame, 10-bit BT.709 luma (VMAF looks at luma
only); sides below 64 are extended. The motion feature of a single frame is 0, so equal pictures score about
97.4, not 100. JPEG AI uses the same model from libvmaf 2.2.1.

Source: Netflix, https://github.com/Netflix/vmaf. The program comes from the PyPI package imageio-ffmpeg,
else from PATH.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess

import numpy as np

from calotype.bench.metrics._planes import Picture, at_least, luma709
from calotype.errors import CalotypeError

_TIMEOUT_S = 600
_SCORE = re.compile(rb"VMAF score: ([-+.\deE]+)")


def vmaf(reference: Picture, decoded: Picture) -> float:
    """VMAF, 0 to 100, higher is better. Raises `CalotypeError` when no ffmpeg with libvmaf is there or it
    fails.
    """
    if reason := vmaf_missing():
        raise CalotypeError(reason)
    first, second = (np.round(at_least(luma709(x), 64) * 1023.0).astype("<u2") for x in (decoded, reference))
    height, width = first.shape
    # One frame holds both pictures, one above the other, so that a pipe is enough. Three planes, because
    # ffmpeg would squeeze a grey picture into the limited range on the way to libvmaf.
    luma = np.vstack((first, second)).tobytes()
    chroma = np.full((2 * height, width), 512, "<u2").tobytes()
    crops = f"[0]split[a][b];[a]crop={width}:{height}:0:0[d];[b]crop={width}:{height}:0:{height}[r]"
    command = [_ffmpeg(), "-hide_banner", "-f", "rawvideo", "-pixel_format", "yuv444p10le"]
    command += ["-video_size", f"{width}x{2 * height}", "-i", "pipe:0"]
    command += ["-lavfi", f"{crops};[d][r]libvmaf=n_threads=1", "-f", "null", "-"]
    try:
        done = subprocess.run(command, input=luma + 2 * chroma, capture_output=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CalotypeError(f"VMAF: ffmpeg did not finish: {error}") from error
    score = _SCORE.search(done.stderr)
    if score is None:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing on stderr"])[-1]
        raise CalotypeError(f"VMAF: ffmpeg gave no score (exit status {done.returncode}): {last}")
    return float(score.group(1))


@functools.lru_cache(maxsize=1)
def vmaf_missing() -> str | None:
    """Why VMAF cannot be measured here, or None when it can."""
    program = _ffmpeg()
    if not program:
        return "VMAF needs ffmpeg with libvmaf: pip install imageio-ffmpeg"
    try:
        listed = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"VMAF: {program} does not run: {error}"
    return None if b" libvmaf " in listed.stdout else f"VMAF: {program} is built without libvmaf"


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg") or ""
