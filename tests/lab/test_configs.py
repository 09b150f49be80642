"""``configs/``: settings of the runs behind the shipped packs, and the commands of the diary with them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.train import optim, options

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.json"))
DIARY = (ROOT / "docs" / "results" / "training" / "packs.md").read_text(encoding="utf-8")


def job(*words: str) -> options.Training:
    (found,) = options.jobs(options.parser("train").parse_args([*words, "--out", "run"]))
    return found


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_file_is_a_run_of_todays_model(path: Path) -> None:
    config = job(str(path)).config
    with torch.device("meta"):
        model = Calotype()
    assert len(optim.paces(config.paces, model)) == config.paces.count("=")
    optim.freeze(model, config.freeze)  # both say which pattern fits no parameter
    assert f"`{path.name}`" in (ROOT / "configs" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latents", ["--recipe", "latents"]),
        ("joint", ["--recipe", "joint"]),
        ("eyes", ["--recipe", "joint", "--distortion", "ssimulacra2"]),
    ],
)
def test_a_file_is_what_its_options_are(name: str, words: list[str]) -> None:
    file, line = job(str(ROOT / "configs" / f"{name}.json")), job(*words)
    assert options.to_json([file]) == options.to_json([line])


def test_the_diary_has_a_command_for_every_file_and_every_command_is_understood() -> None:
    lines = [shlex.split(line) for line in DIARY.splitlines() if "calotype lab train configs/" in line]
    used = set()
    for _, _, _, file, *words in lines:
        assert "\\" not in words
        path = ROOT / file
        given = options.parser("train").parse_args([str(path), *words])
        (found,) = options.jobs(given)
        assert found.config.to_dict()
        used.add(path)
    assert sorted(used) == CONFIGS


def test_lists_and_tables_stand_for_patterns(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({"train": {"freeze": ["a.*", "b"], "paces": {"c.*": 0.5, "d": 1}, "steps": 3}})
    )
    config = job(str(path)).config
    assert (config.freeze, config.paces, config.steps) == ("a.*,b", "c.*=0.5,d=1", 3)
    assert job(str(path), "--set", "freeze=e").config.freeze == "e"
