"""Going on with ``calotype lab train``: what from, and with what; values that no run can have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from calotype.lab.checkpoint import CheckpointError
from calotype.lab.sizes import out_of_memory
from calotype.lab.train import average
from calotype.lab.train.command import main
from calotype.lab.train.state import State, find, split

SOURCE = Path(__file__).parents[3] / "src"
SHORT = {"steps": 2, "batch": 2, "crop": 64, "warmup": 1, "held_out": 1, "log_every": 1, "start_batches": 1}
SMALL = {"model.n": 8, "model.m": 12}
FACTORIZED = ["balle2018-factorized", "--lambda", "0.01"]


def sets(values: dict[str, object]) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def train(folder: Path, cache: Path, tmp_path: Path) -> Callable[..., int]:
    """train(out, *words): the command on a short run in a folder of the test."""

    def run(out: str, *words: str, **fields: object) -> int:
        given = ["--data", str(folder), "--cache", str(cache), "--out", str(tmp_path / out)]
        return main([*words, *given, *sets({**SHORT, **fields})])

    return run


@pytest.fixture
def mse(train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run for MSE, two steps long, without the correlation loss."""
    assert train("mse", *FACTORIZED, *sets(SMALL)) == 0
    capsys.readouterr()
    return tmp_path / "mse"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--distortion", "ms-ssim", "--lambda", "0.01"], "distortion mse, not ms-ssim"),
        (["--set", "model.n=16"], "model.n 8, not 16"),
        (["--set", "correlation.alpha=0.1"], "correlation.alpha unset, not 0.1"),
        (["--lambda", "0.05"], "lambda 0.01, not 0.05"),
        (["--set", "model.laten=3"], "has no size 'laten'"),
    ],
)
def test_going_on_with_something_else_is_an_error(
    mse: Path, train: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = (mse / "run.json").read_text()
    for out in ("mse", "new"):
        assert train(out, *FACTORIZED, *words, "--resume", str(mse)) == 1
        told = capsys.readouterr().err.strip()
        assert message in told
        assert "\n" not in told
        assert "--from" in told or "laten" in told
    assert (mse / "run.json").read_text() == before
    assert not (mse.parent / "new" / "run.json").exists()


def test_a_configuration_file_asks_as_well(
    mse: Path, train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    path = mse.parent / "config.json"
    path.write_text(json.dumps({"model": FACTORIZED[0], "lambda": 0.01, "distortion": "ms-ssim"}))
    assert train("mse", str(path), "--resume") == 1
    assert "distortion mse, not ms-ssim" in capsys.readouterr().err


def test_run_json_tells_what_is_trained(mse: Path, train: Callable[..., int]) -> None:
    """What the command line leaves open, or says as it is, goes on; the record has the run's own sizes."""
    as_it_is = ["--distortion", "mse", "--set", "model.n=8"]
    assert train("new", *FACTORIZED, *as_it_is, "--resume", str(mse), "--quiet", steps=3) == 0
    notes = json.loads((mse.parent / "new" / "run.json").read_text())
    state = State.load(mse.parent / "new")
    assert state.step == notes["train"]["steps"] == 3
    assert notes["options"] == state.model["options"] == {"n": 8, "m": 12}
    assert (notes["distortion"], notes["lambda"]) == ("mse", [0.01])


def test_defaults_are_no_difference(train: Callable[..., int], tmp_path: Path) -> None:
    """A correlation loss that is on stays on, and naming a default of it or of the model changes nothing."""
    loss = {"correlation.alpha": 0.1}
    sizes = {
        "model.latents": 48,
        "model.width": 48,
        "model.narrow": 8,
        "model.narrow16": 8,
        "model.lambdas": "[0.001,0.1]",
    }
    sizes |= {"model.wide16": 8, "model.render": 8, "model.analysis_blocks": "[1,1]"}
    small = [*sets(sizes), "--start", "random", "--quiet"]
    assert train("run", *small, *sets(loss)) == 0
    more = {"correlation.window": 3, "model.render_layers": 3}
    assert train("run", "--resume", "--quiet", *sets(more), steps=3) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["correlation"] == {"alpha": 0.1}
    assert State.load(tmp_path / "run").step == 3


def test_of_two_checkpoints_the_later_one(
    mse: Path, train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = str(mse / "checkpoint.safetensors")
    assert train("new", *FACTORIZED, "--resume", state, "--quiet", steps=4) == 0
    capsys.readouterr()
    later = str(tmp_path / "new")
    assert train("mse", *FACTORIZED, "--resume", later, steps=4) == 0
    told = capsys.readouterr().err
    assert f"taking the checkpoint of {later}: that of {mse} is only at step 2" in told
    assert "going on from step 4" in told
    assert State.load(mse).step == 4
    split((tmp_path / "new" / "checkpoint.safetensors").read_bytes(), tmp_path / "pieces")
    assert train("mse", *FACTORIZED, "--resume", str(tmp_path / "pieces"), steps=5) == 0
    told = capsys.readouterr().err
    assert f"taking the checkpoint of {mse}: that of {tmp_path / 'pieces'} is no later, step 4" in told
    assert train("mse", *FACTORIZED, "--resume", str(mse), steps=5) == 0
    assert "taking" not in capsys.readouterr().err  # one checkpoint, named twice
    assert train("other", "balle2018-factorized", "--lambda", "0.05", *sets(SMALL), "--quiet") == 0
    assert train("other", "balle2018-factorized", "--lambda", "0.05", "--resume", str(mse)) == 1
    assert "of different runs" in capsys.readouterr().err


def test_the_average_alone_begins_a_new_run(
    mse: Path, train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept" / "checkpoint.safetensors"
    whole = State.load(mse)
    assert average.main([str(mse), str(kept)]) == 0
    assert kept.stat().st_size < 0.3 * (mse / "checkpoint.safetensors").stat().st_size
    state = State.load(kept.parent)
    assert (state.step, state.config, state.weights, state.optimizer) == (2, whole.config, {}, {})
    for name, value in whole.ema.items():
        assert state.ema[name].dtype == value.dtype
        torch.testing.assert_close(state.ema[name], value, rtol=1e-3, atol=1e-4)
    assert (
        train("new", *FACTORIZED, *sets(SMALL), "--from", str(kept.parent), "--quiet", steps=1, lr=1e-9) == 0
    )
    for name, value in State.load(tmp_path / "new").weights.items():
        torch.testing.assert_close(value.float(), state.ema[name].float(), rtol=1e-5, atol=1e-6)
    capsys.readouterr()
    for out in ("other", "kept"):
        assert train(out, *FACTORIZED, "--resume", str(kept.parent)) == 1
        told = capsys.readouterr().err.strip()
        assert f"--from {kept.parent} without --resume" in told
        assert "\n" not in told
    assert average.main([str(tmp_path / "nowhere"), str(kept)]) == 1
    assert "no checkpoint" in capsys.readouterr().err


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Files of this process can have no more than so many bytes, a log that pytest writes to among them."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_interruption_leaves_the_old_pieces(tmp_path: Path) -> None:
    folder, old, new = tmp_path / "pieces", tmp_path / "old", tmp_path / "new"
    old.write_bytes(bytes(range(256)) * 40)
    new.write_bytes(bytes(range(255, -1, -1)) * 50)
    split(old.read_bytes(), folder, limit=4000)
    names = sorted(p.name for p in folder.iterdir())
    with file_limit(3000), pytest.raises(OSError, match="large"):
        split(new.read_bytes(), folder, limit=4000)
    assert sorted(p.name for p in folder.iterdir()) == names
    assert find(folder) == old.read_bytes()
    with file_limit(3000):
        pieces = split(new.read_bytes(), folder, limit=2500)  # and what fits takes their place
    assert sorted(folder.iterdir()) == sorted(pieces)
    assert find(folder) == new.read_bytes()
    left = folder / (pieces[0].name + ".new")  # from a process that was killed
    left.write_bytes(b"half")
    assert find(folder) == new.read_bytes()
    assert split(new.read_bytes(), folder, limit=3000) != pieces
    assert not left.exists()
    assert find(folder) == new.read_bytes()


def test_a_whole_checkpoint_beside_a_part_of_another(tmp_path: Path) -> None:
    """As an interruption between two pieces leaves them."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        split((tmp_path / name).read_bytes(), tmp_path / f"pieces-{name}", limit=400)
    both = tmp_path / "pieces-a"
    moved = sorted((tmp_path / "pieces-b").iterdir())
    for piece in moved[:-1]:
        piece.rename(both / piece.name)
    assert find(both) == b"a" * 1000
    moved[-1].rename(both / moved[-1].name)
    with pytest.raises(CheckpointError, match="pieces of 2 checkpoints"):
        find(both)


BAD = [
    (["--threads", "-1"], "--threads must be at least 1, got -1"),
    (["--threads", "0"], "--threads must be at least 1, got 0"),
    (["--device", "foo"], "--device must be cpu, cuda or auto, got 'foo'"),
    (["--device", "cuda:99"], "--device cuda:99: torch cannot use it here"),
    (["--device", "meta"], "--device meta: torch cannot use it here"),
    (["--minutes", "-1"], "--minutes must be a number above 0, got -1"),
    (["--minutes", "0"], "--minutes must be a number above 0, got 0"),
    (["--minutes", "nan"], "--minutes must be a number above 0, got nan"),
    (["--minutes", "inf"], "--minutes must be a number above 0, got inf"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_values_that_no_run_can_have(
    train: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert train("run", *words) == 1
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("huge", "message"),
    [
        ({"model.narrow": 10**12}, "model 'calotype': not enough memory to build it with these sizes"),
        ({"crop": 64 << 18}, "out of memory; try a smaller batch"),
    ],
    ids=["torch", "numpy"],
)
def test_out_of_memory_is_one_line(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], huge: dict[str, object], message: str
) -> None:
    """More than an address space holds, so that no machine has it."""
    assert train("run", "--start", "random", "--quiet", **huge) == 1
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU is needed")
@pytest.mark.slow
def test_values_that_no_run_can_have_from_a_source_tree(tmp_path: Path) -> None:
    """Nothing of the package is installed (-S), and there is no GPU."""
    code = (
        "import sys\n"
        "for name in ('calotype._rans', 'onnxruntime', 'onnx', 'rich', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "from calotype.lab.train.command import main\n"
        "for words in ('--device=cuda', '--threads=-1', '--minutes=nan', '--device=foo'):\n"
        "    assert main(['--data', 'nowhere', '--out', sys.argv[1], words]) == 1\n"
    )
    paths = os.pathsep.join([str(SOURCE), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 4
    assert "--device cuda: torch cannot use it here" in lines[0]


def test_what_is_out_of_memory_and_what_is_not() -> None:
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ..."))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("The size of tensor a (3) must match that of b (4)"))
