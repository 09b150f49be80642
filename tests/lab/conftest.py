"""Helpers for the laboratory's tests: thin models, a picture, short training, CompressAI without its heavy
neighbours.
"""

from __future__ import annotations

import copy
import importlib
import os
import sys
import types
from functools import cache
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.models.base import LabModel
from calotype.lab.objective import RateDistortion

torch.set_num_threads(1)


# Of these another system's thin model runs the same code: TCM's sizes are one size when thin, attention is in
# the mixture too, Hu's wide layers are its narrow ones, checkerboards and slices over Cheng's transforms are
# those over Minnen's, Zhu's hyperprior is in its slices, Toderici's cells differ by one layer, and JPEG AI's
# combination has the variants in it.
REPEATED = {"liu2023-tcm-medium", "liu2023-tcm-large", "cheng2020-attention", "hu2020-high"}
REPEATED |= {"he2021-cheng", "ali2023-cheng-charm", "zhu2022-hyperprior", "he2022-elic-chandelier"}
REPEATED |= {f"toderici2017-{cell}" for cell in ("lstm", "associative")}
REPEATED |= {
    f"jpegai2023-{part}" for part in ("baseline", "activation", "shuffle", "attention-cs", "attention-ds")
}


def systems() -> list[Any]:
    """Every published system as a parameter of a test; those of REPEATED are slow."""
    marks = {name: [pytest.mark.slow] if name in REPEATED else [] for name in registry.names(LabModel)}
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Waves and a little texture, uint8 ``[3, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    i, j = torch.arange(height)[:, None] / 64, torch.arange(width)[None] / 64
    waves = torch.stack([0.5 + 0.3 * torch.sin(2 * i + 3 * j + c) * torch.cos(i * j + c) for c in range(3)])
    texture = F.avg_pool2d(torch.randn(1, 3, height + 4, width + 4, generator=generator), 5, 1)[0] / 4
    return ((waves + texture).clamp(0, 1) * 255).round().to(torch.uint8)


def thin(name: str, seed: int = 0) -> LabModel:
    """A system with few channels and weights far enough from their start that latents are not all zero.

    Not so what is run backwards too: a mixing that is nearly singular would not come back. It is made once
    and copied; torch's generator goes on as if it had been made anew.
    """
    model, state = _thin(name, seed)
    torch.set_rng_state(state)
    return copy.deepcopy(model)


@cache
def _thin(name: str, seed: int) -> tuple[LabModel, Tensor]:
    torch.manual_seed(seed)
    model = registry.build(name, **registry.entry(name).thin)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if not key.startswith(("prior", "g_s", "flow")):
                p += 0.05 * torch.randn_like(p)
    return model.eval(), torch.get_rng_state()


@cache
def trained(name: str, steps: int = 60) -> LabModel:
    """A thin system after a few steps on crops of `picture`."""
    torch.manual_seed(0)
    model = registry.build(name, **registry.entry(name).thin).train()
    objective = RateDistortion(model, 0.02)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    generator, source = torch.Generator().manual_seed(1), picture(256, 256)
    for _ in range(steps):
        corners = torch.randint(0, 193, (4, 2), generator=generator).tolist()
        x = torch.stack([source[:, i : i + 64, j : j + 64] for i, j in corners])
        loss, _ = objective.training_loss(x, generator, hard=False)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def _anything(name: str) -> type:
    """A class that can be built with anything, subclassed, and used as a decorator."""
    if name.startswith("__"):
        raise AttributeError(name)
    members = {"__init__": lambda self, *a, **k: None, "__call__": lambda self, f=None, *a, **k: f}
    return type(name, (), members)


class _Stubs:
    """Importer of empty modules in place of those that CompressAI imports but its image models never use."""

    names = ("torchvision", "torch_geometric", "pandas", "tqdm", "einops", "matplotlib", "pytorch_msssim")

    def __init__(self) -> None:
        self.missing = {name for name in self.names if importlib.util.find_spec(name) is None}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] in self.missing else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__path__ = []  # type: ignore[attr-defined]
        module.__getattr__ = _anything  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


@pytest.fixture(scope="session")
def compressai() -> types.ModuleType:
    """CompressAI, or skip; in continuous integration a failure, as nothing would be compared.

    `make setup` installs it with --no-deps, without torchvision.
    """
    absent = pytest.fail if os.environ.get("CI") else pytest.skip
    if importlib.util.find_spec("compressai") is None:
        absent("compressai is not installed (make setup)")
    stubs = _Stubs()
    sys.meta_path.append(stubs)  # type: ignore[arg-type]
    try:
        importlib.import_module("compressai.models")
        return importlib.import_module("compressai")
    except ModuleNotFoundError as error:
        absent(f"compressai is installed but not what it needs: {error.name}")
    finally:
        sys.meta_path.remove(stubs)  # type: ignore[arg-type]
        for name in [n for n in sys.modules if n.split(".")[0] in stubs.missing]:
            del sys.modules[name]  # others must not find the empty ones
