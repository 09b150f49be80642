"""Real files of every system: any size, another process, exact; their size is the estimate; damage is
noticed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calotype.bitstream import Header, parse, write
from calotype.errors import FormatError
from calotype.lab import registry
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.codec import ModelCodec, exact, model_id
from calotype.lab.entropy import Estimate
from calotype.lab.models.base import as_tuple

from .conftest import picture, systems, thin, trained


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([(1, 1), (90, 37)], id="padded"),
        pytest.param([(3, 70), (64, 64)], id="more", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", systems())
def test_any_size_comes_back_exactly(name: str, sizes: list[tuple[int, int]]) -> None:
    """Decoded latents are those that were coded, and decoded pixels those of the forward pass."""
    model = thin(name)
    codec = ModelCodec(model)
    walk, known = codec.model.walk, []

    def kept(*args: Any) -> Any:
        known.append(as_tuple(result := walk(*args)))
        return result

    codec.model.walk = kept  # type: ignore[method-assign]
    for height, width in sizes:
        x = picture(height, width)[None] / 255
        pixels = codec.decompress(codec.compress(x))
        assert pixels.shape == x.shape
        coded, decoded = known
        assert all(torch.equal(a, b) for a, b in zip(coded, decoded, strict=True))
        known.clear()
        with torch.no_grad():
            out = model(x)
        torch.testing.assert_close(pixels, out.x_hat.clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("balle2018-factorized", 20),
        ("minnen2018-mean-scale", 20),
        pytest.param("minnen2018-autoregressive", 20, marks=pytest.mark.slow),
        pytest.param("he2021-minnen", 150, marks=pytest.mark.slow),
        pytest.param("he2022-elic", 40, marks=pytest.mark.slow),
        pytest.param("hu2020-low", 60, marks=pytest.mark.slow),
        pytest.param("lee2019", 20, marks=pytest.mark.slow),
        pytest.param("mentzer2018", 20, marks=pytest.mark.slow),
    ],
)
def test_size_is_the_estimate(name: str, steps: int) -> None:
    """Within 1 % + 32 bytes, on a briefly trained model and a picture that it has not seen."""
    model = trained(name, steps)
    x = picture(136, 200, seed=7)[None] / 255
    with torch.no_grad():
        bits = float(sum(model(x, coder=Estimate("round")).bits.values()))
    assert bits > 1000
    assert abs(len(ModelCodec(model).compress(x)) - bits / 8) <= 0.01 * bits / 8 + 32


QUICK = "minnen2018-mean-scale mentzer2018 johnston2018"
OTHERS = (
    "cheng2020-mixture chen2021-nlaic lee2019 xie2021-invcompress mentzer2020-hific agustsson2019 "
    "toderici2016 toderici2017-gru he2022-elic hu2020-low liu2023-tcm-small zhu2022-charm "
    "zhu2022-hyperprior jpegai2023-combination"
)


@pytest.mark.parametrize("names", [QUICK, pytest.param(OTHERS, marks=pytest.mark.slow)])
def test_decoded_in_a_fresh_process(names: str, tmp_path: Path) -> None:
    """One process for all: it takes seconds to import what it needs."""
    image = picture(70, 60).permute(1, 2, 0).numpy()
    expected = {}
    for name in names.split():
        model = thin(name)
        save_checkpoint(tmp_path / f"{name}.safetensors", model)
        codec = ModelCodec(model)
        data = codec.encode(image)
        (tmp_path / f"{name}.calo").write_bytes(data)
        expected[name] = codec.decode(data)
    script = """if True:
        import sys, pathlib, numpy, torch
        from calotype.lab import use
        torch.set_num_threads(1)
        for file in pathlib.Path(sys.argv[1]).glob("*.calo"):
            data = file.read_bytes()
            numpy.save(file.with_suffix(".npy"), use.find(data, [file.parent]).decode(data))
    """
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300)
    for name, pixels in expected.items():
        decoded = np.load(tmp_path / f"{name}.npy")
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, pixels, err_msg=name)


def test_probabilities_run_in_float64_and_pixels_do_not() -> None:
    model = thin("he2022-elic")
    twin = exact(model)
    assert twin.g_s is model.g_s
    assert next(twin.h_s.parameters()).dtype == torch.float64
    assert next(model.h_s.parameters()).dtype == torch.float32
    assert next(twin.joint.parameters()).dtype == torch.float64
    assert twin.h_a is model.h_a


def test_codec_is_a_snapshot() -> None:
    """Training on does not change files of a codec that is already open; a new codec has another id."""
    model = thin("minnen2018-mean-scale")
    codec, x = ModelCodec(model), picture(64, 64)[None] / 255
    before = codec.compress(x)
    with torch.no_grad():
        model.h_s[-1].bias += 0.3
    assert codec.compress(x) == before
    assert ModelCodec(model).id != codec.id


def test_id_depends_on_weights_and_configuration() -> None:
    a, b = thin("he2022-elic"), thin("he2022-elic")
    assert model_id(a) == model_id(b)
    with torch.no_grad():
        b.h_s[0].bias[0] += 1e-6
    assert model_id(a) != model_id(b)
    assert model_id(a) != model_id(registry.build("he2022-elic", **{**a.config, "variant": "chandelier"}))


def test_an_option_leaves_the_published_model_its_id() -> None:
    """Files name a model by its configuration, so one without ``resize`` does not mention it."""
    plain, resized = (registry.build("balle2018-hyperprior", n=8, m=12, **o) for o in ({}, {"resize": True}))
    assert plain.config == {"n": 8, "m": 12}
    again = registry.build("balle2018-hyperprior", **resized.config)
    assert again.state_dict().keys() == resized.state_dict().keys() != plain.state_dict().keys()
    x = picture(70, 90)[None] / 255
    codec = ModelCodec(resized.eval())
    assert codec.decompress(codec.compress(x)).shape == x.shape


def test_a_file_of_another_model_is_refused() -> None:
    data = ModelCodec(thin("balle2017", 0)).compress(picture(40, 40)[None] / 255)
    with pytest.raises(FormatError, match="written by model"):
        ModelCodec(thin("balle2017", 1)).decompress(data)


def test_a_file_of_the_product_is_refused() -> None:
    model = thin("balle2017")
    data = write(Header(64, 64, 0, model_id(model)), [b"tile"])
    with pytest.raises(FormatError, match="laboratory"):
        ModelCodec(model).decompress(data)


@pytest.mark.parametrize(
    "name", ["balle2018-hyperprior", "minnen2018-autoregressive", "cheng2020-mixture", "hu2020-low"]
)
def test_damage_is_an_error_even_behind_a_good_checksum(name: str) -> None:
    """Payloads cut, extended or altered, then wrapped in a valid container: an error or wrong pixels, never
    a crash.
    """
    model = thin(name)
    codec = ModelCodec(model)
    data = codec.compress(picture(64, 64)[None] / 255)
    file = parse(data)
    payload = bytes(file.tiles[0])
    for bad in (b"", payload[:3], payload[: len(payload) // 2], payload + b"\0\0\0\0"):
        with pytest.raises(FormatError):
            codec.decompress(write(file.header, [bad]))
    for position in range(0, len(payload), max(1, len(payload) // 12)):
        flipped = bytearray(payload)
        flipped[position] ^= 0x41
        try:
            assert codec.decompress(write(file.header, [bytes(flipped)])).shape == (1, 3, 64, 64)
        except FormatError as error:
            assert str(error)  # noqa: PT017 - either outcome is right
    with pytest.raises(FormatError):
        codec.decompress(data[:-1])


def test_batches_and_wrong_images_are_refused() -> None:
    model = thin("balle2017")
    with pytest.raises(ValueError, match="one RGB picture"):
        ModelCodec(model).compress(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="uint8"):
        ModelCodec(model).encode(np.zeros((4, 4, 4), np.uint8))
    grey = ModelCodec(model).encode(np.zeros((5, 4), np.uint8))
    assert ModelCodec(model).decode(grey).shape == (5, 4, 3)
