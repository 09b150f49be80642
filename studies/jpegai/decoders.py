"""Decoders compared on one encoder's files: what a change of the synthesis transform costs, in a short time.

The baseline is trained whole, briefly, once per lambda.  Then every decoder, the baseline's too, learns to
read the *same* latents: same crops, same order, same number of steps.  The layers that all of them have begin
with the weights that they have in the whole baseline, the others, in the baseline too, with fresh ones.
Rates are equal to the byte, and a comparison needs far less training than one of whole systems, whose rates
differ by chance.  What it does not show: an encoder that adapts to its decoder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab import registry
from calotype.lab.checkpoint import load_checkpoint, save_checkpoint
from calotype.lab.entropy import Estimate
from calotype.lab.metrics import mse255
from calotype.lab.models.base import LabModel, as_tuple
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.subject import Subject
from studies.training import MODEL, trained

ENCODER = "encoder"
"""Folder of the whole baseline."""


def path(out: Path, name: str, lam: float) -> Path:
    """Where a trained system lies."""
    return out / name / f"{lam:g}" / MODEL


def train(
    decoders: Mapping[str, tuple[str, int]],
    options: dict[str, Any],
    lambdas: Sequence[float],
    whole: Mapping[str, Any],
    config: Mapping[str, Any],
    chain: float,
    photos: Photos,
    out: Path,
    deadline: float = math.inf,
) -> bool:
    """Train what is missing until ``deadline`` (`time.monotonic`); returns whether all is there.

    decoders: name to (registry name of the system, seed); the first is the baseline.
    whole, config: fields of `TrainConfig` for the whole baseline and for each decoder.
    chain: steps of every lambda but the first, which begin with the weights of the one before, as a fraction
    of the first one's.
    """
    baseline = next(iter(decoders.values()))[0]
    common = shared([system for system, _ in decoders.values()], options)
    for k, lam in enumerate(lambdas):
        encoder = path(out, ENCODER, lam)
        before = path(out, ENCODER, lambdas[k - 1]) if k else None
        ready = encoder.is_file() or trained(
            Subject(baseline, options, lam=lam),
            photos,
            _shorter(whole, chain if k else 1.0),
            encoder.parent,
            deadline,
            first=None if before is None else partial(load_checkpoint, before, expect=baseline),
            notes={"lambda": lam},
        )
        if not ready:
            return False
        settings = _shorter(config, chain if k else 1.0)
        missing = [name for name in decoders if not path(out, name, lam).is_file()]
        given = None
        for name in missing:
            if time.monotonic() > deadline:
                return False
            model = load_checkpoint(encoder)
            given = given or latents(model, photos, settings)
            system, seed = decoders[name]
            torch.manual_seed(settings.seed + seed)
            one = registry.build(system, **options)
            others = {key: v for key, v in model.state_dict().items() if not key.startswith("g_s.")}
            one.load_state_dict(others, strict=False)
            if k:
                last = load_checkpoint(path(out, name, lambdas[k - 1]))
                one.g_s.load_state_dict(last.g_s.state_dict())
            known = model.g_s.state_dict()
            one.g_s.load_state_dict({key: known[key] for key in common}, strict=False)
            begin = time.process_time()
            loss = decoder(one, *given, settings, seed)
            seconds = round(time.process_time() - begin, 1)
            notes = {"lambda": lam, "steps": settings.steps, "cpu seconds": seconds, "last mse": loss}
            save_checkpoint(path(out, name, lam), one, notes)
            print(f"{name}, lambda {lam:g}: MSE {loss:.1f} in training, {seconds:.0f} s", flush=True)
    return True


def shared(systems: Sequence[str], options: dict[str, Any]) -> set[str]:
    """Names of the synthesis's tensors that all these systems have, in one shape and in modules of one
    kind.
    """

    def tensors(g_s: nn.Module) -> set[tuple[str, Any, Any]]:
        found = set()
        for key, value in g_s.state_dict().items():
            path = key.split(".")
            around = (g_s.get_submodule(".".join(path[:k])) for k in range(1, len(path)))
            found.add((key, value.shape, tuple(type(module) for module in around)))
        return found

    with torch.device("meta"):  # sizes only
        models = [registry.build(system, **options) for system in systems]
    return {key for key, _, _ in set.intersection(*(tensors(model.g_s) for model in models))}


def _shorter(values: Mapping[str, Any], factor: float) -> TrainConfig:
    config = TrainConfig.from_dict(dict(values))
    return replace(config, steps=max(1, round(config.steps * factor)))


@torch.inference_mode()
def latents(model: LabModel, photos: Photos, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Decoded latents ``[N, M, S/16, S/16]`` and the crops ``[N, 3, S, S]``, uint8, of a whole training."""
    model.eval()
    training = photos.split(config.held_out)[0]
    maps, crops = [], []
    for step in range(config.steps):
        x = photos.crops(training, (config.seed, step, 0), config.batch, config.crop)
        coder = Estimate("round")
        coder.begin(len(x), config.crop, config.crop)
        maps.append(as_tuple(model.walk(coder, model.analyse(x / 255.0)))[0])
        crops.append(x)
    return torch.cat(maps).clone(), torch.cat(crops)


def decoder(model: LabModel, maps: Tensor, crops: Tensor, config: TrainConfig, seed: int = 0) -> float:
    """Train the synthesis on given latents by MSE; leaves averaged weights; returns the MSE (0..255 scale) of
    the last tenth of the steps.

    Another ``seed`` takes the same crops in another order.
    """
    g_s: nn.Module = model.g_s.train().to(memory_format=torch.channels_last)
    order = np.random.default_rng(seed).permutation(len(maps)) if seed else np.arange(len(maps))
    optimizer = torch.optim.Adam(g_s.parameters(), config.lr)
    average = {key: v.clone() for key, v in g_s.state_dict().items()}
    losses = []
    for step in range(config.steps):
        take = torch.from_numpy(order[step * config.batch : (step + 1) * config.batch])
        x = crops[take].float() / 255
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate(step)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=config.bf16):
            x_hat = g_s(maps[take].contiguous(memory_format=torch.channels_last))
        loss = mse255(x, x_hat.float()).mean()
        optimizer.zero_grad()
        (loss / 255**2).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(g_s.parameters(), config.clip)
        optimizer.step()
        decay = min(config.ema, (2 + step) / (11 + step))
        for key, v in g_s.state_dict().items():
            average[key].lerp_(v, 1 - decay) if v.is_floating_point() else average[key].copy_(v)
        losses.append(float(loss.detach()))
    g_s.load_state_dict(average)
    model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)
