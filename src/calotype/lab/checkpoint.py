"""Checkpoints: weights as safetensors, with the model's name and configuration in the file's metadata.

No pickle is ever read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from calotype.errors import CalotypeError
from calotype.lab import registry
from calotype.lab.codec import model_id
from calotype.lab.models.base import LabModel

FORMAT = "calotype-lab-1"
SUFFIX = ".safetensors"


class CheckpointError(CalotypeError):
    """A checkpoint is missing, damaged, or of another model."""


@dataclass(frozen=True)
class Info:
    """What a checkpoint says of itself; read without its weights."""

    path: Path
    name: str
    """Registry name of the model."""
    config: dict[str, Any]
    """Arguments that rebuild it."""
    id: bytes
    """The id that its files carry, 4 bytes."""
    training: dict[str, Any]
    """Whatever the trainer noted: lambda, distortion, steps, data ..."""


def save_checkpoint(path: Path | str, model: LabModel, training: dict[str, Any] | None = None) -> None:
    """Write a model's weights and configuration; a failure leaves no partial file.

    ``training``: notes that JSON can hold, such as ``{"lambda": 0.0067, "distortion": "mse", "steps":
    100000}``.
    """
    path = Path(path)
    if not model.name:
        raise ValueError("the model has no name; build it with calotype.lab.registry.build")
    metadata = {
        "format": FORMAT,
        "model": model.name,
        "config": json.dumps(model.config),
        "id": model_id(model).hex(),
        "training": json.dumps(training or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    try:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, temporary, metadata
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_info(path: Path | str) -> Info:
    """What a checkpoint says of itself.

    Raises:
        CheckpointError: if it is missing, not safetensors, truncated, or not written by `save_checkpoint`.
    """
    path = Path(path)
    with _open(path) as file:
        metadata = file.metadata() or {}
    found = metadata.get("format", "")
    if found != FORMAT:
        hint = "; the state of a training run, whose model.safetensors is the checkpoint"
        raise CheckpointError(
            f"{path}: a safetensors file, but not a checkpoint of the laboratory ({FORMAT})"
            + (hint if found.startswith("calotype-training") else "")
        )
    try:
        return Info(
            path, metadata["model"], json.loads(metadata["config"]), bytes.fromhex(metadata["id"]),
            json.loads(metadata.get("training", "{}")),
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged metadata ({error})") from None


def load_checkpoint(path: Path | str, *, expect: str | None = None, device: str = "cpu") -> LabModel:
    """Rebuild a model, in ``eval()``; ``expect``: the registry name that it must have.

    Raises:
        CheckpointError: as `read_info`; also for another model, or weights that do not fit.
    """
    info = read_info(path)
    if expect is not None and info.name != expect:
        raise CheckpointError(f"{path}: holds {info.name!r}, not {expect!r}")
    try:
        with torch.device("meta"):
            model = registry.build(info.name, **info.config)
    except registry.UnknownModel as error:
        raise CheckpointError(f"{path}: {error}") from None
    if not isinstance(model, LabModel):
        raise CheckpointError(f"{path}: packs are made of {info.name!r}, not checkpoints")
    model = model.to_empty(device=device)
    _reset_buffers(model, info)
    with _open(info.path) as file:
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    own = model.state_dict()
    for what, keys in (
        ("lacks", own.keys() - weights.keys()),
        ("has an unknown", weights.keys() - own.keys()),
    ):
        if keys:
            raise CheckpointError(
                f"{path}: {what} {min(keys)!r}; it is not a whole checkpoint of {info.name!r}"
            )
    for key, value in weights.items():
        if value.shape != own[key].shape:
            raise CheckpointError(
                f"{path}: {key!r} is {tuple(value.shape)}, {info.name!r} has {tuple(own[key].shape)}"
            )
    model.load_state_dict(weights)
    return model.eval()


def _reset_buffers(model: LabModel, info: Info) -> None:
    """Fill buffers that no checkpoint holds (masks, tables), which `to_empty` left undefined."""
    stored = model.state_dict().keys()
    missing = [name for name, _ in model.named_buffers() if name not in stored]
    if missing:
        fresh = dict(registry.build(info.name, **info.config).named_buffers())
        for name in missing:
            model.get_buffer(name).copy_(fresh[name])


def _open(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            start = file.read(2)
        if start in (b"PK", b"\x80\x02"):
            reason = "a pickle, which is never opened here; for CompressAI weights see calotype lab convert"
        else:
            reason = f"not a safetensors file, or truncated ({str(error).splitlines()[0]})"
        raise CheckpointError(f"{path}: {reason}") from None
