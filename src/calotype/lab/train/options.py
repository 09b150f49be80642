"""The options of ``calotype lab train`` and what follows from them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from calotype.lab.models.calotype_objective import DISTORTIONS
from calotype.lab.train import recipes
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.state import NAME
from calotype.lab.train.subject import PRODUCT, Subject

KEYS = ("model", "options", "recipe", "lambda", "distortion", "correlation", "train")
EPILOG = """\
examples:
  calotype lab train --data photos --out runs/a                         the codec's own model, all qualities
  calotype lab train --data photos --out runs/a --minutes 30 --resume   go on for half an hour
  calotype lab train --recipe latents --data photos --from runs/a --out runs/b --minutes 40
  calotype lab train balle2018-hyperprior --data photos --out runs/b --lambda 0.0067,0.013 --chain
  calotype lab train cheng2020-anchor --data photos --out runs/c --lambda all --set model.n=192 --set lr=5e-5
  torchrun --nproc-per-node 2 -m calotype.lab.train --data photos --out runs/photo

On a machine that has nothing but a source tree, torch, Pillow and safetensors (no native module):
  PYTHONPATH=src python -m calotype.lab.train --data photos --out runs/photo --minutes 9 --resume --pieces out
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """The command's parser."""
    notes = _sentences()
    lines = [f"  {f.name:15} {notes.get(f.name, '')} [{f.default}]" for f in fields(TrainConfig)]
    options = argparse.ArgumentParser(
        prog=prog,
        description="Train a model on photographs.  A run's folder holds its checkpoint and its log.",
        epilog="fields of --set:\n"
        + "\n".join(lines)
        + "\n  model.NAME      A size of the model."
        + "\n  correlation.NAME  The correlation loss: alpha, window, mask, reduction, stop_gradient.\n\n"
        + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("target", nargs="?", default=PRODUCT, metavar="MODEL|CONFIG.json", help="default: calotype")
    add(
        "--data",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="photographs: folders, WebDataset shards (.tar)",
    )
    add("--out", type=Path, metavar="RUN", help="the run's folder")
    add(
        "--minutes",
        type=float,
        metavar="N",
        help="end after so long, everything included; without a number of steps, the schedule is as long",
    )
    add("--resume", nargs="?", const="", metavar="STATE",
        help="go on from the checkpoint in RUN or STATE (file, run, folder of pieces), the later one; "
        "if that is not given, start")  # fmt: skip
    add("--from", dest="origin", type=Path, metavar="STATE",
        help="begin a new run with the averaged weights of another one")  # fmt: skip
    add(
        "--start",
        choices=("linear", "random"),
        help="first weights of calotype: best linear codec (default), or random",
    )
    add(
        "--recipe",
        metavar="NAME",
        help=f"a stage of calotype's training: {', '.join(recipes.names(product=True))}; or how others were "
        f"trained: {', '.join(recipes.names(product=False))}; their default goes by the model",
    )
    add(
        "--lambda",
        dest="lambdas",
        metavar="LIST",
        help="multipliers, one run each: 0.0067,0.013, or 'all' of the recipe",
    )
    add(
        "--distortion",
        choices=DISTORTIONS,
        help="what to be close in; default: mse; ssimulacra2 is for calotype alone",
    )
    add("--chain", action="store_true", help="begin each lambda from the result of the one before")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a field of the configuration, see below",
    )
    add("--device", default="auto", help="cpu, cuda, or auto (default)")
    add("--threads", type=int, metavar="N", help="CPU threads for torch")
    add(
        "--stream",
        action="store_true",
        help="decode photographs each time, not once into a cache: for large sets",
    )
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where decoded photographs are kept; default: ~/.cache/calotype",
    )
    add("--prepare", action="store_true", help="decode the photographs into the cache and stop")
    add(
        "--pieces",
        type=Path,
        metavar="DIR",
        help="also leave each checkpoint in DIR, in pieces of less than 16 MiB",
    )
    add(
        "--result",
        type=Path,
        metavar="DIR",
        help="leave weights and average, halved and without the optimiser's state, in such pieces in DIR",
    )
    add("--tensorboard", action="store_true", help="write event files into RUN")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--print-config", action="store_true", help="print the configuration as JSON (a CONFIG.json) and stop"
    )
    return options


@dataclass
class Training:
    """One run."""

    subject: Subject
    train: dict[str, Any]
    """The recipe's fields and those that the caller set."""
    explicit: dict[str, Any]
    """Those that the caller set: they count on resume, too."""
    folder: Path

    @property
    def config(self) -> TrainConfig:
        config = TrainConfig.from_dict({**self.train, **self.explicit})
        self.subject.check_crop(config.crop)
        return config


def jobs(given: argparse.Namespace) -> list[Training]:
    """The runs that a command line asks for.

    Raises:
        ValueError: for unknown keys and values that do not fit.
    """
    file = _read(Path(given.target)) if given.target.endswith(".json") else {"model": given.target}
    explicit, options = _one_line(file.get("train", {})), dict(file.get("options", {}))
    correlation = dict(file.get("correlation", {}))
    for text in given.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--set takes KEY=VALUE, got {text!r}")
        if key.startswith("model."):
            options[key.removeprefix("model.")] = _value(value)
        elif key.startswith("correlation."):
            correlation[key.removeprefix("correlation.")] = _value(value)
        else:
            explicit[key] = value
    subject = Subject(
        file.get("model", PRODUCT),
        options,
        distortion=given.distortion or file.get("distortion", "mse"),
        correlation=correlation,
    )
    name = given.recipe or file.get("recipe")
    wanted = given.lambdas or file.get("lambda")
    if subject.system.all_rates:  # an unknown name is the first thing to say
        if wanted:
            raise ValueError(f"--lambda is for the published systems; {subject.model} has its own")
        stage = recipes.recipe(name, product=True).train if name else {}
        return [Training(subject, stage, explicit, given.out)]
    recipe = recipes.recipe(name or recipes.default(subject.model))
    subject = replace(subject, options={**recipe.model, **subject.options})
    if subject.distortion not in recipe.lambdas:
        known = " or ".join(recipe.lambdas)
        raise ValueError(f"{subject.model} is trained for {known}, not for {subject.distortion}")
    lambdas = _lambdas(wanted, recipe.lambdas[subject.distortion])
    folders = [given.out / f"{lam:g}" for lam in lambdas]
    if len(lambdas) == 1 and not (folders[0] / NAME).is_file():  # else it is one of several, done before
        folders = [given.out]
    return [
        Training(replace(subject, lam=lam), recipe.train, explicit, f)
        for lam, f in zip(lambdas, folders, strict=True)
    ]


def to_json(todo: Sequence[Training]) -> dict[str, Any]:
    """What a CONFIG.json holds that asks for these runs."""
    subject = todo[0].subject
    found: dict[str, Any] = {"model": subject.model, "options": subject.options}
    found["distortion"] = subject.distortion
    if subject.lam is not None:
        found["lambda"] = [job.subject.lam for job in todo]
    if subject.correlation:
        found["correlation"] = subject.correlation
    return {**found, "train": todo[0].config.to_dict()}


def _read(path: Path) -> dict[str, Any]:
    try:
        file = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(file, dict):
        raise ValueError(f"{path}: not a JSON object")
    unknown = sorted(set(file) - set(KEYS))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; there are {', '.join(KEYS)}")
    return file


def _one_line(train: dict[str, Any]) -> dict[str, Any]:
    """Fields as ``--set`` takes them: in a file, `freeze` may also be a list, and `paces` a table."""
    found = dict(train)
    if isinstance(found.get("freeze"), list):
        found["freeze"] = ",".join(map(str, found["freeze"]))
    if isinstance(found.get("paces"), dict):
        found["paces"] = ",".join(f"{pattern}={factor}" for pattern, factor in found["paces"].items())
    return found


def _lambdas(wanted: Any, published: tuple[float, ...]) -> list[float]:
    if wanted is None:
        raise ValueError(
            f"--lambda is needed, such as --lambda {published[len(published) // 2]:g}, or --lambda all"
        )
    if wanted == "all":
        return list(published)
    try:
        values = (
            wanted.split(",") if isinstance(wanted, str) else wanted if isinstance(wanted, list) else [wanted]
        )
        return [float(v) for v in values]
    except (TypeError, ValueError):
        raise ValueError(f"lambda must be numbers with commas between, or 'all', got {wanted!r}") from None


def _value(text: str) -> Any:
    """A value of a model option: JSON where it is that (numbers, lists, true), else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@cache
def _sentences() -> dict[str, str]:
    """What stands under each field of `TrainConfig`, from its source, which takes a while to read."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(TrainConfig))).body[0].body  # type: ignore[attr-defined]
    return {
        getattr(field.target, "id", ""): " ".join(str(note.value.value).split())
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)
    }
