"""Writing files so that a failure leaves nothing behind and destroys nothing.

The data go to a temporary name in the same folder, which is renamed to the real one when all of it is
written. An error, an interrupt, a full disk or a killed thread leaves no part of a file, and a file that
existed stays as it was.

Paths are strings here: to import ``pathlib`` takes a twentieth of the time of ``calotype decode``.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_lock = threading.Lock()
_unfinished: set[str] = set()
_stopped = False


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open ``path`` for writing bytes; the file appears, complete, when the block ends without an error.

    A symbolic link is followed, an existing file keeps its permissions. A device or a pipe is written
    directly. Raises FileExistsError when the file exists and ``overwrite`` is false, and OSError as writing
    files does.
    """
    # Asked of the name as it is given: /dev/stdout and what shells give for >(command) lead to no file.
    path = os.fspath(path)
    mode = _existing_mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(21, "is a folder", path)
        with _named(path), open(path, "wb") as stream:
            yield stream
        return
    target = os.path.realpath(path)
    if mode is not None and not overwrite:
        raise FileExistsError(17, "exists already", path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{os.urandom(4).hex()}.tmp")
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
            _unlink(temporary)
        _unfinished.clear()


def _unlink(temporary: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)


def _existing_mode(target: str) -> int | None:
    try:
        return os.stat(target).st_mode
    except FileNotFoundError:
        return None


def _create(temporary: str) -> BinaryIO:
    with _lock:
        if _stopped:
            raise InterruptedError(4, "stopped")
        _unfinished.add(temporary)
        # Not tempfile: the finished file gets the permissions that the umask gives.
        return open(temporary, "xb")


def _finish(temporary: str, target: str, mode: int | None, overwrite: bool) -> None:
    if mode is not None:
        os.chmod(temporary, stat.S_IMODE(mode))
    with _lock:
        if _stopped:
            raise InterruptedError(4, "stopped")
        if not overwrite and os.path.exists(target):  # it appeared in the meantime
            raise FileExistsError(17, "exists already")
        os.replace(temporary, target)
        _unfinished.discard(temporary)


@contextlib.contextmanager
def _discarded(temporary: str) -> Iterator[None]:
    """Remove the temporary file on any failure."""
    try:
        yield
    except BaseException:
        with _lock, contextlib.suppress(OSError):
            _unfinished.discard(temporary)
            _unlink(temporary)
        raise


@contextlib.contextmanager
def _named(path: str, temporary: str | None = None) -> Iterator[None]:
    """Let errors name the file that people know, not a temporary one and not none at all."""
    try:
        yield
    except OSError as error:
        if error.filename is None or error.filename == temporary:
            error.filename = path
        raise
