"""The state of a training run on disk: one safetensors file with JSON inside; no pickle.

Not to be confused with a model's checkpoint (`calotype.lab.checkpoint`), which holds weights to use and
nothing else.

    "format"             metadata: "calotype-training-1"
    "state"              metadata, JSON: the fields of `State` that are not tensors
    model/NAME           weights, as they are trained
    ema/NAME             their moving average, which is what gets exported
    optimizer/NAME/KEY   the optimiser's tensors of the parameter NAME

A state may hold the average alone, in float16 (`State.average`): enough for a new run to begin with, and for
an export, in an eighth of the space.  Training does not go on from it exactly.

For places that take only small files, `split` makes pieces of it, and `find` takes a folder of pieces as
well.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from calotype.lab.checkpoint import CheckpointError

FORMAT = "calotype-training-1"
NAME = "checkpoint.safetensors"
KEYS = ("step", "seconds", "config", "model", "data", "machines", "pixels", "inherited")
PIECE = re.compile(r"checkpoint-([0-9a-f]{12})-(\d+)of(\d+)\.piece")
UNFINISHED = ".new"
"""After the name of a piece that is being written."""


@dataclass
class State:
    """What a run is continued from."""

    step: int
    seconds: float
    config: dict[str, Any]
    """`TrainConfig` as a mapping."""
    model: dict[str, Any]
    """What was trained; `calotype.lab.train.subject.Subject` as a mapping."""
    weights: dict[str, Tensor]
    """None, where only the average was kept."""
    ema: dict[str, Tensor]
    optimizer: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The optimiser's state by parameter: tensors and numbers."""
    data: dict[str, Any] = field(default_factory=dict)
    """`Photos.describe`, and under ``held out`` the names of `Photos.held_out`."""
    machines: dict[str, float] = field(default_factory=dict)
    """Seconds of training by processor or GPU."""
    pixels: dict[str, int] = field(default_factory=dict)
    """Pixels that were trained on, by processor or GPU."""
    inherited: int = 0
    """Pixels that the weights had seen when the run began with them, as far as that was counted."""

    @property
    def seen(self) -> int:
        """Pixels that the weights have seen in all, as far as that was counted."""
        return self.inherited + sum(self.pixels.values())

    def average(self) -> State:
        """The moving average alone, in float16."""
        return replace(self, weights={}, ema=_half(self.ema), optimizer={})

    def result(self) -> State:
        """Weights and average in float16, without the optimiser's state: what comes back from a lent
        machine.
        """
        return replace(self, weights=_half(self.weights), ema=_half(self.ema), optimizer={})

    def _contents(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and metadata of the file."""
        tensors = {f"model/{k}": v for k, v in self.weights.items()} | {
            f"ema/{k}": v for k, v in self.ema.items()
        }
        numbers: dict[str, dict[str, Any]] = {}
        for name, entry in self.optimizer.items():
            tensors |= {f"optimizer/{name}/{k}": v for k, v in entry.items() if isinstance(v, Tensor)}
            numbers[name] = {k: v for k, v in entry.items() if not isinstance(v, Tensor)}
        state = {k: getattr(self, k) for k in KEYS} | {"optimizer": numbers}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        return tensors, {"format": FORMAT, "state": json.dumps(state)}

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        from safetensors.torch import save

        return save(*self._contents())

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        from safetensors.torch import save_file

        tensors, metadata = self._contents()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".checkpoint-") as folder:
            temporary = Path(folder) / NAME
            save_file(tensors, temporary, metadata)
            temporary.chmod(0o644)
            temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read a checkpoint: a file, a run's folder, or a folder of pieces; tensors on the CPU, float16 as
        float32.

        Raises:
            CheckpointError: when it is missing, damaged, or something else.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        data = find(path)
        try:
            size = int.from_bytes(data[:8], "little")
            metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
            tensors = load(data)
        except (SafetensorError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: not a safetensors file, or a damaged one: {error}") from error
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: a safetensors file, but not the state of a training run ({FORMAT})"
            )
        state = json.loads(metadata["state"])
        optimizer: dict[str, dict[str, Any]] = {k: dict(v) for k, v in state.pop("optimizer").items()}
        for key in [k for k in tensors if k.startswith("optimizer/")]:
            _, name, entry = key.split("/")
            optimizer.setdefault(name, {})[entry] = tensors.pop(key)
        weights, ema = (
            {k[len(prefix) :]: _single(v) for k, v in tensors.items() if k.startswith(prefix)}
            for prefix in ("model/", "ema/")
        )
        return cls(**state, weights=weights, ema=ema, optimizer=optimizer)


def _half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}


def _single(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.float16 else value


def find(path: Path) -> bytes:
    """The bytes of a checkpoint: a file, a run's folder, or a folder of pieces.

    Raises:
        CheckpointError: when there is none, or pieces are missing or damaged.
    """
    if path.is_file():
        return path.read_bytes()
    if (path / NAME).is_file():
        return (path / NAME).read_bytes()
    found = (
        [(match, p) for p in path.iterdir() if (match := PIECE.fullmatch(p.name))] if path.is_dir() else []
    )
    if not found:
        raise CheckpointError(f"{path}: no checkpoint")
    sets: dict[tuple[str, int], dict[int, Path]] = {}
    for match, piece in found:
        sets.setdefault((match[1], int(match[3])), {})[int(match[2])] = piece
    missing = {key: set(range(1, key[1] + 1)) - set(pieces) for key, pieces in sets.items()}
    whole = [key for key in sets if not missing[key]]
    if len(sets) > 1 and len(whole) != 1:  # beside a whole one, others are what an interrupted `split` left
        raise CheckpointError(f"{path}: pieces of {len(sets)} checkpoints; keep those of one")
    key = whole[0] if whole else next(iter(sets))
    if missing[key]:
        raise CheckpointError(f"{path}: piece {min(missing[key])} of {key[1]} is missing")
    data = b"".join(sets[key][k].read_bytes() for k in sorted(sets[key]))
    if hashlib.sha256(data).hexdigest()[:12] != key[0]:
        raise CheckpointError(f"{path}: the pieces are damaged")
    return data


def split(data: bytes, folder: Path, limit: int = 15 << 20) -> list[Path]:
    """Write the bytes of a checkpoint as pieces of at most ``limit`` bytes, in the place of those that were
    in ``folder``.  The old ones go when all new ones are there, so that an interruption loses nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count, digest = -(-len(data) // limit), hashlib.sha256(data).hexdigest()[:12]
    pieces = [folder / f"checkpoint-{digest}-{k + 1}of{count}.piece" for k in range(count)]
    parts = [piece.with_name(piece.name + UNFINISHED) for piece in pieces]
    try:
        for k, part in enumerate(parts):
            part.write_bytes(data[k * limit : (k + 1) * limit])
        for part, piece in zip(parts, pieces, strict=True):
            part.replace(piece)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    for old in list(folder.iterdir()):
        if PIECE.fullmatch(old.name.removesuffix(UNFINISHED)) and old not in pieces:
            old.unlink()
    return pieces


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """As ``load_state_dict``, with an error of one line.

    Raises:
        CheckpointError: when names or shapes differ: the checkpoint is of another model.
    """
    own = module.state_dict()
    for name in sorted(set(own) | set(weights)):
        if name not in own or name not in weights:
            raise CheckpointError(
                f"{where}: of another model ({name} is only in {'it' if name in weights else 'this one'})"
            )
        if own[name].shape != weights[name].shape:
            shapes = f"{list(weights[name].shape)}, not {list(own[name].shape)}"
            raise CheckpointError(f"{where}: of another model ({name} is {shapes})")
    module.load_state_dict(dict(weights))


def optimizer_state(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, dict[str, Any]]:
    """The optimiser's state by the names of the parameters."""
    return {name: dict(optimizer.state[p]) for name, p in module.named_parameters() if p in optimizer.state}


def restore_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, state: Mapping[str, Mapping[str, Any]]
) -> None:
    """Inverse of `optimizer_state`.  Tensors of a parameter's shape take its device and memory format."""
    for name, p in module.named_parameters():
        if name not in state:
            continue
        entry: dict[str, Any] = {}
        for key, value in state[name].items():
            if isinstance(value, Tensor) and value.shape == p.shape and value.ndim:
                value = torch.empty_like(p.detach()).copy_(value)
            elif isinstance(value, Tensor):
                value = value.to(p.device)
            entry[key] = value
        optimizer.state[p] = entry
