"""The one door to the native module, opened at the first use: tables and the laboratory work without it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def load() -> ModuleType:
    """Return ``calotype._rans``. Raises ImportError with a hint where it has not been built."""
    try:
        import calotype._rans as module
    except ImportError as error:
        raise ImportError(
            f"the native entropy coder cannot be loaded ({error}); install calotype with pip to build it"
        ) from error
    return module
