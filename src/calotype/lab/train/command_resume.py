"""What ``--resume`` goes on from, and whether that is what the rest of the command line asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from calotype.lab.checkpoint import CheckpointError
from calotype.lab.train.options import Training
from calotype.lab.train.state import NAME, State
from calotype.lab.train.subject import Subject


def choose(resume: str | None, folder: Path) -> tuple[State | None, Path, str]:
    """The state that a run goes on from, where it is, and why that one where there are two.

    resume: what ``--resume`` was given: None without it, "" without a value.
    folder: the run's own; its checkpoint counts beside the one of ``resume``, and the later one is taken.

    Raises:
        ValueError: when there is a run and nobody asked to go on, or there are two that differ.
        CheckpointError: when what ``resume`` names cannot be read, or holds no weights to go on with.
    """
    own = folder / NAME
    if own.is_file() and resume is None:
        raise ValueError(f"{folder}: has a run already; go on with --resume, or give --out another folder")
    other = Path(resume) if resume else None
    if other is not None and other.resolve() in (folder.resolve(), own.resolve()):
        other = None
    mine = State.load(folder) if own.is_file() else None
    if mine is not None:
        _whole(mine, folder)
    if other is None:
        return mine, folder, ""
    theirs = _whole(State.load(other), other)
    if mine is None:
        return theirs, other, ""
    if Subject.from_dict(mine.model).settings() != Subject.from_dict(theirs.model).settings():
        raise ValueError(f"{folder} and {other}: checkpoints of different runs; give --out another folder")
    if theirs.step > mine.step:
        why = f"taking the checkpoint of {other}: that of {folder} is only at step {mine.step}"
        return theirs, other, why
    return mine, folder, f"taking the checkpoint of {folder}: that of {other} is no later, step {theirs.step}"


def _whole(state: State, where: Path) -> State:
    if not state.weights:
        raise CheckpointError(
            f"{where}: holds only the averaged weights, not all that a run goes on from; begin a new one "
            f"with them: --from {where} without --resume, --out another folder"
        )
    return state


def check(given: Any, job: Training, trained: Subject, where: Path) -> None:
    """Refuse to go on with a model or an objective that is not the one asked for.

    Only what the command line or its CONFIG.json says counts: what they leave open is as it was trained.

    Raises:
        ValueError: names what differs.
    """
    asked = job.subject
    if asked.model != trained.model:
        raise ValueError(
            f"{where}: is a run of {trained.model}, not of {asked.model}; give --out another folder"
        )
    names = _named(given, asked)
    options = {k: v for k, v in asked.options.items() if f"model.{k}" in names}  # without the recipe's
    new = replace(asked, options={**trained.options, **options}).settings()
    old = trained.settings()
    found = [
        f"{name} {_text(old.get(name))}, not {_text(new.get(name))}"
        for name in sorted(names)
        if old.get(name) != new.get(name)
    ]
    if found:
        raise ValueError(
            f"{where}: trained with {'; '.join(found)}: leave that as it was to go on, or begin a new run "
            f"with these weights: --from {where} without --resume, --out another folder"
        )


def _named(given: Any, asked: Subject) -> set[str]:
    """What was said of the subject, by the names of `Subject.settings`."""
    file = json.loads(Path(given.target).read_text()) if given.target.endswith(".json") else {}
    names = {text.partition("=")[0] for text in given.set}
    names = {name for name in names if name.startswith(("model.", "correlation."))}
    names |= {f"model.{key}" for key in file.get("options", {})}
    names |= {f"correlation.{key}" for key in file.get("correlation", {})}
    if given.distortion or "distortion" in file:
        names.add("distortion")
    if asked.lam is not None:
        names.add("lambda")
    return names


def _text(value: Any) -> str:
    """A setting in a message; None is one that is not set."""
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value)
