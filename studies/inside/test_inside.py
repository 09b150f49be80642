"""Receptive field and latent deviation: known answers, facts of the untrained TCM; what is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from calotype.errors import ImageError
from calotype.lab import registry
from calotype.lab.analysis import complexity
from calotype.lab.checkpoint import CheckpointError, save_checkpoint
from calotype.lab.layers.window_attention import SwinBlock
from calotype.lab.models.base import LabModel
from calotype.lab.train.state import NAME, State
from calotype.lab.train.subject import Subject
from studies.inside import deviation, erf
from studies.inside.specimens import AnalysisError, Specimen, open_specimen, pictures, synthetic

THIN_TCM = "liu2023-tcm-small:n=8,m=20,z=8,inner=16,widths=[8,8]"
THIN_CALOTYPE = (
    "calotype:latents=24,width=16,narrow=8,narrow16=8,wide16=8,render=8,"
    "analysis_blocks=[1,1],synthesis_blocks=[1,1]"
)


def thin(name: str) -> LabModel:
    """A published system with few channels, far enough from its start that latents are not all zero."""
    torch.manual_seed(0)
    model: LabModel = registry.build(name, **registry.entry(name).thin)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if not key.startswith(("prior", "g_s")):
                p += 0.05 * torch.randn_like(p)
    return model.eval()


# -- receptive field -----------------------------------------------------------------------------------


def test_gradient_of_a_convolution_is_its_kernel() -> None:
    conv = nn.Conv2d(2, 3, 5, padding=2)
    g = erf.gradient_map(conv, torch.randn(1, 2, 16, 16), (4, 9))
    kernel = conv.weight.detach().sum(0).abs().sum(0)
    torch.testing.assert_close(g[2:7, 7:12], kernel)
    assert float(g.sum()) == pytest.approx(float(kernel.sum()), rel=1e-5)
    with pytest.raises(ValueError, match="outside the output of 16 x 16"):
        erf.gradient_map(conv, torch.randn(1, 2, 16, 16), (16, 0))


def test_extent_and_radius() -> None:
    field = torch.zeros(9, 9)
    field[4, 4], field[2, 5], field[8, 0] = 1.0, 0.05, 0.001
    assert erf.extent(field, 0.01) == {"rows": [2, 4], "columns": [4, 5], "share": pytest.approx(2 / 81)}
    assert erf.extent(field, 0.0001)["rows"] == [2, 8]
    ring = torch.zeros(9, 9)
    ring[4, 1] = ring[4, 7] = ring[1, 4] = ring[7, 4] = 2.0
    assert erf.radius(ring) == pytest.approx(3)


def test_windows_mix_only_when_they_shift() -> None:
    """One plain window reaches exactly its 8 x 8 positions; a shifted block after it reaches beyond them."""
    torch.manual_seed(0)
    x = torch.randn(1, 4, 32, 32)
    plain, shifted = SwinBlock(4, 4, 8), SwinBlock(4, 4, 8, shifted=True)
    g = erf.gradient_map(plain, x, (13, 13))
    assert erf.extent(g, 0.0)["rows"] == erf.extent(g, 0.0)["columns"] == [8, 15]
    g = erf.gradient_map(nn.Sequential(plain, shifted), x, (13, 13))
    assert erf.extent(g, 0.0)["rows"] == erf.extent(g, 0.0)["columns"] == [8, 23]


@pytest.fixture(scope="module")
def small() -> LabModel:
    torch.manual_seed(0)
    return registry.build("liu2023-tcm-small").eval()


@pytest.mark.slow
def test_untrained_tcm_reaches_farther_than_its_convolutions(small: LabModel) -> None:
    """Above 1e-4 some 160 to 190 pixels each way about pixel 128: far beyond the 16 x 16 of a latent."""
    x = [("noise", torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)))]
    found = erf.effective_field(Specimen("tcm", small), x, position=(8, 8)).numbers()
    wide, core = found["extent"]["0.0001"], found["extent"]["0.01"]
    for axis in ("rows", "columns"):
        assert 24 <= wide[axis][0] <= 72
        assert 184 <= wide[axis][1] <= 228
        assert wide[axis][0] < core[axis][0] < 128 < core[axis][1] < wide[axis][1]
    torch.manual_seed(0)
    conv = Specimen("conv", registry.build("liu2023-tcm-small", blocks="conv"))
    alone = erf.effective_field(conv, x, position=(8, 8)).numbers()["extent"]["0.0001"]
    assert alone["share"] < 0.6 * wide["share"]


def test_field_lies_within_the_theoretical_one() -> None:
    model = thin("balle2018-factorized")
    field = erf.effective_field(Specimen("x", model), [("p", synthetic(256))], position=(8, 8))
    rows, columns = complexity.receptive_field(model.g_a, 3)
    reach = erf.extent(field.map, 0.0)
    assert reach["rows"][1] - reach["rows"][0] + 1 <= rows
    assert reach["columns"][1] - reach["columns"][0] + 1 <= columns
    assert float(field.map.max()) == 1


@pytest.mark.parametrize("name", ["minnen2018-mean-scale", "hu2020-low", "zhu2022-charm"])
def test_synthesis_half(name: str) -> None:
    """From latents to the pixel in the middle; the latents next to it count most."""
    field = erf.effective_field(Specimen(name, thin(name)), [("p", synthetic(128))], "synthesis", size=128)
    assert field.map.shape[0] in (8, 2, 4)
    row, column = divmod(int(field.map.argmax()), field.map.shape[1])
    middle = field.map.shape[0] / 2
    assert abs(row + 0.5 - middle) <= 1.5
    assert abs(column + 0.5 - middle) <= 1.5


def test_a_half_that_nothing_moves_has_no_radius() -> None:
    numbers = erf.Field("still", "analysis", torch.zeros(4, 4), []).numbers()
    assert numbers["radius"] is None
    json.dumps(numbers, allow_nan=False)


def test_a_field_at_the_border_is_cut() -> None:
    field = torch.zeros(5, 7)
    field[2, 3], field[4, 3] = 1.0, 0.005
    assert not erf.cut(field, 0.01)
    assert erf.cut(field, 0.001)


# -- deviation -----------------------------------------------------------------------------------------


def test_epsilon_by_hand() -> None:
    y = torch.tensor([2.0, -1.0, 0.5, 0.5]).view(1, 4, 1, 1)
    residual = torch.tensor([0.25, -1.4, 3.0, 0.1]).view(1, 4, 1, 1)
    torch.testing.assert_close(deviation.deviation(residual).flatten(), torch.tensor([0.25, 0.4, 0.0, 0.1]))
    assert deviation.epsilon(y, residual) == pytest.approx(0.75 / 4.0)
    with pytest.raises(ValueError, match="zero"):
        deviation.epsilon(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3))


@pytest.mark.slow
def test_untrained_tcm_in_both_forms(small: LabModel) -> None:
    """The averaged form is near 0.9, the literal one 320 times that; only the former is of the published
    order.
    """
    x = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    found = deviation.measure(Specimen("tcm", small), "noise", x).numbers()
    assert 0.7 < found["epsilon_s"] < 1.05
    assert found["epsilon_s_literal"] == pytest.approx(320 * found["epsilon_s"])
    assert 200 < found["epsilon_s_literal"] < 340


def test_map_and_mean_agree() -> None:
    specimen = Specimen("tcm", thin("liu2023-tcm-small"))
    r = deviation.measure(specimen, "p", synthetic(192)[:, :, :128])
    assert r.map.shape == (8, 12)
    latents = specimen.latents(synthetic(192)[:, :, :128])
    assert r.epsilon_s == deviation.epsilon(latents.y, latents.residual)
    assert float(r.map.mean()) == pytest.approx(r.epsilon / r.gamma, rel=1e-5)
    assert r.after is not None
    assert r.after > 0
    total = deviation.summary([r, r])
    assert total["epsilon_s"] == pytest.approx(r.epsilon / r.gamma)
    assert [row["picture"] for row in total["pictures"]] == ["p", "p"]


def test_the_product_model_can_be_looked_at() -> None:
    specimen = open_specimen(THIN_CALOTYPE)
    assert specimen.model.level == 3.5
    x = [("p", synthetic(128))]
    assert deviation.measure(specimen, *x[0]).epsilon >= 0
    for half, size in (("analysis", 128), ("synthesis", 8)):
        assert erf.effective_field(specimen, x, half, size=128).map.shape == (size, size)


# -- specimens and pictures -----------------------------------------------------------------------------


def test_names_options_and_checkpoints(tmp_path: Path) -> None:
    specimen = open_specimen(THIN_TCM + ",blocks=conv")
    assert isinstance(specimen.model, LabModel)
    assert specimen.model.config["widths"] == [8, 8]
    assert specimen.model.config["blocks"] == "conv"
    model = thin("balle2017")
    save_checkpoint(tmp_path / "a.safetensors", model)
    assert isinstance(open_specimen(str(tmp_path / "a.safetensors")).model, LabModel)
    with pytest.raises(registry.UnknownModel, match="did you mean"):
        open_specimen("liu2023-tcm-smal")
    with pytest.raises(registry.UnknownModel, match="option=value"):
        open_specimen("balle2017:n")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        open_specimen(str(tmp_path / "b.safetensors"))
    (tmp_path / "c.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError):
        open_specimen(str(tmp_path / "c.safetensors"))


def test_training_runs_show_their_averaged_weights(tmp_path: Path) -> None:
    model = open_specimen(THIN_CALOTYPE).model
    averaged = {k: v + 1 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    trained = Subject("calotype", model.config.to_dict())
    State(1, 0.0, {}, trained.to_dict(), model.state_dict(), averaged).save(tmp_path / "run" / NAME)
    for what in (tmp_path / "run", tmp_path / "run" / NAME):
        specimen = open_specimen(str(what), 2.0)
        assert specimen.model.level == 2
        found = specimen.model.state_dict()
        assert all(torch.equal(found[k], v) for k, v in averaged.items())


def test_models_without_a_mean_are_refused_with_their_name() -> None:
    with pytest.raises(AnalysisError, match=r"factorized: .*Gaussian"):
        Specimen("factorized", thin("balle2017")).latents(synthetic(64))


def save(path: Path, x: Tensor) -> None:
    Image.fromarray((x[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(path)


def test_broken_pictures_are_skipped_in_folders_and_named_alone(tmp_path: Path) -> None:
    save(tmp_path / "b.png", synthetic(64))
    save(tmp_path / "a.png", synthetic(64, 1))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [name for name, _ in pictures([tmp_path])] == ["a.png", "b.png"]
    assert len(list(pictures([tmp_path], 1))) == 1
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        list(pictures([tmp_path / "broken.jpg"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures"):
        list(pictures([tmp_path / "empty"]))
