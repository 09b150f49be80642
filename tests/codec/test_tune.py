"""Packs tuned for one measure or another: chosen by name, found by decoders without being told."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calotype
from calotype.cli import main
from calotype.codec import library
from calotype.codec.pack import Pack


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    path = next((Path(__file__).parents[2] / "examples").glob("*.jpg"))
    with Image.open(path) as image:
        return image.convert("RGB").crop((0, 0, 512, 384))


def _pack_of(data: bytes) -> str:
    return str(calotype.probe(data)["pack_id"])


def test_each_tune_has_a_pack_of_its_own() -> None:
    ids = {tune: library.load(library.tuned(tune)).manifest.id for tune in library.TUNES}
    assert len(set(ids.values())) == len(ids) == 2
    assert library.load().manifest.id == ids["eyes"]
    assert isinstance(library.load(library.tuned("psnr")), Pack)


def test_each_tune_wins_at_what_it_is_for(photograph: Image.Image) -> None:
    from calotype.codec import metrics
    from calotype.codec.ssimulacra2 import ssimulacra2

    original = np.asarray(photograph)
    found = {}
    for tune in ("psnr", "eyes"):
        data = calotype.encode(photograph, target_bpp=0.4, tune=tune)  # type: ignore[arg-type]
        decoded = np.asarray(calotype.decode(data))
        found[tune] = metrics.psnr(original, decoded), ssimulacra2(original, decoded)
    assert found["psnr"][0] > found["eyes"][0]
    assert found["eyes"][1] > found["psnr"][1]


def test_tune_means_the_same_everywhere(photograph: Image.Image, tmp_path: Path) -> None:
    expected = _pack_of(calotype.encode(photograph, 20, tune="psnr"))
    assert expected != _pack_of(calotype.encode(photograph, 20))
    stream = io.BytesIO()
    photograph.save(stream, "CALO", quality=20, tune="psnr")
    assert _pack_of(stream.getvalue()) == expected
    photograph.save(tmp_path / "a.png")
    assert main(["encode", str(tmp_path / "a.png"), "-q", "20", "--tune", "psnr", "--quiet"]) == 0
    assert _pack_of((tmp_path / "a.calo").read_bytes()) == expected


def test_bad_tunes(photograph: Image.Image, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="tune must be eyes or psnr, is 'vmaf'"):
        calotype.encode(photograph, tune="vmaf")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not both"):
        calotype.encode(photograph, tune="psnr", pack="photo-psnr")
    assert main(["encode", "a.png", "--tune", "psnr", "--pack", "photo-psnr"]) == 2
    assert "not allowed with" in capsys.readouterr().err
