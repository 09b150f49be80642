"""Decoders on one encoder's files: equal rates, equal crops, runs that go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.codec import ModelCodec
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from studies.jpegai import decoders

OPTIONS = {"luma": 8, "chroma": 8, "hidden": [8, 8]}
SHORT = {"steps": 4, "batch": 2, "crop": 64, "lr": 1e-3, "warmup": 0, "held_out": 1, "hard": 0.0}


@pytest.fixture
def photos(photographs: Callable[[int, int, int], Path], tmp_path: Path) -> Photos:
    return Photos.open(photographs(3, 96, 128), cache=tmp_path / "cache")


@pytest.mark.slow
def test_all_decoders_read_the_same_files(photos: Photos, tmp_path: Path) -> None:
    wanted = {
        "baseline": ("jpegai2023-baseline", 0),
        "shuffle": ("jpegai2023-shuffle", 0),
        "baseline, again": ("jpegai2023-baseline", 1),
    }
    out = tmp_path / "out"
    given = (wanted, OPTIONS, (0.005, 0.02), {**SHORT, "validate_every": 100}, SHORT, 0.5, photos, out)
    assert not decoders.train(*given, deadline=time.monotonic() - 1)
    assert not list(out.rglob(decoders.MODEL))
    assert decoders.train(*given)
    for lam in (0.005, 0.02):
        sizes, synthesis = set(), []
        for name in wanted:
            model = load_checkpoint(decoders.path(out, name, lam))
            sizes.add(
                len(
                    ModelCodec(model).compress(
                        torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
                    )
                )
            )
            synthesis.append(next(iter(model.g_s.luma.parameters())).detach().numpy().tobytes())
        assert len(sizes) == 1
        assert len(set(synthesis)) == 3
    # nothing is trained twice
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob(decoders.MODEL)}
    assert len(stamps) == 8
    assert decoders.train(*given)
    assert stamps == {p: p.stat().st_mtime_ns for p in out.rglob(decoders.MODEL)}


def test_decoders_share_what_all_of_them_have() -> None:
    names = [f"jpegai2023-{name}" for name in ("baseline", "attention-cs", "activation")]
    found = decoders.shared(names, OPTIONS)
    tensors = [registry.build(name, **OPTIONS).g_s.state_dict() for name in names]
    assert found
    assert all(one[key].shape == tensors[0][key].shape for one in tensors for key in found)
    assert not any(set(one) <= found for one in tensors)  # attention and activation differ


@pytest.mark.slow
def test_a_decoder_learns_from_given_latents(photos: Photos) -> None:
    """The encoder stays as it is, the error falls, and another seed only changes the order."""
    torch.manual_seed(0)
    model = registry.build("jpegai2023-baseline", **OPTIONS)
    config = replace(TrainConfig.from_dict(SHORT), steps=3)
    maps, crops = decoders.latents(model, photos, config)
    assert (maps.shape, crops.shape) == ((6, 16, 4, 4), (6, 3, 64, 64))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    many = replace(config, steps=60, batch=6, lr=3e-3, decay=0.0)
    repeated = maps.repeat(60, 1, 1, 1), crops.repeat(60, 1, 1, 1)
    first = decoders.decoder(model, *repeated, replace(many, steps=1))
    last = decoders.decoder(model, *repeated, many, seed=1)
    assert last < 0.7 * first
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(k.startswith("g_s.") for k in changed)
