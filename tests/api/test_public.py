"""The public surface: what is in it, and that importing it is cheap."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

import pytest

import calotype
from calotype import errors

NAMES = [
    "CalotypeError",
    "ConversionWarning",
    "FormatError",
    "ImageError",
    "LimitError",
    "PackError",
    "__version__",
    "decode",
    "encode",
    "open",
    "preview",
    "probe",
    "save",
]


def test_the_public_names_are_these() -> None:
    assert calotype.__all__ == NAMES
    for name in NAMES:
        assert getattr(calotype, name) is not None
        assert name in dir(calotype)


def test_there_are_no_others() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compress'"):
        _ = calotype.compress  # type: ignore[attr-defined]


def test_every_error_is_a_calotype_error() -> None:
    for name in ("FormatError", "ImageError", "LimitError", "PackError"):
        assert issubclass(getattr(calotype, name), calotype.CalotypeError)
        assert getattr(calotype, name) is getattr(errors, name)


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert calotype.__version__ == version("calotype")


def imported(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    script = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_is_cheap() -> None:
    modules = imported("import calotype")
    assert not modules & {"numpy", "onnxruntime", "torch", "rich", "calotype.api", "calotype.codec"}


def test_probing_loads_no_network() -> None:
    data = "bytes.fromhex('ca4c4f01')"
    modules = imported(f"import calotype\ntry: calotype.probe({data})\nexcept calotype.FormatError: pass")
    assert "calotype.bitstream" in modules
    assert not modules & {"onnxruntime", "torch"}


def test_coding_imports_no_onnxruntime_no_torch_and_no_command_line() -> None:
    modules = imported(
        "import calotype; from PIL import Image\n"
        "calotype.decode(calotype.encode(Image.new('RGB', (16, 16)), quality=10))"
    )
    assert "calotype._rans" in modules
    assert not modules & {"onnxruntime", "torch", "rich", "pydantic", "matplotlib", "scipy", "calotype.cli"}


def test_a_users_installation_needs_numpy_and_pillow_alone() -> None:
    needed = importlib.metadata.requires("calotype") or []
    assert sorted(re.split(r"\W", n)[0] for n in needed if "extra ==" not in n) == ["Pillow", "numpy"]
