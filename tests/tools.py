"""Programs that some tests need beside Python: what lacks is said, and is a failure where it may not lack."""

from __future__ import annotations

import os
import shutil

import pytest

NEEDED = "CALOTYPE_NEEDS_TOOLS"
"""Set where no such test may be left out: in the nightly workflow, which installs all of them."""


def need(command: str, package: str) -> str:
    """The path of a program, which Debian's `package` has; without it the test is left out."""
    found = shutil.which(command)
    return found or lacking(f"{command} (Debian: {package})")


def lacking(what: str) -> str:
    """Leave the test out, and say why; where that may not be, fail."""
    if os.environ.get(NEEDED):
        pytest.fail(f"needs {what}, and {NEEDED} says that nothing may lack here")
    pytest.skip(f"needs {what}")
