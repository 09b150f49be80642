"""Butteraugli of a still picture, by libjxl's program ``butteraugli_main``. A *distance*: 0 for equal
pictures, lower is better; about 1 is where differences begin to be seen.

The 3-norm over the picture of the map of differences, at 80 cd/m²; the program's other figure is the maximum,
which one odd pixel decides. Sides below 16 are extended.

Source: Alakuijala, https://github.com/google/butteraugli; JPEG XL's encoder is tuned by it. The program comes
with libjxl's development tools (Debian: ``libjxl-devtools``).
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from calotype.bench.metrics._planes import Picture, at_least
from calotype.errors import CalotypeError

PROGRAM = "butteraugli_main"
_TIMEOUT_S = 600
_SCORE = re.compile(rb"3-norm: ([-+.\deE]+)")
_VERSION = re.compile(r"v?(\d+\.\d+[.\d]*)")


def butteraugli(reference: Picture, decoded: Picture) -> float:
    """3-norm, 0 or more, lower is better. Raises `CalotypeError` when the program is not there or fails."""
    if reason := butteraugli_missing():
        raise CalotypeError(reason)
    with tempfile.TemporaryDirectory(prefix="calotype-") as folder:
        files = [Path(folder) / name for name in ("reference.png", "decoded.png")]
        for file, image in zip(files, (reference, decoded)):
            Image.fromarray(at_least(image, 16)).save(file, compress_level=1)
        try:
            done = subprocess.run(
                [PROGRAM, *map(str, files), "--pnorm", "3"], capture_output=True, timeout=_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CalotypeError(f"Butteraugli: {PROGRAM} did not finish: {error}") from error
    score = _SCORE.search(done.stdout + done.stderr)
    if score is None:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing on stderr"])[-1]
        raise CalotypeError(f"Butteraugli: {PROGRAM} gave no score (exit status {done.returncode}): {last}")
    return float(score.group(1))


def butteraugli_missing() -> str | None:
    """Why it cannot be measured here, or None when it can."""
    if shutil.which(PROGRAM) is None:
        return f"Butteraugli needs the program {PROGRAM} of libjxl: apt install libjxl-devtools"
    return None


@functools.lru_cache(maxsize=1)
def butteraugli_version() -> str | None:
    """Version of libjxl, as far as the encoder beside the program tells it: the program itself does not."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    beside = shutil.which("cjxl", path=str(Path(program).parent))
    if beside is None:
        return None
    try:
        told = subprocess.run([beside, "--version"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(told)
    return f"libjxl {found.group(1)}" if found else None
