"""Run an external encoder or decoder, and know what its process cost."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from calotype.bench import cost
from calotype.bench.codecs import _yuv


class ProcessError(RuntimeError):
    """An external program failed; the message has its last line."""


def run(command: list[str], data: bytes = b"", cwd: str | None = None) -> bytes:
    """Feed `data` to the command and return its standard output; raise ProcessError when it fails.

    The child's peak memory is noted for calotype.bench.cost.
    """
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
        source.write(data)
        source.seek(0)
        child = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=errors, cwd=cwd)
        assert child.stdout is not None
        out = child.stdout.read()
        status = cost.wait(child)
        child.stdout.close()
        if status == 0:
            return out
        errors.seek(0)
        told = (errors.read() or out).decode(errors="replace").strip().splitlines() or ["no message"]
    raise ProcessError(f"{Path(command[0]).name} ended with status {status}: {told[-1]}")


def through_files(command: list[str], source: tuple[str, bytes], result: str) -> bytes:
    """For programs that know files only: write `source` (name, bytes), run the command, return `result`.

    All in a new folder, so the command names both files without a path.
    """
    with tempfile.TemporaryDirectory(prefix="calotype-bench-") as folder:
        Path(folder, source[0]).write_bytes(source[1])
        run(command, cwd=folder)
        return Path(folder, result).read_bytes()


def version(program: str, *options: str) -> str:
    """The line in which a program names its version, else its first; many exit with an error saying it."""
    done = subprocess.run([program, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    lines = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
    told = next((line for line in lines if "version" in line.lower()), (lines or ["version unknown"])[0])
    return told.strip() if program in told else f"{program}: {told.strip()}"


def ffmpeg() -> str:
    """The ffmpeg of imageio-ffmpeg, else the one on PATH, else an empty string."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return shutil.which("ffmpeg") or ""


def ffmpeg_lacks(encoder: str) -> str | None:
    """Say why ffmpeg cannot use `encoder`, or None when it can."""
    program = ffmpeg()
    if not program:
        return "no ffmpeg: imageio-ffmpeg is not installed and none is on PATH"
    listed = run([program, "-hide_banner", "-encoders"]).decode(errors="replace").split()
    return None if encoder in listed else f"{program} is built without {encoder}"


def ffmpeg_version() -> str:
    words = run([ffmpeg(), "-version"]).decode(errors="replace").split()
    return f"ffmpeg {words[2]}"


def ffmpeg_encode(image: np.ndarray, options: list[str], muxer: str) -> bytes:
    """One frame of 10-bit 4:2:0 through ffmpeg; returns the raw bitstream, without a container."""
    command = [ffmpeg(), "-v", "error", "-f", "yuv4mpegpipe", "-i", "-", *options, "-f", muxer, "-"]
    return mark_odd(image, run(command, _yuv.to_y4m(_yuv.from_rgb(image))))


def ffmpeg_decode(data: bytes, demuxer: str, threads: int) -> np.ndarray:
    odd, stream = split_odd(data)
    count = ["-threads", str(threads)]
    command = [ffmpeg(), "-v", "error", *count, "-f", demuxer, "-i", "-"]
    command += ["-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    return crop_odd(_yuv.to_rgb(_yuv.from_y4m(run(command, stream))), odd)


# 4:2:0 streams hold even sizes only. The stream of an odd-sized picture gets one byte in front, 1 to 3
# (column, row or both to drop); no raw video stream starts with one of these, so even-sized pictures cost
# nothing.


def mark_odd(image: np.ndarray, stream: bytes) -> bytes:
    odd = image.shape[1] % 2 + 2 * (image.shape[0] % 2)
    return bytes([odd]) + stream if odd else stream


def split_odd(data: bytes) -> tuple[int, bytes]:
    return (data[0], data[1:]) if data[:1] in (b"\1", b"\2", b"\3") else (0, data)


def crop_odd(image: np.ndarray, odd: int) -> np.ndarray:
    return image[: image.shape[0] - (odd >> 1), : image.shape[1] - (odd & 1)]
