"""The stages of the product's training: latents alone, everything on varied crops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.models.calotype_start import start
from calotype.lab.train.command import main
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.latents import (
    LatentMaps,
    LatentsAlone,
    analyse,
    check,
    compute,
    shapes,
    visible_error,
)
from calotype.lab.train.loop import Trainer
from calotype.lab.train.state import NAME, State
from calotype.lab.train.subject import Subject
from calotype.lab.train.variants import drawing
from calotype.lab.train.varied import Varied

from .conftest import THIN

SIZES = [word for key, value in THIN.items() for word in ("--set", f"model.{key}={json.dumps(value)}")]
SHORT = ["steps=4", "batch=2", "held_out=1", "log_every=1", "save_every=2", "start_batches=1"]
FIELDS = [*SIZES, *(word for field in SHORT for word in ("--set", field))]
Thin = Callable[..., Calotype]


@pytest.fixture(scope="module")
def begun(photos: Photos) -> Calotype:
    """A thin model at its closed-form start."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: Calotype = Subject(options=THIN).build().model
    start(model, lambda seed: photos.crops([0, 2, 4, 5], (seed,), 4, 128) / 255.0, batches=2)
    return model.eval()


@pytest.fixture
def saved(begun: Calotype, tmp_path: Path) -> Path:
    """That model as a run leaves it."""
    config, subject = TrainConfig().to_dict(), Subject(options=THIN).to_dict()
    State(0, 0.0, config, subject, {}, begun.state_dict()).save(tmp_path / "begun" / NAME)
    return tmp_path / "begun"


@pytest.fixture
def maps(begun: Calotype, photos: Photos, tmp_path: Path) -> LatentMaps:
    return LatentMaps(compute(begun, photos, tmp_path / "latents"))


def words(folder: Path, cache: Path, out: Path, *more: Any) -> list[str]:
    return ["--data", str(folder), "--cache", str(cache), "--out", str(out), *FIELDS, *map(str, more)]


# -- latents alone ---------------------------------------------------------------------


@pytest.mark.slow
def test_latents_alone_are_trained_and_nothing_else(
    folder: Path, tmp_path: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cache = tmp_path / "run", tmp_path / "cache"
    given = words(folder, cache, out, "--recipe", "latents", "--set", "crop=128")
    assert main([*given, "--from", str(saved)]) == 0
    assert "latents of 6 photographs" in capsys.readouterr().err
    before, after = State.load(saved), State.load(out)
    moved = {name for name, value in after.weights.items() if not torch.equal(value, before.ema[name])}
    assert "latents.mean.base" in moved
    assert "levels.high_log_gain" in moved
    assert all(name.startswith(("latents.", "levels.")) for name in moved)
    assert "levels.vector" not in moved
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in lines if "loss" in entry] == [0, 1, 2, 3]
    assert "gigapixels" in lines[0]
    assert len(lines[-1]["validation"]["psnr"]) == 3

    # On, without being told the stage again: it is in the checkpoint, and so are the latents in the cache.
    assert main(["--out", str(out), "--cache", str(cache), "--resume", "--set", "steps=5"]) == 0
    assert "latents of" not in capsys.readouterr().err
    assert State.load(out).step == 5
    assert torch.equal(
        State.load(out).weights["synthesis.patch.weight"], before.ema["synthesis.patch.weight"]
    )


@pytest.mark.slow
def test_a_resumed_run_on_latents_equals_one_in_a_piece(folder: Path, tmp_path: Path, saved: Path) -> None:
    stage = ["--recipe", "latents", "--set", "crop=128", "--set", "decay=0", "--quiet"]

    def train(name: str, *more: str) -> State:
        assert main([*words(folder, tmp_path / "cache", tmp_path / name, *stage), *more]) == 0
        return State.load(tmp_path / name)

    whole = train("whole", "--from", str(saved))
    train("half", "--from", str(saved), "--set", "steps=2")
    on = train("half", "--resume")
    assert on.step == whole.step == 4
    for name, value in whole.weights.items():
        assert torch.equal(on.weights[name], value), name


def test_the_objective_is_that_of_whole_pictures(begun: Calotype, photos: Photos) -> None:
    """Rates are the same, and the error is near what the synthesis makes of quantisation."""
    x, level = photos.crops([0, 2, 4, 5], (3,), 8, 112), torch.linspace(0, 2, 8)
    whole = AllQualities(begun)
    with torch.no_grad():
        y, k = begun.analysis(whole.given(x)), begun.levels(level)
        alone = LatentsAlone(begun, visible_error(begun, y[:, :, 1:6, 1:6]))
        begun.eval()
        a = alone.rate_distortion(y, level, hard=True)
        torch.testing.assert_close(a["bpp"], whole.rate_distortion(whole.given(x), level, hard=True)["bpp"])
        coded, exact = begun(whole.given(x), level, hard=True).x_hat, begun.synthesis(y, k.vector)
    mse = 255**2 * (coded - exact).square().mean((1, 2, 3))
    assert (a["mse"] / mse).log().abs().max() < 0.2
    assert float(mse[0] / mse[-1]) > 10
    torch.testing.assert_close(a["loss"], (a["bpp"] + begun.lam(level) * a["mse"]) / begun.lam(level).sqrt())


def test_an_error_in_latents_that_says_nothing_of_pixels_is_refused(begun: Calotype, photos: Photos) -> None:
    x = photos.crops([0, 2, 4, 5], (3,), 4, 112)
    with torch.no_grad():
        weights = visible_error(begun, begun.analysis(AllQualities.given(x))[:, :, 1:6, 1:6])
    check(LatentsAlone(begun, weights), x)
    with pytest.raises(ValueError, match=r"\d times that in pixels.*freeze=levels"):
        check(LatentsAlone(begun, 30 * weights), x)


def test_maps_hold_what_the_analysis_gives(begun: Calotype, photos: Photos, maps: LatentMaps) -> None:
    assert sorted(set(maps.photo)) == list(range(6))
    assert len(maps.photo) == 6 + 2 + 2  # two enlarged, two reduced
    picture = np.pad(photos.picture(2), ((0, 4), (0, 14), (0, 0)), mode="edge")  # 300 x 130
    with torch.no_grad():
        y = begun.analysis(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255.0)
    centre = maps.centres([2], 96)
    assert centre.shape == (1, 48, 6, 6)
    torch.testing.assert_close(centre, y[:, :, 6:12, 1:7], rtol=2e-3, atol=2e-3)
    assert maps.centres([2, 3], 96).shape == (2, 48, 3, 3)  # one of 40 x 50 pixels among them


def test_large_pictures_are_analysed_in_parts(begun: Calotype, picture: Callable[..., np.ndarray]) -> None:
    pixels = picture(40, 1100)
    with torch.no_grad():
        x = np.pad(pixels, ((0, 8), (0, 4), (0, 0)), mode="edge")
        y = begun.analysis(torch.from_numpy(x).permute(2, 0, 1)[None] / 255.0)[0].permute(1, 2, 0)
    np.testing.assert_allclose(analyse(begun, pixels).astype(np.float32), y.numpy(), rtol=2e-3, atol=2e-3)


def test_tiles_are_decided_by_their_key_and_held_out_photographs_stay_out(maps: LatentMaps) -> None:
    tiles = [maps.plan([0, 2, 4, 5], (0, step, 0), 3, 112) for step in range(40)]
    assert tiles == [maps.plan([0, 2, 4, 5], (0, step, 0), 3, 112) for step in range(40)]
    assert {int(maps.photo[t.number]) for plan in tiles for t in plan} == {0, 2, 4, 5}
    assert all(len({(t.height, t.width) for t in plan}) == 1 for plan in tiles)
    assert len({(plan[0].height, plan[0].width) for plan in tiles}) > 4
    for plan in tiles:
        t = plan[0]
        assert maps.cut(plan, 112).shape == (3, 48, t.height, t.width)
    sides = shapes(496)
    assert (sides[0], sides[-1]) == ((20, 48), (48, 20))
    assert all(abs(h * w / 31**2 - 1) < 0.03 for h, w in sides)


def test_interrupted_latents_leave_nothing(
    begun: Calotype, photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(i: int) -> np.ndarray:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(photos, "picture", stop)
        with pytest.raises(KeyboardInterrupt):
            compute(begun, photos, tmp_path)
    assert list(tmp_path.iterdir()) == []
    packed = compute(begun, photos, tmp_path)
    packed.with_suffix(".f16").write_bytes(b"cut off.")
    with pytest.raises(ValueError, match="compute anew"):
        LatentMaps(packed)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "crop=496"], "no photograph has 768x320 pixels"),
        (["--set", "crop=128", "--distortion", "ms-ssim"], "for MSE"),
        (["--set", "crop=100"], "multiple of 16"),
        (["--recipe", "compressai"], "there are latents, joint"),
        (["balle2017", "--lambda", "0.01", "--recipe", "latents"], "no recipe is called 'latents'"),
    ],
)
def test_mistakes_with_stages_are_one_line(
    folder: Path, tmp_path: Path, saved: Path, more: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = ["--recipe", "latents", "--from", str(saved), *FIELDS, "--set", "crop=128", *more]
    if "balle2017" in more:
        given = more
    out = ["--data", str(folder), "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    assert main([*given, *out]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert message in told
    assert not (tmp_path / "run").exists()


# -- everything, on varied crops -------------------------------------------------------


def test_varied_crops_are_decided_by_their_key(photos: Photos) -> None:
    varied = Varied(photos, 0.5, 0.2)
    plan = varied.plan([0, 2, 4], (1, 2, 0), 60, 48)
    assert plan == varied.plan([0, 2, 4], (1, 2, 0), 60, 48)
    assert {v.cut.picture for v in plan} == {0, 2, 4}
    flat, same = (sum(v.side == side for v in plan) for side in (0, 48))
    enlarged, reduced = sum(0 < v.side < 48 for v in plan), sum(v.side > 48 for v in plan)
    assert 4 < flat < 24
    assert 10 < same < 40
    assert 5 < enlarged < 30
    assert 3 < reduced < 25
    assert all(24 <= v.side <= 96 for v in plan if v.side)
    crops = varied.cut(plan, 48)
    assert crops.shape == (60, 3, 48, 48)
    for view, crop in zip(plan, crops, strict=True):
        if view.side == 48:
            assert torch.equal(crop, photos.cut([view.cut], 48)[0])
        elif view.side:  # the same place, at another scale
            small = torch.nn.functional.interpolate(
                photos.cut([view.cut], view.side) / 1.0, (6, 6), mode="area"
            )
            same_small = torch.nn.functional.adaptive_avg_pool2d(crop / 1.0, 6)
            assert (small[0] - same_small).abs().mean() < 5


def test_drawings_are_colours_edges_and_gradients() -> None:
    kinds = {"colour": 0, "edge": 0, "gradient": 0}
    corners = 0
    for k in range(300):
        p = drawing((0, k, 0), 32)
        found = len(np.unique(p.reshape(-1, 3), axis=0))
        kinds["colour" if found == 1 else "edge" if found == 2 else "gradient"] += 1
        corners += bool(np.isin(p[0, 0], (0, 255)).all())
        assert (p == p[:1]).all() or (p == p[:, :1]).all()
    assert all(count > 25 for count in kinds.values())
    assert corners > 120


def test_everything_on_varied_crops_of_sixteens(
    folder: Path, cache: Path, tmp_path: Path, saved: Path
) -> None:
    out = tmp_path / "run"
    given = words(
        folder, cache, out, "--recipe", "joint", "--set", "crop=80", "--set", "bf16=false", "--quiet"
    )
    assert main([*given, "--from", str(saved)]) == 0
    before, after = State.load(saved), State.load(out)
    assert (after.config["scale"], after.config["flat"], after.config["crop"]) == (0.35, 0.06, 80)
    for name in ("analysis.patch.weight", "synthesis.patch.weight", "latents.mean.base", "levels.vector"):
        assert not torch.equal(after.weights[name], before.ema[name]), name


def test_varied_crops_are_made_without_the_device(trainer: Callable[..., Trainer]) -> None:
    run = trainer(scale=1.0, flat=0.0, crop=48)
    assert run.resident is None
    assert not torch.equal(run._crops(0)[0], trainer(folder="b", crop=48)._crops(0)[0])
