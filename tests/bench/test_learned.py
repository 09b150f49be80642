"""Learned codecs in the benchmark: our own, and the laboratory's checkpoints; what a network costs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.bench.conftest import scene

from calotype.bench import codecs
from calotype.bench.errors import BenchError
from calotype.bench.runner import Settings, run


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained models of one kind, of different rates."""
    torch = pytest.importorskip("torch")
    from calotype.lab import registry
    from calotype.lab.checkpoint import save_checkpoint

    folder = tmp_path_factory.mktemp("models") / "hyperprior"
    folder.mkdir()
    for name, seed, weight in (("b", 1, 0.01), ("a", 2, 0.05)):
        torch.manual_seed(seed)
        model = registry.build("balle2018-hyperprior", n=8, m=12)
        save_checkpoint(folder / f"{name}.safetensors", model, {"lambda": weight})
    return folder


@pytest.mark.slow
def test_folder_of_checkpoints_is_one_curve(checkpoints: Path) -> None:
    codec = codecs.get(f"lab:{checkpoints}")
    assert codec.name == "lab:hyperprior"
    assert codec.qualities == (0, 1)
    assert codec.quality_unit == "0 = b, 1 = a", "sorted by lambda, from low to high rate"
    assert codec.available()
    image = scene(64, 64)
    streams = [codec.encode(image, q) for q in codec.qualities]
    pictures = [codec.decode(s) for s in reversed(streams)]
    single = codecs.get(f"lab:{checkpoints / 'a.safetensors'}")
    assert single.qualities == (0,)
    assert single.encode(image, 0) == streams[1]
    assert (single.decode(streams[1]) == pictures[0]).all()
    complexity = codec.complexity()
    assert complexity is not None
    assert complexity["parameters"] > 10_000
    assert complexity["kmac_per_pixel"]["total"] > 0.1


def test_another_checkpoint_is_another_codec(checkpoints: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(checkpoints / "a.safetensors", path)
    before = codecs.get(f"lab:{path}").version()
    shutil.copy(checkpoints / "b.safetensors", path)
    assert codecs.get(f"lab:{path}").version() != before


@pytest.mark.parametrize(
    ("training", "name"),
    [
        ({"steps": 99_999}, "lab:m (short training)"),
        ({"steps": 100_000}, "lab:m"),
        ({}, "lab:m"),  # weights from elsewhere do not say
    ],
)
def test_short_training_is_in_the_name(training: dict[str, int], name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from calotype.lab import registry
    from calotype.lab.checkpoint import save_checkpoint

    save_checkpoint(tmp_path / "m.safetensors", registry.build("balle2017", n=8), training)
    assert codecs.get(f"lab:{tmp_path / 'm.safetensors'}").name == name


def test_no_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(BenchError, match="no checkpoint in"):
        codecs.get(f"lab:{tmp_path}")


@pytest.mark.slow
def test_run_with_a_checkpoint(checkpoints: Path, pictures: Path, tmp_path: Path) -> None:
    settings = Settings(
        out=tmp_path / "out",
        codecs=(f"lab:{checkpoints}",),
        metrics=("psnr_rgb",),
        timing_images=1,
        pictures=0,
    )
    found = run([pictures / "a.png"], settings)
    assert not found["failures"]
    assert len(found["measurements"]) == 2
    assert {t["threads"] for t in found["timing"]} == {1, "all"}
    assert found["codecs"]["lab:hyperprior"]["complexity"]["parameters"] > 10_000


def test_our_own_codec() -> None:
    codec = codecs.get("calotype")
    if not codec.available():
        pytest.skip(str(codec.missing()))
    image = scene(70, 90)
    data = codec.encode(image, 60)
    assert codec.decode(data).shape == image.shape
    assert codec.with_threads(0).decode(data).shape == image.shape
    from calotype.codec import library

    path = library.load(None).path
    other = codecs.get(f"calotype:{path}")
    assert other.name == f"calotype:{Path(path).stem}"
    assert other.encode(image, 60) == data
    archive = codecs.get("calotype:psnr")
    assert archive.name == "calotype:psnr"
    assert "for psnr" in archive.settings
    assert "for eyes" in codec.settings
    assert archive.version().split()[-2] == library.tuned("psnr")
    assert codec.version().split()[-2] == library.tuned("eyes")
    if os.environ.get("CALOTYPE_PACKS") is None:
        assert "no pack" in str(codecs.get("calotype:no-such-pack").missing())


def test_complexity_of_a_pack() -> None:
    codec = codecs.get("calotype")
    if not codec.available():
        pytest.skip(str(codec.missing()))
    found = codec.complexity()
    assert found is not None
    kmac = found["kmac_per_pixel"]
    assert kmac["encode"] == pytest.approx(
        sum(kmac[part] for part in ("analysis", "hyper_encoder", "coder", "mean"))
    )
    assert kmac["decode"] == pytest.approx(kmac["coder"] + kmac["mean"] + kmac["synthesis"])
    assert min(kmac.values()) > 0
