"""Every error that Calotype raises on purpose.

::

    CalotypeError
    ├── FormatError   the bytes are not a .calo file, or are truncated or damaged
    ├── PackError     the pack (networks and tables) is missing, unknown or not fit for use
    ├── LimitError    the file or the request is larger than the limits allow
    └── ImageError    the input picture cannot be read or is of a kind that is not supported

The laboratory and the benchmark add their own below `CalotypeError`, each where it is raised: BenchError,
CheckpointError, Diverged, ExportError and others. So the command line prints one line for all of them.

Each message is one line that says what is wrong, where (offset, field), and what to do.
"""

from __future__ import annotations


class CalotypeError(Exception):
    """Base of all errors raised by Calotype.

    ``field`` and ``offset`` (in bytes from the start of the file) say where, if there is a place to name;
    they are put in front of the message: ``width at offset 11: the file ends here``.
    """

    field: str | None
    offset: int | None

    def __init__(self, message: str, *, field: str | None = None, offset: int | None = None) -> None:
        place = [field] if field is not None else []
        if offset is not None:
            place.append(f"at offset {offset}")
        super().__init__(f"{' '.join(place)}: {message}" if place else message)
        self.field = field
        self.offset = offset


class FormatError(CalotypeError):
    """The bytes are not a .calo file, or are truncated or damaged."""


class PackError(CalotypeError):
    """A pack is missing, unknown or not fit for use."""


class LimitError(CalotypeError):
    """A file or request exceeds the configured limits."""


class ImageError(CalotypeError):
    """A picture cannot be read, or is of a kind that is not supported."""


class ConversionWarning(UserWarning):
    """A picture was converted in a way that loses something beside the compression, such as 16 bits to 8."""


def describe(error: BaseException, source: str | None = None) -> str:
    """One line for an error: the file that it is about, then what is wrong.

    ``source``: the file, where the error itself does not name one.
    """
    if isinstance(error, OSError) and error.strerror:
        source = str(error.filename) if error.filename is not None else source
        text = error.strerror[:1].lower() + error.strerror[1:]
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    return f"{source}: {text}" if source else text
