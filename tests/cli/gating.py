"""Small packs for the gate, and the gate as its tests ask it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from calotype.bench import gate
from calotype.codec import manifest
from calotype.lab.export import Statistics, export
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_start import start
from calotype.pack.files import identity

torch.set_num_threads(1)


def linear(sample: Callable[[int], torch.Tensor]) -> Calotype:
    """A linear codec of small sizes."""
    torch.manual_seed(0)
    widths = {"latents": 48, "width": 96, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}
    blocks = {"analysis_blocks": (1, 1), "synthesis_blocks": (1, 1)}
    model = Calotype(Config.from_dict({**widths, **blocks, "lambdas": (0.001, 0.01, 0.1)}))
    start(model, sample, batches=2)
    return model


def as_pack(model: Calotype, folder: Path, sample: Callable[[int], torch.Tensor]) -> Path:
    notes = {"minutes": 1.5, "data": "made"}
    calibration = (sample(1), torch.tensor([0.5, 1.5]))
    export(model.eval(), Statistics(), folder, name=folder.name, training=notes, calibration=calibration)
    return folder


def judge(pack: Path, tmp_path: Path, images: Path, slower: float = 50.0, **more: Any) -> dict[str, Any]:
    """The gate; how long decoding takes on a busy machine decides nothing, unless a test says so."""
    history = tmp_path / "docs" / "history.json"
    more.setdefault("repeats", 1)
    return gate.promote(pack, tmp_path / "photo", [images], history, threads=1, slower=slower, **more)


def curve_of(entry: dict[str, Any], images: Path) -> list[list[float]]:
    curve: list[list[float]] = entry["sets"][images.name]["curve"]
    return curve


def edited(pack: Path, copy: Path, name: str, data: bytes, **fields: Any) -> Path:
    """A copy of a pack with another file `name`, whose hash is right, and other fields in the manifest."""
    shutil.copytree(pack, copy)
    (copy / name).write_bytes(data)
    listed = json.loads((copy / manifest.NAME).read_text()) | fields
    listed["files"][name] = hashlib.sha256(data).hexdigest()
    listed["id"] = identity(listed["files"])
    (copy / manifest.NAME).write_text(json.dumps(listed))
    return copy


def trained_for(distortion: str, pack: Path, copy: Path) -> Path:
    tables = manifest.read(pack, manifest.TABLES)
    return edited(pack, copy, manifest.TABLES, tables, training={"distortion": distortion})
