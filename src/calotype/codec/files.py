"""Writing files so that a failure leaves nothing behind and destroys nothing.

The data go to a temporary name in the same folder, which is renamed to the real one when all of it is
written. An error, an interrupt, a full disk or a killed thread leaves no part of a file, and a file that
existed stays as it was.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_lock = threading.Lock()
_unfinished: set[Path] = set()
_stopped = False


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; the file appears, complete, when the block ends without an error.

    A symbolic link is followed, an existing file keeps its permissions. A device or a pipe is written
    directly. Raises FileExistsError when the file exists and ``overwrite`` is false, and OSError as writing
    files does.
    """
    # Asked of the name as it is given: /dev/stdout and what shells give for >(command) lead to no file.
    mode = _existing_mode(Path(path))
    if mode is not None and not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "is a folder", str(path))
        with _named(path), Path(path).open("wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))
    if mode is not None and not overwrite:
        raise FileExistsError(17, "exists already", str(path))
    temporary = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.tmp")
    with _named(path, temporary), _discarded(temporary):
        with _create(temporary) as stream:
            yield stream
        _finish(temporary, target, mode, overwrite)


def write_file(path: str | os.PathLike[str], data: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write ``data`` to ``path`` by :func:`atomic_write`."""
    with atomic_write(path, overwrite=overwrite) as stream:
        stream.write(data)


def stop_writing() -> None:
    """Remove unfinished files and let none be finished: for a process that ends while threads work."""
    global _stopped
    with _lock:
        _stopped = True
        for temporary in _unfinished:
            temporary.unlink(missing_ok=True)
        _unfinished.clear()


def _existing_mode(target: Path) -> int | None:
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return None


def _create(temporary: Path) -> BinaryIO:
    with _lock:
        if _stopped:
            raise InterruptedError(4, "stopped")
        _unfinished.add(temporary)
        return temporary.open(
            "xb"
        )  # not tempfile: the finished file gets the permissions that the umask gives


def _finish(temporary: Path, target: Path, mode: int | None, overwrite: bool) -> None:
    if mode is not None:
        temporary.chmod(stat.S_IMODE(mode))
    with _lock:
        if _stopped:
            raise InterruptedError(4, "stopped")
        if not overwrite and target.exists():  # it appeared in the meantime
            raise FileExistsError(17, "exists already")
        temporary.replace(target)
        _unfinished.discard(temporary)


@contextlib.contextmanager
def _discarded(temporary: Path) -> Iterator[None]:
    """Remove the temporary file on any failure."""
    try:
        yield
    except BaseException:
        with _lock, contextlib.suppress(OSError):
            _unfinished.discard(temporary)
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _named(path: str | os.PathLike[str], temporary: Path | None = None) -> Iterator[None]:
    """Let errors name the file that people know, not a temporary one and not none at all."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.filename == str(temporary):
            error.filename = str(path)
        raise
