"""The command line: ``calotype COMMAND ...``, one module per command, imported when its command is run.

The codec's commands are read by argparse, not by Typer: reading options with Typer imports pydantic, which
costs more than decoding a small picture does. The laboratory's and the benchmark's commands bring their own
parser (an ``app`` or a ``main(arguments)``), as their imports are heavy anyway.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading

from calotype import _interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

COMMANDS = {
    "encode": "compress pictures into .calo files",
    "decode": "decompress .calo files into pictures",
    "probe": "show every field of a .calo file",
    "view": "look at .calo files in the browser, alone or beside other pictures",
    "compare": "how close two pictures are: PSNR, MS-SSIM, SSIMULACRA2, bits per pixel",
    "demo": "compress a photograph and set it beside JPEG and AVIF of the same size",
    "desktop": "let a Linux desktop know .calo files: type, thumbnails, viewer",
}
#: Commands of the other rooms; there when their module is.
LATE_COMMANDS = {
    "bench": "measure codecs on a set of pictures",
    "lab": "train, look at and export models (needs the extra calotype[lab])",
}

USAGE = 2
FAILURE = 1
INTERRUPTED = _interrupt.STATUS
_LOST = (errno.EBADF, errno.ENOSPC)
"""What writing to a closed stream, or to a full disk, gives; of files the error has the name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    _fill_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help", "--version"):
        return _guarded(name, arguments)
    if name not in COMMANDS and name not in _commands():
        print(
            f"calotype: there is no command {name!r}; it is one of {', '.join(_commands())}", file=sys.stderr
        )
        return USAGE
    return _guarded(name, arguments[1:])


def _fill_streams() -> None:
    """In place of a stream that the caller has closed (``>&-``): nothing to read, errors when written to.

    Else its number would be that of the next file that is opened, and what libraries print would go there.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")  # nobody could be told that it failed


def _commands() -> dict[str, str]:
    import importlib.util  # late: none of the codec's commands needs it

    late = {n: text for n, text in LATE_COMMANDS.items() if importlib.util.find_spec(f"calotype.cli.{n}")}
    return {**COMMANDS, **late}


def _help() -> str:
    lines = ["usage: calotype COMMAND ...", "", "A learned image codec.", ""]
    lines += [f"  {name:8} {text}" for name, text in _commands().items()]
    lines += ["", "'calotype COMMAND --help' explains one. 'calotype --version' prints the version."]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else USAGE
    if name == "--version":
        import calotype

        print(f"calotype {calotype.__version__}")
        return 0
    if name == "decode":
        from calotype.cli import plain

        if (status := plain.decode(arguments)) is not None:
            return status
    module = importlib.import_module(f"calotype.cli.{name}")
    if hasattr(module, "main"):
        return int(module.main(arguments) or 0)
    module.app(args=arguments, prog_name=f"calotype {name}")  # ends in SystemExit
    return 0


def _guarded(name: str, arguments: list[str]) -> int:
    """Run a command; turn what may go wrong into one line on stderr and an exit status."""
    from calotype.errors import CalotypeError

    previous, command = _catch_termination(), False
    try:
        command = _interrupt.raise_again()
        try:
            status = _run(name, arguments)
        except SystemExit as stop:  # argparse
            status = stop.code if isinstance(stop.code, int) else FAILURE
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _interrupted(INTERRUPTED)
    except _TerminatedError:
        return _interrupted(128 + signal.SIGTERM)
    except BrokenPipeError:
        _drop_output()  # whoever read it has gone, as in `calotype probe x.calo | head -1`
        return FAILURE
    except (CalotypeError, OSError, MemoryError) as error:
        from calotype.cli.report import complain

        lost = isinstance(error, OSError) and error.filename is None and error.errno in _LOST
        if lost:
            _drop_output()
        complain("standard output" if lost else None, error)
        return FAILURE
    finally:
        if command:
            _interrupt.stop_at_once()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _drop_output() -> None:
    """What cannot be written is not to be tried again, and complained of, when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _TerminatedError(BaseException):
    """SIGTERM, so that it unwinds and cleans up as Ctrl-C does."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def _catch_termination() -> signal._HANDLER:
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.signal(signal.SIGTERM, _terminate)


def _interrupted(status: int) -> int:
    from calotype.codec.files import stop_writing

    stop_writing()
    print("calotype: interrupted", file=sys.stderr, flush=True)
    if threading.active_count() > 1:
        os._exit(status)  # workers may be deep in a network; their files are gone and cannot come back
    return status
