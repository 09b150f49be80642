"""Networks in float32 or in 8-bit integers: a choice of whoever runs them, which files know nothing of."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from calotype.bitstream import parse
from calotype.codec import cpu, latents, metrics
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import VARIABLE, Pack, Precision
from calotype.errors import PackError

SIZE = (200, 260)


@pytest.fixture(scope="module")
def both(pack: Pack) -> dict[str, Pack]:
    return {"fp32": Pack(pack.path, precision="fp32"), "int8": Pack(pack.path, precision="int8")}


@pytest.fixture
def uncached() -> Iterator[None]:
    cpu.has_fast_integers.cache_clear()
    yield
    cpu.has_fast_integers.cache_clear()


def test_the_shipped_pack_has_both(both: dict[str, Pack]) -> None:
    assert both["fp32"].graph("analysis").name == "analysis"
    assert both["int8"].graph("analysis").name == "analysis.int8"
    for name in ("hyper_encoder", "synthesis"):
        assert both["int8"].graph(name).name == name


@pytest.mark.parametrize("quality_", [5, 50, 95])
@pytest.mark.parametrize("encoder", ["fp32", "int8"])
def test_both_decode_the_same_of_what_either_wrote(
    both: dict[str, Pack], scene: Callable[..., np.ndarray], encoder: str, quality_: float
) -> None:
    pixels = scene(*SIZE)
    data = encode(Picture(pixels), quality=quality_, pack=both[encoder]).data
    file = parse(data)
    integers, pictures = [], []
    for pack in both.values():
        networks = Networks(pack, pack.level(file.header.level))
        integers.append(latents.read(networks, file.tiles[0], 13, 17))
        pictures.append(decode(data, pack=pack).picture.pixels)
    assert all(np.array_equal(a, b) for a, b in zip(*integers))
    assert np.array_equal(*pictures), "precision is the encoder's affair"


def test_either_analysis_makes_as_good_a_file(
    both: dict[str, Pack], scene: Callable[..., np.ndarray]
) -> None:
    pixels = scene(*SIZE)
    files = [encode(Picture(pixels), quality=60, pack=pack).data for pack in both.values()]
    assert len(files[1]) == pytest.approx(len(files[0]), rel=0.02)
    psnr = [metrics.psnr(pixels, decode(data, pack=both["fp32"]).picture.pixels) for data in files]
    assert psnr[1] == pytest.approx(psnr[0], abs=0.1)


def test_a_pack_without_int8_networks_uses_the_others(pack: Pack, tmp_path: Path) -> None:
    import json

    from calotype.codec import manifest

    copy = Path(shutil.copytree(pack.path, tmp_path / "copy"))
    fields = json.loads((copy / "manifest.json").read_text())
    name = "analysis.int8.onnx"
    manifest.stored(copy, name).unlink()
    del fields["files"][name]
    fields["id"] = manifest.pack_id(fields["files"])
    (copy / "manifest.json").write_text(json.dumps(fields))
    assert Pack(copy, precision="int8").graph("analysis").name == "analysis"


@pytest.mark.parametrize(("value", "name"), [("fp32", "analysis"), ("int8", "analysis.int8")])
def test_the_environment_decides_unless_the_caller_does(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, value: str, name: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert Pack(pack.path).graph("analysis").name == name
    other: Precision = "int8" if value == "fp32" else "fp32"
    assert Pack(pack.path, precision=other).graph("analysis").name != name


def test_nonsense_is_refused(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="precision must be auto, fp32, int8, is 'fp16'"):
        Pack(pack.path, precision="fp16")  # type: ignore[arg-type]
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(PackError, match="CALOTYPE_PRECISION must be auto, fp32, int8, is 'fast'"):
        Pack(pack.path)


@pytest.mark.parametrize(
    ("features", "fast"),
    [
        ({"sse4_2", "avx"}, False),
        ({"sse4_2", "avx", "avx2"}, True),
        ({"avx2", "avx512f", "avx512_vnni"}, True),
        ({"fp", "asimd"}, False),
        ({"fp", "asimd", "asimddp"}, True),
        (set(), False),
    ],
)
@pytest.mark.usefixtures("uncached")
def test_what_auto_means_depends_on_the_cpu(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, features: set[str], fast: bool
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(cpu, "_features", lambda: features)
    monkeypatch.setattr(cpu.sys, "platform", "linux")
    assert Pack(pack.path).graph("analysis").name == ("analysis.int8" if fast else "analysis")
    assert Pack(pack.path, precision="auto").graph("analysis").name == Pack(pack.path).graph("analysis").name


@pytest.mark.usefixtures("uncached")
def test_without_proc_numpy_tells() -> None:
    """Where both sources exist they agree on the instructions that both know."""
    known = {"avx2", "asimddp"}
    assert cpu._features() & known == cpu._features_of_numpy() & known
