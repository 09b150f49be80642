"""Parity with CompressAI 1.2.8: weights copied over, outputs, likelihoods and file sizes compared, and back
again.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import every
from torch import Tensor

from calotype.lab import convert_compressai as cc
from calotype.lab import registry
from calotype.lab.checkpoint import CheckpointError, load_checkpoint
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy import Estimate, place, take
from calotype.lab.models.base import LabModel

from .conftest import picture, thin

RASTER = ("minnen2018-autoregressive", "cheng2020-anchor", "cheng2020-attention")
GROUPS = [2, 2, 3, 5]


def theirs(compressai: types.ModuleType, name: str, seed: int = 0) -> Any:
    """One of their networks, thin, its weights moved off the start, its tables made."""
    from compressai.registry import MODELS

    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"N": 8} if "cheng" in name else {"N": 8, "M": 12}
    if name.startswith("elic"):
        sizes["groups"] = GROUPS
    net = MODELS[name](**sizes).eval()
    with torch.no_grad():
        for key, p in net.named_parameters():
            if "entropy_bottleneck" not in key:
                p += 0.03 * torch.randn_like(p)
        last = [m for m in net.g_a.modules() if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)][-1]
        last.weight *= 20  # latents of several steps
    net.update(force=True)
    return net


def ours(name: str, net: Any) -> LabModel:
    config, weights = cc.from_compressai(name, net.state_dict())
    model = registry.build(cc.our_name(name), **config).eval()
    model.load_state_dict(weights)
    return model


def likelihoods(coder: Estimate, name: str) -> Tensor:
    """What the coder estimated, put back as one map."""
    maps: dict[int, Tensor] = {}
    for key, values, p, at in coder.coded:
        if key == name:
            v = values if at is None else take(values, at)
            q = p.likelihood(coder.rate(v, p.centre, None))
            maps[id(values)] = (
                q if at is None else place(maps.get(id(values), torch.zeros_like(values)), at, q)
            )
    return torch.cat(list(maps.values()), 1)


@pytest.mark.parametrize("name", every(2, cc.NAMES))
def test_outputs_and_likelihoods(compressai: types.ModuleType, name: str) -> None:
    net = theirs(compressai, name)
    model = ours(name, net)
    x = torch.stack([picture(128, 64, s) for s in (0, 1)]) / 255
    # their forward pass of raster models takes contexts of plainly rounded latents, unlike their files
    coder = Estimate("parallel" if model.name in RASTER else "round")
    with torch.no_grad():
        expected, found = net(x), model(x, coder=coder)
    torch.testing.assert_close(found.x_hat, expected["x_hat"], atol=1e-5, rtol=1e-5)
    assert expected["likelihoods"].keys() == found.bits.keys()
    for key, value in expected["likelihoods"].items():
        torch.testing.assert_close(likelihoods(coder, key), value, atol=1e-5, rtol=0)
        torch.testing.assert_close(
            found.bits[key], -torch.log2(value).flatten(1).sum(1), rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize("name", every(2, cc.NAMES))
def test_there_and_back(compressai: types.ModuleType, name: str) -> None:
    net, other = theirs(compressai, name), theirs(compressai, name, seed=1)
    back = cc.to_compressai(name, ours(name, net).state_dict())
    own = dict(net.named_parameters())
    assert back.keys() == own.keys()
    assert all(torch.equal(back[k], own[k]) for k in back)
    other.load_state_dict({**other.state_dict(), **back})
    x = picture(64, 64)[None] / 255
    with torch.no_grad():
        assert torch.equal(other(x)["x_hat"], net(x)["x_hat"])


@pytest.mark.parametrize("name", every(2, cc.NAMES))
def test_file_sizes(compressai: types.ModuleType, name: str) -> None:
    """Our whole files against the sum of their strings: within 1 % and our container of 22 bytes.

    Scales are set so that probabilities fit the latents, as they do after training.
    """
    net = theirs(compressai, name)
    x = picture(256, 256)[None] / 255
    with torch.no_grad():
        y = net.g_a(x)
        fit(net, float(y.std()))
        net.update(force=True)
        strings = net.compress(x)["strings"]
    size = sum(len(s) for group in strings for s in group)
    assert size > 500
    codec = ModelCodec(ours(name, net))
    data = codec.compress(x)
    assert abs(len(data) - size) <= 0.01 * size + 32
    if name == "mbt2018-mean":  # and what they decode is what we decode
        shape = net.compress(x)["shape"]
        expected = net.decompress(strings, shape)["x_hat"]
        torch.testing.assert_close(codec.decompress(data), expected, atol=1e-5, rtol=0)


def fit(net: Any, spread: float) -> None:
    """Move the biases that become scales to the latents' spread."""
    heads: list[torch.nn.Module] = []
    if hasattr(net, "entropy_parameters"):
        heads = [net.entropy_parameters[-1]]
    elif hasattr(net, "latent_codec"):
        y = net.latent_codec["y"]
        codecs = (
            [y] if hasattr(y, "entropy_parameters") else [y.latent_codec[f"y{k}"] for k in range(len(GROUPS))]
        )
        heads = [c.entropy_parameters[-1] for c in codecs]
    elif hasattr(net, "h_s"):
        heads = [m for m in net.h_s if hasattr(m, "bias")][-1:]
    for head in heads:
        n = len(head.bias)
        chandelier = type(net).__name__.endswith("Chandelier")
        scales = slice(n // 2, n) if chandelier else slice(0, n if head.out_channels == 12 else n // 2)
        head.bias[scales] += spread


def test_old_names_and_trainer_checkpoints(compressai: types.ModuleType, tmp_path: Path) -> None:
    """Released weights call the prior's parameters _matrix0 ...; trainers wrap them, with a module prefix."""
    net = theirs(compressai, "mbt2018-mean")
    old = {}
    for key, value in net.state_dict().items():
        for new, before in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
            key = key.replace(f"entropy_bottleneck.{new}", f"entropy_bottleneck.{before}")
        old[f"module.{key}"] = value
    torch.save({"epoch": 3, "state_dict": old}, tmp_path / "theirs.pth.tar")
    model = cc.convert(
        "mbt2018-mean", tmp_path / "theirs.pth.tar", tmp_path / "ours.safetensors", {"lambda": 0.0067}
    )
    x = picture(64, 64)[None] / 255
    with torch.no_grad():
        expected = net(x)["x_hat"]
        torch.testing.assert_close(model(x).x_hat, expected)
        torch.testing.assert_close(load_checkpoint(tmp_path / "ours.safetensors")(x).x_hat, expected)


def test_unfit_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="CompressAI has no 'minnen2020-charm'"):
        cc.from_compressai("minnen2020-charm", {})
    with pytest.raises(CheckpointError, match="missing"):
        cc.from_compressai("mbt2018", {"a": torch.zeros(1)})
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be read"):
        cc.convert("mbt2018", tmp_path / "junk.pth", tmp_path / "x.safetensors")
    torch.save(
        cc.to_compressai("mbt2018-mean", thin("minnen2018-mean-scale").state_dict()), tmp_path / "mean.pth"
    )
    with pytest.raises(CheckpointError, match="not weights of 'bmshj2018-factorized'"):
        cc.convert("bmshj2018-factorized", tmp_path / "mean.pth", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
