"""The wrappers of VTM and HM, on stand-ins that take their command lines as strictly as the programs do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.conftest import round_trips, scene
from tests.bench.reference_programs import install, on_path

from calotype.bench import codecs
from calotype.bench.codecs._process import ProcessError

NAMES = ("vtm-444", "hm-444")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = install(tmp_path)
    monkeypatch.setenv("PATH", on_path(folder))
    for variable in ("CALOTYPE_VTM_CFG", "CALOTYPE_HM_CFG"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_files_of_any_size(name: str, programs: Path) -> None:
    """Odd sizes are padded and cut by the programs; the qualities of the ladder are QPs that both take."""
    codec = codecs.every()[name]
    assert codec.missing() is None
    sizes, errors = round_trips(codec, scene(67, 93), (codec.qualities[0], codec.qualities[-1]))
    assert sizes[0] < sizes[1]
    assert errors[1] < 2 < errors[0]


@pytest.mark.parametrize(
    ("name", "told"), [*zip(NAMES, ("VTM Encoder Version 23.11", "Encoder Version [16.28]"))]
)
def test_versions_are_told(name: str, told: str, programs: Path) -> None:
    """Both end with status 1 when they are asked for nothing, after their version."""
    assert told in codecs.every()[name].version()


@pytest.mark.parametrize("name", NAMES)
def test_what_the_programs_say_is_passed_on(
    name: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = codecs.every()[name]
    with pytest.raises(ProcessError, match=r"ended with status 1: Error: QP exceeds supported range"):
        codec.encode(scene(16, 16), 64)
    data = codec.encode(scene(16, 16), 30)
    with pytest.raises(ProcessError, match="status 1: Error: bitstream is damaged"):
        codec.decode(data[:-8])


def test_a_configuration_that_is_missing(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for beside the program, and where the variable says; without one the codec is missing."""
    codec = codecs.every()["vtm-444"]
    configuration = tmp_path / "cfg" / "encoder_intra_vtm.cfg"
    elsewhere = configuration.rename(tmp_path / "mine.cfg")
    assert codec.missing() == "CALOTYPE_VTM_CFG names no file"
    monkeypatch.setenv("CALOTYPE_VTM_CFG", str(elsewhere))
    assert codec.missing() is None
    assert codec.decode(codec.encode(scene(16, 24), 20)).shape == (16, 24, 3)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "is not on PATH" in str(codecs.every()[name].missing())
