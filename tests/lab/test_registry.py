"""Names, builders, descriptions, checkpoints, and what goes wrong with them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.conftest import every

from calotype.errors import CalotypeError
from calotype.lab import registry, use
from calotype.lab.analysis import complexity
from calotype.lab.analysis.summary import describe
from calotype.lab.checkpoint import CheckpointError, load_checkpoint, read_info, save_checkpoint
from calotype.lab.codec import ModelCodec, model_id

from .conftest import picture, thin


def documented() -> dict[str, str]:
    """The systems of docs/lab-systems.md, and the parameters that it says."""
    page = (Path(__file__).parents[2] / "docs" / "lab-systems.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([0-9,]+) \|$", page, re.M))


@pytest.mark.parametrize("name", registry.names())
def test_every_name_has_its_row_in_the_documentation(name: str) -> None:
    if name not in documented():
        with torch.device("meta"):
            count = complexity.parameters(registry.build(name))
        row = f"| `{name}` | {registry.entry(name).summary} | {count:,} |"
        pytest.fail(f"docs/lab-systems.md lacks the row, in the order of `calotype lab list`: {row}")


@pytest.mark.slow
def test_every_name_builds_at_its_published_size() -> None:
    """The page has the order of the list, and the parameters."""
    rows = documented()
    assert list(rows) == registry.names()
    for name in registry.names():
        e = registry.entry(name)
        with torch.device("meta"):
            model = registry.build(name)
        assert model.name == name
        assert f"{complexity.parameters(model):,}" == rows[name], name
        assert e.citation
        assert e.summary


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in registry.names() if registry.entry(name).high])
def test_high_rates_take_more(name: str) -> None:
    with torch.device("meta"):
        model, high = registry.build(name), registry.build(name, **registry.entry(name).high)
    assert complexity.parameters(high) > complexity.parameters(model)


@pytest.mark.parametrize("name", every(3, registry.names()))
def test_configuration_rebuilds_the_model(name: str) -> None:
    model = registry.build(name, **registry.entry(name).thin)
    again = registry.build(name, **json.loads(json.dumps(model.settings())))
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    assert again.settings() == model.settings()


def test_a_model_file_is_short_and_explains_its_order() -> None:
    """One file per system: diagram, citation and coding order in its docstring, about 180 lines at most.

    Those of JPEG AI hold several transforms each; that of the product joins several files.
    """
    root = Path(registry.__file__).parent / "models"
    for module in {registry.entry(name).model.__module__.rpartition(".")[2] for name in registry.names()}:
        text = (root / f"{module}.py").read_text()
        assert "Coding order" in text, module
        assert "::\n" in text, module
        limit = 230 if module.startswith(("jpegai", "calotype")) else 180
        assert len(text.splitlines()) <= limit, module


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(registry.UnknownModel, match="did you mean 'cheng2020-anchor'"):
        registry.build("cheng2020-anker")
    with pytest.raises(registry.UnknownModel, match="calotype lab list"):
        registry.entry("zzzz")
    with pytest.raises(registry.UnknownModel, match="'nonsense'; see calotype lab list"):
        registry.entry("nonsense")
    with pytest.raises(registry.UnknownModel, match="did you mean 'cheng2020-hyperprior'"):
        registry.entry("cheng")
    with pytest.raises(registry.UnknownModel, match="has no size 'widht'"):
        registry.build("balle2017", widht=3)
    with pytest.raises(registry.UnknownModel, match="do not add up"):
        registry.build("he2022-elic", groups=[1, 2])
    assert issubclass(registry.UnknownModel, CalotypeError)


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("minnen2018-mean-scale", {"n": -1}, "n must be a whole number of at least 1, got -1"),
        ("minnen2018-mean-scale", {"n": "x"}, "n must be a whole number of at least 1, got 'x'"),
        ("minnen2018-mean-scale", {"n": 8.0}, "n must be a whole number"),
        ("minnen2018-mean-scale", {"n": True}, "n must be a whole number"),
        ("minnen2018-mean-scale", {"n": 10**12}, "not enough memory to build it with these sizes"),
        ("minnen2018-mean-scale", {"n": 10**17}, "cannot be built with these sizes"),
        ("agustsson2017", {"sharpness": float("nan")}, "sharpness must be a finite number above 0"),
        ("liu2023-tcm-small", {"m": 0}, "m must be a whole number of at least 1"),
        ("liu2023-tcm-small", {"blocks": ["conv"]}, "blocks must be text"),
        ("zhu2022-hyperprior", {"widths": 3}, "widths must be a list of numbers"),
        ("zhu2022-hyperprior", {"hyper_depths": [1]}, "hyper_depths must be a list of 2 numbers"),
        ("jpegai2023-baseline", {"hidden": 5}, "hidden must be a list of 2 numbers"),
        ("jpegai-hop", {"encoder": 3}, "encoder must be text"),
        ("he2022-elic", {"groups": 3}, "groups must be a list of numbers"),
        ("cheng2020-anchor", {"attention": "no"}, "attention must be true or false, got 'no'"),
        ("hu2020-low", {"n": 12, "z2": 1}, "too small"),
    ],
)
def test_sizes_of_the_wrong_kind_are_one_line(name: str, sizes: dict[str, object], message: str) -> None:
    with pytest.raises(registry.UnknownModel, match=message) as caught:
        registry.build(name, **sizes)
    assert str(caught.value).startswith(f"model {name!r}: ")
    assert "\n" not in str(caught.value)


def test_words_for_switches() -> None:
    """What JSON does not know as a bool arrives as text, and text would count as true."""
    model = registry.build("cheng2020-hyperprior", n=8, attention="False")
    assert model.config["attention"] is False
    assert registry.build("cheng2020-hyperprior", n=8, attention="True").config["attention"] is True
    assert registry.build("minnen2020-charm", n=8, m=12, slices=3, support=0).config["support"] == 0
    with pytest.raises(ValueError, match="give two hyper_depths"):
        registry.entry("zhu2022-hyperprior").model(hyper_depths=(1,))  # type: ignore[call-arg]


@pytest.mark.slow
def test_describe_with_sizes_that_do_not_fit_the_thin_ones() -> None:
    """The thin model of the receptive field has 20 latents, which do not make 8 slices."""
    sizes = {"n": 4, "m": 24, "z": 8, "inner": 16, "widths": [8, 8], "slices": 8}
    sizes |= {"attention": False, "blocks": "conv"}  # to be quick
    assert describe("liu2023-tcm-small", (64, 64), **sizes)["config"]["slices"] == 8


def test_describe() -> None:
    d = describe("minnen2018-mean-scale")
    assert d["parameters"] == 7_028_003 == sum(d["parameters_by_part"].values())
    assert set(d["kmacs_per_pixel"]) == {"exact", "layers", "ptflops"}
    assert d["kmacs_per_pixel"]["exact"]["g_a"] == pytest.approx(42.18, abs=0.006)
    assert d["latents"] == {"y": (192, 16, 16), "z": (128, 4, 4)}
    assert d["receptive_field"] == (61, 61)
    assert "NeurIPS 2018" in d["citation"]
    assert "Coding order" in d["document"]
    json.dumps(d)


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    for name in ("minnen2018-autoregressive", "he2022-elic", "hu2020-high"):
        model = thin(name)
        path = tmp_path / f"{name}.safetensors"
        save_checkpoint(path, model, {"lambda": 0.0067, "steps": 3})
        info = read_info(path)
        assert (info.name, info.config, info.id) == (name, model.config, model_id(model))
        assert info.training == {"lambda": 0.0067, "steps": 3}
        again = load_checkpoint(path, expect=name)
        assert not again.training
        x = picture(64, 64)[None] / 255
        with torch.no_grad():
            assert torch.equal(again(x).x_hat, model(x).x_hat)
        assert ModelCodec(again).compress(x) == ModelCodec(model).compress(x)
    assert not list(tmp_path.glob("*.tmp"))


def test_checkpoint_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, thin("balle2017"))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(path, thin("balle2017", 1), {"oops": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_bad_checkpoints(tmp_path: Path) -> None:
    path, bad = tmp_path / "m.safetensors", tmp_path / "bad.safetensors"
    save_checkpoint(path, thin("balle2018-factorized"))
    data, weights = path.read_bytes(), load_file(path)

    def metadata(**changes: str) -> dict[str, str]:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            return {**file.metadata(), **changes}

    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_info(tmp_path / "missing.safetensors")
    for junk in (b"", b"not a checkpoint", data[: len(data) // 2], data[:20]):
        bad.write_bytes(junk)
        with pytest.raises(CheckpointError, match="not a safetensors file, or truncated"):
            read_info(bad)
    torch.save(weights, bad)
    with pytest.raises(CheckpointError, match="pickle"):
        read_info(bad)
    save_file(weights, bad)
    with pytest.raises(CheckpointError, match="not a checkpoint of the laboratory"):
        read_info(bad)
    with pytest.raises(CheckpointError, match="holds 'balle2018-factorized', not 'balle2017'"):
        load_checkpoint(path, expect="balle2017")
    cases = [
        (weights, {"model": "balle2018-factorised"}, "did you mean 'balle2018-factorized'"),
        (weights, {"model": "minnen2018-mean-scale"}, "lacks 'h_a.0.bias'"),
        (weights, {"config": '{"n": 9, "m": 12}'}, r"'g_a.0.\w+' is \(8,"),
        (weights, {"config": '{"n": 8, "k": 12}'}, "has no size"),
        (weights, {"config": "{"}, "damaged metadata"),
        (weights, {"id": "xyz"}, "damaged metadata"),
        ({**weights, "extra": torch.zeros(1)}, {}, "has an unknown 'extra'"),
        ({k: v for k, v in weights.items() if k != "g_a.1.beta"}, {}, "lacks 'g_a.1.beta'"),
    ]
    for content, changes, message in cases:
        save_file(content, bad, metadata(**changes))
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(bad)


def test_use_and_find(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "broken.safetensors").write_bytes(b"junk")
    save_checkpoint(tmp_path / "deep" / "a.safetensors", thin("balle2017", 1))
    save_checkpoint(tmp_path / "b.safetensors", thin("balle2017", 2))
    image = picture(33, 50).permute(1, 2, 0).numpy()
    data = use.open(tmp_path / "deep" / "a.safetensors").encode(image, 0)
    codec = use.find(data, [tmp_path])
    assert codec.name == "lab:a"
    assert codec.decode(data).shape == (33, 50, 3)
    assert codec.complexity()["parameters"] > 0
    assert (use.decode(data, [tmp_path]) == codec.decode(data)).all()
    with pytest.raises(CheckpointError, match=codec.info.id.hex()):
        use.find(data, [tmp_path / "b.safetensors"])
    with pytest.raises(CheckpointError, match="no such folder"):
        use.find(data, [tmp_path / "nowhere"])


def test_lab_needs_no_native_module() -> None:
    """Import, train a step and evaluate where the C++ module is not built; files give a clear error."""
    script = """
import sys
sys.modules["calotype._rans"] = None
import torch
torch.set_num_threads(1)
from calotype.lab import registry
from calotype.lab.codec import ModelCodec
from calotype.lab.objective import RateDistortion
for name in ("minnen2018-autoregressive", "cheng2020-mixture", "hu2020-low"):
    model = registry.build(name, **registry.entry(name).thin)
    objective = RateDistortion(model, 0.01)
    x = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    loss, values = objective.training_loss(x, None, hard=False)
    loss.backward()
    model.eval()
    assert objective.validate(x)["bpp"] > 0
try:
    ModelCodec(model).compress(x / 255)
except ImportError:
    print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "refused\n", done.stderr


def test_the_state_of_a_run_is_no_checkpoint(tmp_path: Path) -> None:
    from calotype.lab.train.state import State

    State(3, 1.0, {}, {"model": "balle2017"}, {"a": torch.zeros(1)}, {"a": torch.zeros(1)}).save(
        tmp_path / "checkpoint.safetensors"
    )
    with pytest.raises(CheckpointError, match="state of a training run"):
        read_info(tmp_path / "checkpoint.safetensors")
