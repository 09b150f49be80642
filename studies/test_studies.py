"""Every study says what is wrong with its input in one line, and where its results come from."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
STORED = (
    "adversarial/results.json", "analysis/correlation.json", "analysis/deviation.json",
    "analysis/erf.json", "correlation/results.json", "correlation/cost.json", "correlation/pairs.json",
    "correlation/cheng/pairs.json", "correlation/cheng-early/pairs.json",
    "correlation/speed.json", "correlation/share.json", "cross_metric/results.json",
    "entropy/hyper.json", "entropy/skips.json",
    "entropy/tables.json", "systems/results.json", "tcm/results.json", "jpegai/complexity.json",
    "jpegai/account.json", "jpegai/results.json", "jpegai/whole.json", "short_runs/results.json",
    "short_runs/beside.json", "product/own_taps.json",
)  # fmt: skip


COMMANDS = sorted(
    ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts)
    for path in FOLDER.glob("*/*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_and_refuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run, called = import_module(name).main, f"python -m {name.removesuffix('.__main__')}"
    with pytest.raises(SystemExit) as left:
        run(["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {called} ")
    with pytest.raises(SystemExit) as left:
        run(["--nonsense"])
    assert left.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{called}")


@pytest.mark.parametrize("name", STORED)
def test_stored_results_say_where_they_come_from(name: str) -> None:
    record = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    several = record.get("runs", record.values())  # of the benchmark, or one for each system
    for run in [record] if "command" in record else several:
        assert run["command"].startswith(("calotype ", "python "))
        assert not any(word.startswith("/") for word in run["command"].split())
        assert len(run["commit"].removesuffix("+")) >= 12
        assert run["hardware"]["processor"]
        assert run["libraries"]["torch"]
        assert run["finished"][:2] == "20"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("product.page", ["nowhere"], "nowhere/ideas.json: no such file or directory"),
        ("product.page", ["bad"], "bad/ideas.json: cannot be used: Expecting"),
        ("product.trials", ["--data", "nowhere", "--out", "out"], "nowhere: neither a folder nor a tar file"),
        ("jpegai.ablation", ["--stored", "nowhere"], "nowhere/results.json: no such file or directory"),
        ("jpegai.ablation", ["--stored", "bad"], "bad/results.json: cannot be used: no 'summary'"),
        ("jpegai.ablation", ["--data=a", "--images=b", "--out=bad/ideas.json"], "is a file, not a folder"),
        ("analysis.page", ["nowhere"], "nowhere/about.json: no such file or directory"),
        ("adversarial.__main__", ["--out", "nowhere"], "nowhere/results.json: no such file or directory"),
        ("adversarial.__main__", ["--out", "bad"], "bad/results.json: cannot be used: "),
        ("short_runs.__main__", ["--out", "nowhere"], "nowhere/results.json: no such file or directory"),
        ("systems.rates", ["--stored", "nowhere"], "nowhere: no such file or directory"),
        ("correlation.__main__", ["measure", "--out", "bad"], "bad: nothing is trained there"),
    ],
)
def test_one_line(
    name: str,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "ideas.json").write_text("{")
    (tmp_path / "bad" / "results.json").write_text('{"metrics": []}')
    monkeypatch.chdir(tmp_path)
    assert import_module(f"studies.{name}").main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"studies.{name.removesuffix('.__main__')}: ")
    assert message in told
    assert told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bad"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("jpegai.whole", ["train", "--out=o", "--data=a", "--seeds=99"], "--seeds must be 1 to 5"),
        ("adversarial.__main__", ["--out=o", "--data=a", "--seeds=0"], "--seeds must be at least 1"),
        ("adversarial.__main__", ["--out=o", "--data=a", "--strengths=0.15"], "--strengths needs 0"),
        ("correlation.share", ["train", "--out=o", "--pairs=p", "--seeds=0"], "--seeds must be at"),
    ],
)
def test_wrong_options(
    name: str, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        import_module(f"studies.{name}").main(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
