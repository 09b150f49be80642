"""``lab export`` of a checkpoint: which file is meant, and the photographs that its ranges come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from calotype.lab.checkpoint import CheckpointError, load_checkpoint, read_info
from calotype.lab.model_pack.side import side_of
from calotype.lab.model_pack.write import export
from calotype.lab.train.data import Photos

BATCH, CROP, KEY = 8, 256, 4
"""``KEY`` keeps the crops apart from those of the training steps and of other exports."""
MOST = 8
"""Batches: ranges, unlike tables, need few photographs."""
IN_RUN, NOTES = "model.safetensors", "run.json"


def checkpoint_of(path: Path) -> Path | None:
    """The published system's checkpoint at ``path`` or in that run's folder; None for other runs."""
    file = path / IN_RUN if path.is_dir() else path
    try:
        read_info(file)
    except CheckpointError:
        return None
    return file


def export_checkpoint(
    checkpoint: Path,
    folder: Path,
    *,
    data: list[Path] | None = None,
    batches: int = MOST,
    name: str | None = None,
    record: dict[str, Any] | None = None,
) -> str:
    """Write the pack of a checkpoint and return its id; ``data``: photographs, by default those of its run.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ValueError: for a system that no pack can hold, or photographs that are missing.
    """
    info, model = read_info(checkpoint), load_checkpoint(checkpoint)
    training = {**info.training, **(record or {})}
    if side_of(model).h_s is None:  # nothing to look at
        return export(model, (), folder, name=name, training=training)
    photos = Photos.open(*(data or _sources(checkpoint)))
    everything, _ = photos.split(0)
    crops = (photos.crops(everything, (k, KEY), BATCH, CROP) / 255.0 for k in range(min(batches, MOST)))
    training["ranges from"] = photos.describe()
    return export(model, crops, folder, name=name, training=training)


def _sources(checkpoint: Path) -> list[Path]:
    notes = checkpoint.parent / NOTES
    if not notes.is_file():
        raise ValueError(f"{checkpoint}: does not name its photographs; give --data")
    return [Path(p) for p in json.loads(notes.read_text())["data"]]
