"""Ctrl-C while the command ``calotype`` starts or ends: status 130 and one line, as at any other time.

Python raises KeyboardInterrupt wherever it is, so also in the middle of an import, where nobody can catch it:
that gives a traceback. So where this process is the command, Ctrl-C ends it at once until
:func:`calotype.cli.main` takes over, and again when that is done. Nothing is open or half written then.
What comes before ``import calotype``, Python's own start, is beyond reach.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

STATUS = 130


def is_command() -> bool:
    """Whether this process is ``calotype`` or ``python -m calotype``, not a program that imports it."""
    line = sys.orig_argv
    if sys.argv[:1] == ["-m"]:  # what Python puts there while it looks for the module
        return "-m" in line[:-1] and line[line.index("-m") + 1] == "calotype"
    return os.path.basename(sys.argv[0] if sys.argv else "").removesuffix(".exe") == "calotype"  # noqa: PTH119


def stop_at_once() -> None:
    """From now on Ctrl-C ends the process. A process that was started to ignore it goes on to do so."""
    _change(signal.default_int_handler, _stop)


def raise_again() -> bool:
    """Let Ctrl-C raise KeyboardInterrupt if it ended the process till now; whether it did."""
    return _change(_stop, signal.default_int_handler)


def _change(before: object, after: signal._HANDLER) -> bool:
    if signal.getsignal(signal.SIGINT) is not before:
        return False
    try:
        signal.signal(signal.SIGINT, after)
    except ValueError:  # not in the main thread, where nobody else may
        return False
    return True


def _stop(number: int, frame: FrameType | None) -> None:
    os.write(2, b"calotype: interrupted\n")
    os._exit(STATUS)
