"""``calotype lab train`` and ``python -m calotype.lab.train``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from calotype.lab.checkpoint import load_checkpoint, read_info
from calotype.lab.train import options
from calotype.lab.train.command import main
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.recipes import RECIPES
from calotype.lab.train.state import State

SOURCE = Path(__file__).parents[3] / "src"
SIZES = [
    "latents=48",
    "width=48",
    "narrow=8",
    "narrow16=8",
    "wide16=8",
    "render=8",
    "analysis_blocks=[1,1]",
    "synthesis_blocks=[1,1]",
]
SIZES += ["lambdas=[0.001,0.01,0.1]"]
FIELDS = [
    "steps=3",
    "batch=2",
    "crop=64",
    "warmup=2",
    "held_out=1",
    "log_every=1",
    "save_every=2",
    "start_batches=1",
]


def setting(*, model: bool = True, **fields: Any) -> list[str]:
    """The ``--set`` options of a thin model and a short run."""
    pairs = [f"model.{size}" for size in SIZES] if model else []
    pairs += FIELDS + [f"{key}={value}" for key, value in fields.items()]
    return [word for pair in pairs for word in ("--set", pair)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **more}


def same(a: State, b: State, tolerance: float = 0.0) -> None:
    for x, y in ((a.weights, b.weights), (a.ema, b.ema)):
        assert x.keys() == y.keys()
        for name in x:
            torch.testing.assert_close(x[name], y[name], rtol=tolerance, atol=tolerance, msg=name)
    for name, entry in a.optimizer.items():
        for key, value in entry.items():
            if isinstance(value, Tensor):
                torch.testing.assert_close(value, b.optimizer[name][key], rtol=tolerance, atol=tolerance)


def test_a_run_from_start_to_end(
    folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["--data", str(folder), "--cache", str(cache), "--out", str(out), *setting()]
    assert main(arguments) == 0
    told = capsys.readouterr().err
    assert "best linear codec" in told
    assert "step 2/3" in told
    assert told.rindex("validation at step 3") > told.rindex("step 2/3")
    assert State.load(out).step == 3
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in lines if "loss" in entry]
    assert len(losses) == 3
    assert losses[0] < 25  # the linear start: random weights begin above 100
    assert json.loads((out / "run.json").read_text())["train"]["steps"] == 3

    assert main(arguments) == 1
    assert "has a run already" in capsys.readouterr().err
    # Another length on resume; the photographs are those that run.json names.
    assert main(["--out", str(out), "--cache", str(cache), "--resume", "--set", "steps=4"]) == 0
    assert State.load(out).step == 4
    assert main(["balle2018-hyperprior", "--lambda", "0.01", "--out", str(out), "--resume"]) == 1
    assert "is a run of calotype" in capsys.readouterr().err


def test_a_random_start(folder: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--data", str(folder), "--cache", str(cache), "--out", str(out), "--start", "random", "--quiet"]
    assert main([*words, *setting(steps=1)]) == 0
    first = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert first["loss"] > 50


@pytest.mark.slow
def test_a_relay_in_pieces_equals_one_run(folder: Path, cache: Path, tmp_path: Path) -> None:
    """Stopped by a signal on one machine, continued from its pieces on another: the same weights, bit for
    bit.
    """

    def words(name: str) -> list[str]:
        given = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / name)]
        return [*given, *setting(steps=40, log_every=5)]

    command = [sys.executable, "-m", "calotype.lab.train"]
    assert main([*words("whole"), "--pieces", str(tmp_path / "w"), "--quiet"]) == 0
    pieces = tmp_path / "pieces"
    first = subprocess.Popen(
        [*command, *words("first"), "--pieces", str(pieces)],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("step 5/"):
            first.send_signal(signal.SIGTERM)
            break
    rest = first.stderr.read()
    assert first.wait() == 130
    assert "go on with --resume" in rest
    stopped = State.load(pieces)
    assert 5 <= stopped.step < 40

    second = subprocess.run(
        [*command, *words("second"), "--resume", str(pieces)], env=environment(), check=True
    )
    assert second.returncode == 0
    same(State.load(tmp_path / "whole"), State.load(tmp_path / "second"))
    same(State.load(tmp_path / "w"), State.load(tmp_path / "second"))


@pytest.mark.slow
def test_almost_no_minutes_still_leave_a_checkpoint(folder: Path, cache: Path, tmp_path: Path) -> None:
    words = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, "--minutes", "1e-6", *setting()]) == 0
    assert State.load(tmp_path / "run").step == 0
    assert main([*words, "--resume", *setting()]) == 0
    assert State.load(tmp_path / "run").step == 3


@pytest.mark.slow
def test_two_processes_equal_one(folder: Path, cache: Path, tmp_path: Path) -> None:
    """The same batch in two parts, worked through by one process and shared by two."""
    words = ["--data", str(folder), "--cache", str(cache), "--quiet", *setting(parts=2, steps=6)]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    launch += ["--standalone", "-m", "calotype.lab.train", *words, "--out", str(tmp_path / "two")]
    done = subprocess.run(launch, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = State.load(tmp_path / "one"), State.load(tmp_path / "two")
    assert one.step == two.step == 6
    same(one, two, tolerance=1e-6)


@pytest.mark.slow
def test_a_machine_with_nothing_but_torch(folder: Path, cache: Path, tmp_path: Path) -> None:
    """No native module, no ONNX Runtime, no rich, no tensorboard."""
    code = (
        "import sys\n"
        "for name in ('calotype._rans', 'onnxruntime', 'onnx', 'rich', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "from calotype.lab.train.command import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / "run"), *setting(steps=1)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "psnr" in done.stderr
    asked = subprocess.run(
        [sys.executable, "-c", code, *words, "--tensorboard", "--resume"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 1
    assert "pip install tensorboard" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_published_systems_at_several_lambdas(
    folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run for each lambda, the second begun from the first, ready-made checkpoints beside them."""
    words = ["balle2018-factorized", "--data", str(folder), "--cache", str(cache), "--out", str(tmp_path)]
    words += [
        "--recipe",
        "short",
        "--lambda",
        "0.01,0.05",
        "--chain",
        "--set",
        "model.n=8",
        "--set",
        "model.m=12",
    ]
    words += setting(model=False, steps=2, lr=1e-6, ema=0.0)
    assert main(words) == 0
    first, second = (load_checkpoint(tmp_path / lam / "model.safetensors") for lam in ("0.01", "0.05"))
    state = State.load(tmp_path / "0.01")
    assert all(torch.equal(v, state.ema[k]) for k, v in first.state_dict().items())
    for name, value in second.state_dict().items():  # two steps of 1e-6 from where the first ended
        torch.testing.assert_close(value, first.state_dict()[name], atol=1e-4, rtol=1e-3)
    notes = read_info(tmp_path / "0.05" / "model.safetensors").training
    assert notes["lambda"] == 0.05
    assert notes["steps"] == 2
    assert State.load(tmp_path / "0.05").config["crop"] == 64
    # Fine-tuning for another distortion.
    capsys.readouterr()
    words = [
        "balle2018-factorized",
        "--data",
        str(folder),
        "--cache",
        str(cache),
        "--out",
        str(tmp_path / "ms"),
    ]
    words += ["--distortion", "ms-ssim", "--lambda", "4.58", "--from", str(tmp_path / "0.05")]
    words += ["--set", "model.n=8", "--set", "model.m=12", *setting(model=False, steps=1, crop=192, batch=2)]
    assert main(words) == 0
    assert State.load(tmp_path / "ms").model["distortion"] == "ms-ssim"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "stepps=3"], "unknown training option 'stepps'"),
        (["--set", "steps"], "KEY=VALUE"),
        (["--set", "model.laten=3"], "unknown option 'laten'"),
        (["--lambda", "0.1"], "calotype has its own"),
        (["minnen2018-mean-scal", "--lambda", "0.1"], "did you mean 'minnen2018-mean-scale'"),
        (["minnen2018-mean-scale"], "--lambda is needed"),
        (["minnen2018-mean-scale", "--lambda", "x"], "numbers with commas"),
        (["balle2017", "--lambda", "1", "--distortion", "ssimulacra2"], "for mse or ms-ssim, not for ssimu"),
        (["minnen2018-mean-scale", "--lambda", "-1"], "above 0"),
        (["minnen2018-mean-scale", "--lambda", "all", "--recipe", "secret"], "no recipe is called 'secret'"),
        (["--set", "freeze=nothing.*"], "no parameter's name fits 'nothing.*'"),
        (["--set", "paces=nothing.*=2"], "no parameter's name fits 'nothing.*'"),
        (["--set", "paces=synthesis.*=fast"], "'synthesis.*=fast' is not PATTERN=FACTOR"),
        (["--set", "betas=0.9"], "betas must be two numbers"),
        (["--set", "betas=0.9,1.5", "--set", "optimizer=soap"], "betas must be two numbers"),
        (["--resume", "nowhere"], "no checkpoint"),
        (["--from", "nowhere"], "no checkpoint"),
        (["--data", "nowhere"], "neither a folder"),
        (
            ["balle2017", "--lambda", "0.01", "--set", "model.n=8", "--set", "correlation.alpha=1"],
            "correlation loss: this entropy model has no Gaussian mean",
        ),
        ([*setting(), "--set", "correlation.window=5"], "no window of 5 x 5 fits into latents of 4 x 4"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path,
    cache: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, *given] if "--data" not in words else [*given, *words]) == 1
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder_for_a_run(
    folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("text")
    assert main(["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == f"calotype lab train: {tmp_path / 'run'}: is a file, not a folder\n"


def test_broken_photographs_are_named(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for path in folder.iterdir():
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no")
    assert main(["--data", str(tmp_path / "photos"), "--cache", str(tmp_path / "cache"), "--prepare"]) == 0
    told = capsys.readouterr().err
    assert "skipped 1 of 7 files" in told
    assert "broken.jpg: not a picture" in told


def test_configurations_are_files_too(
    folder: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "hu2020-low",
        "--lambda",
        "0.01,0.02",
        "--set",
        "model.n=12",
        "--set",
        "model.z2=16",
        "--set",
        "lr=3e-5",
    ]
    assert main([*words, "--print-config"]) == 0
    printed = capsys.readouterr().out
    config = json.loads(printed)
    assert config["train"]["steps"] == RECIPES["hu2020"].train["steps"]
    assert config["train"]["lr"] == 3e-5
    path = tmp_path / "config.json"
    path.write_text(printed)
    assert main([str(path), "--print-config"]) == 0
    assert json.loads(capsys.readouterr().out) == config
    path.write_text(json.dumps({**config, "trian": {}}))
    assert main([str(path), "--print-config"]) == 1
    assert "unknown key 'trian'" in capsys.readouterr().err
    path.write_text("{")
    assert main([str(path), "--print-config"]) == 1
    capsys.readouterr()
    assert main(["--minutes", "3", "--print-config"]) == 0
    schedule = json.loads(capsys.readouterr().out)["train"]
    assert (schedule["steps"], schedule["minutes"]) == (0, 3)


def test_every_recipe_is_a_configuration() -> None:
    for name, recipe in RECIPES.items():
        TrainConfig.from_dict(recipe.train)
        for lambdas in recipe.lambdas.values():
            assert list(lambdas) == sorted(lambdas), name
    assert RECIPES["cheng2020"].lambdas["mse"] == (0.0016, 0.0032, 0.0075, 0.015, 0.03, 0.045)


def test_the_help_explains_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parser("calotype lab train").parse_args(["--help"])
    told = capsys.readouterr().out
    for name in TrainConfig().to_dict():
        line = next(line for line in told.splitlines() if line.startswith(f"  {name} "))
        assert len(line) > len(name) + 12


@pytest.mark.slow
def test_tensorboard_gets_the_curves(folder: Path, cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    words = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, "--tensorboard", *setting(steps=1)]) == 0
    assert list((tmp_path / "run").glob("events.*"))


def test_one_of_several_lambdas_goes_on_in_its_own_folder(folder: Path, cache: Path, tmp_path: Path) -> None:
    words = ["balle2018-factorized", "--data", str(folder), "--cache", str(cache), "--out", str(tmp_path)]
    words += ["--set", "model.n=8", "--set", "model.m=12", *setting(model=False, steps=1)]
    assert main([*words, "--lambda", "0.01,0.05"]) == 0
    assert main([*words, "--lambda", "0.05", "--resume", "--set", "steps=2"]) == 0
    assert State.load(tmp_path / "0.05").step == 2
    assert State.load(tmp_path / "0.01").step == 1
    assert not (tmp_path / "checkpoint.safetensors").exists()
