"""``calotype lab promote``: who passes, what is checked before, and what is left when something fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save
from tests.cli.gating import as_pack, curve_of, edited, judge, linear, trained_for

from calotype import api
from calotype.bench import bdrate, gate, gate_measure, gate_ship
from calotype.cli import main
from calotype.codec import encoder, library, manifest, metrics, tensors
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.errors import PackError


@pytest.fixture(scope="module")
def sample(photograph: Callable[[int, int, int], np.ndarray]) -> Callable[[int], torch.Tensor]:
    """sample(seed): a small picture twice, [2, 3, 128, 128]."""
    return lambda k: (
        torch.from_numpy(np.stack([photograph(128, 128, 10 + k)] * 2)).permute(0, 3, 1, 2) / 255.0
    )


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory, sample: Callable[[int], torch.Tensor]) -> dict[str, Path]:
    """Two packs of one linear codec: with the right tables, and with wrong ones."""
    folder, model = tmp_path_factory.mktemp("packs"), linear(sample)
    good = as_pack(model, folder / "good", sample)
    model.levels.high_bias.data += 12.0  # every sigma four times too large
    return {"good": good, "bad": as_pack(model, folder / "bad", sample)}


@pytest.fixture(scope="module", autouse=True)
def measured_once() -> Iterator[None]:
    """The points of a pack on the same pictures are the same whenever the gate asks for them."""
    known: dict[tuple[Any, ...], np.ndarray] = {}
    measure = gate_measure.points

    def points(pack: Pack, pictures: Any, metric: str, threads: int, tick: Callable[[], None]) -> np.ndarray:
        key = (pack.manifest.id, metric, *(pixels.tobytes() for pixels in pictures))
        if key not in known:
            known[key] = measure(pack, pictures, metric, threads, tick)
        return known[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_measure, "points", points)
        yield


def test_a_better_pack_takes_the_place_and_a_worse_one_does_not(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    """In turn: the first pack, itself again, a better one, and the first once more."""
    target, history = tmp_path / "photo", tmp_path / "docs" / "history.json"
    first = judge(packs["bad"], tmp_path, images)
    assert first["promoted"]
    assert first["entry"]["against"] is None
    assert Pack(target).manifest.name == "bad"

    again = judge(packs["bad"], tmp_path, images)
    assert (again["better"], again["reason"]) == (False, "it is the same pack")

    dry = judge(packs["good"], tmp_path, images, dry_run=True)
    assert dry["better"]
    assert not dry["promoted"]
    assert Pack(target).manifest.name == "bad"

    better = judge(packs["good"], tmp_path, images)
    assert better["promoted"], better["reason"]
    key = first["entry"]["id"][:8]
    assert first["replaces"] is None
    assert f"it replaces {key}, which is deleted" in gate.text(better)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs", "photo"]
    assert Pack(target).manifest.name == "good"
    assert Pack(target).coder.channels == 48
    worse = judge(packs["bad"], tmp_path, images)
    assert not worse["better"]
    assert worse["reason"].startswith("its BD-rate is +")
    assert worse["reason"].endswith(f"on {images.name}")
    assert Pack(target).manifest.name == "good"

    entries = json.loads(history.read_text())["packs"]
    _, entry = entries
    assert [e["name"] for e in entries] == ["bad", "good"]
    points = [curve_of(e, images) for e in entries]
    curves = [bdrate.Curve([p[1] for p in c], [p[2] for p in c]) for c in points]
    gain = entry["against"]["sets"][images.name]
    assert gain["bd_rate"] == pytest.approx(bdrate.bd_rate(*curves).value, abs=0.01)
    assert gain["bd_rate"] < -2
    assert entry["training"]["minutes"] == 1.5
    assert entry["measured_on"]["processor"]
    assert len(points[1]) == 8
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_pack_that_was_released_stays_beside_the_one_that_takes_its_place(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    """Its files find it by their id, as they did."""
    shipped = tmp_path / "packs"
    history, kept = tmp_path / "h.json", shipped / f"photo-{Pack(packs['bad']).manifest.id[:8]}"

    def promote(name: str) -> dict[str, Any]:
        return gate.promote(
            packs[name], shipped / "photo", [images], history, threads=1, slower=50.0, repeats=1
        )

    entry = promote("bad")["entry"]
    file = api.encode(np.zeros((32, 32, 3), np.uint8), pack=shipped / "photo")
    history.write_text(json.dumps({"format": 2, "packs": [entry | {"released": "0.1.0"}]}))
    kept.mkdir()
    with pytest.raises(PackError, match=f"{kept.name}: is there"):
        promote("good")
    assert Pack(shipped / "photo").manifest.id == entry["id"]
    kept.rmdir()
    verdict = promote("good")
    assert f"it replaces {entry['id'][:8]}, which was released and stays in {kept}" in gate.text(verdict)
    assert Pack(kept).manifest.id == entry["id"]
    assert Pack(shipped / "photo").manifest.id == verdict["entry"]["id"]
    assert library.find(bytes.fromhex(entry["id"][:8]), shipped).path == kept
    assert api.decode(file, pack=shipped).size == (32, 32)
    assert sorted(path.name for path in shipped.iterdir()) == ["photo", kept.name]


def test_what_is_no_pack_is_not_replaced(packs: dict[str, Path], images: Path, tmp_path: Path) -> None:
    target = tmp_path / "photo"
    target.mkdir()
    (target / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(PackError, match="photo: is there and is not a pack"):
        judge(packs["good"], tmp_path, images)
    assert [path.name for path in target.iterdir()] == ["holiday.jpg"]


def test_the_curve_is_that_of_real_files(packs: dict[str, Path], images: Path, tmp_path: Path) -> None:
    import calotype

    entry = judge(packs["good"], tmp_path, images)["entry"]
    rates, errors = [], []
    for path in sorted(images.iterdir()):
        image = Image.open(path)
        data = calotype.encode(image, quality=57, pack=packs["good"], threads=1)
        decoded = np.asarray(calotype.decode(data, pack=packs["good"], threads=1)).astype(float)
        rates.append(8 * len(data) / (image.width * image.height))
        errors.append(10 * np.log10(255**2 / np.square(decoded - np.asarray(image)).mean()))
    point = next(p for p in curve_of(entry, images) if p[0] == 57)
    assert point[1] == pytest.approx(np.mean(rates), abs=1e-4)
    assert point[2] == pytest.approx(np.mean(errors), abs=1e-3)


def test_a_slower_pack_does_not_pass(
    packs: dict[str, Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(packs["bad"], tmp_path, images)
    for old, reason in ((1.04, "it decodes no slower"), (1.0, "it decodes 1.040 times slower")):
        seconds = [np.full((1, 2), 1.04), np.full((1, 2), old)]  # of the new pack, of the old one
        monkeypatch.setattr(gate_measure, "times", lambda *given, seconds=seconds: seconds)
        verdict = judge(packs["good"], tmp_path, images, slower=gate.SLOWER, dry_run=True)
        assert verdict["better"] == (old == 1.04)
        assert verdict["reason"].endswith(reason)


def test_what_the_history_says_of_a_curve_decides_nothing(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    """Both packs are measured in one session: the encoder of that day may have been another."""
    judge(packs["bad"], tmp_path, images)
    history = tmp_path / "docs" / "history.json"
    stored = json.loads(history.read_text())
    for point in curve_of(stored["packs"][0], images):
        point[1] /= 100  # as if the shipped pack needed a hundredth
    history.write_text(json.dumps(stored))
    assert judge(packs["good"], tmp_path, images)["better"]


def test_the_ratio_of_times_is_stored_and_printed(
    packs: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    judge(packs["bad"], tmp_path, images)
    verdict = judge(packs["good"], tmp_path, images, repeats=5)
    against = verdict["entry"]["against"]
    for does in ("decode", "encode"):
        low, high = against[f"{does}_time_quartiles"]
        assert 0 < low <= against[f"{does}_time"] <= high
        assert verdict["entry"][f"{does}_mp_per_s"] > 0
        assert f"{does}s in {against[f'{does}_time']:.3f} times the time" in gate.text(verdict)


def test_repeats_say_how_often_decoding_is_timed_and_a_fifth_of_it_encoding(
    packs: dict[str, Path], images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = gate_measure.read_sets([images])[0].pictures
    both = [Pack(packs["good"]), Pack(packs["bad"])]
    calls, encode = [], encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda *a, **k: calls.append(k["pack"]) or encode(*a, **k))
    assert [t.shape for t in gate_measure.encode_times(both, pictures, 1, 6)] == [(2, len(pictures))] * 2
    measured = calls[2:]  # after one of each pack, which reads the networks
    assert [measured.count(pack) for pack in both] == [2 * len(pictures)] * 2
    assert [t.shape for t in gate_measure.times(both, pictures, 1, 6)] == [(6, len(pictures))] * 2


def test_a_pack_must_be_better_on_every_set(
    packs: dict[str, Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the rate on one set of pictures does not make up for a little more on another."""
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(images.iterdir())[:1]:
        shutil.copy(path, other)
    target, history = tmp_path / "photo", tmp_path / "h.json"
    words: dict[str, Any] = {"threads": 1, "slower": 50.0, "repeats": 1}
    gate.promote(packs["bad"], target, [images], history, **words)
    measure = gate_measure.points

    def spoilt(pack: Pack, pictures: Any, *more: Any) -> np.ndarray:
        values = measure(pack, pictures, *more)
        if pack.manifest.name == "good" and len(pictures) == 1:
            values[..., 0] *= 3
        return values

    with monkeypatch.context() as patch:
        patch.setattr(gate_measure, "points", spoilt)
        verdict = gate.promote(packs["good"], target, [images, other], history, **words)
    gains = verdict["entry"]["against"]["sets"]
    assert (gains[images.name]["bd_rate"] < 0, gains["other"]["bd_rate"] < 0) == (True, False)
    assert not verdict["better"]
    assert verdict["reason"].endswith("% on other")
    verdict = gate.promote(packs["good"], target, [images, other], history, **words)
    assert verdict["promoted"]
    (entry,) = json.loads(history.read_text())["packs"][1:]
    counts = {name: measured["count"] for name, measured in entry["sets"].items()}
    assert counts == {images.name: len(list(images.iterdir())), "other": 1}
    told = gate.text(verdict)
    for name, gain in entry["against"]["sets"].items():
        assert f"{name}, {entry['sets'][name]['count']} picture" in told
        assert f"BD-rate {gain['bd_rate']:+.2f} % against" in told
    assert entry["sets"]["other"]["curve"] != entry["sets"][images.name]["curve"]


def test_a_broken_candidate_is_an_error_and_a_broken_target_loses(
    packs: dict[str, Path], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, history = str(tmp_path / "photo"), str(tmp_path / "h.json")
    words = ["--images", str(images), "--target", target, "--history", history]
    assert main(["lab", "promote", str(tmp_path / "nothing"), *words]) == 1
    assert "manifest.json" in capsys.readouterr().err
    (tmp_path / "photo").mkdir()
    (tmp_path / "photo" / "manifest.json").write_text("{}")
    assert main(["lab", "promote", str(packs["good"]), "--threads", "1", *words]) == 0
    told = capsys.readouterr().out
    assert "promoted: there was no pack" in told
    assert f"it replaces what is in {target}, which does not work and is deleted" in told
    assert Pack(tmp_path / "photo").manifest.name == "good"


@pytest.mark.parametrize("name", manifest.FILES)
def test_every_file_is_looked_at(name: str, tmp_path: Path, images: Path) -> None:
    whole = manifest.read(gate.SHIPPED, name)
    cut = edited(gate.SHIPPED, tmp_path / "cut", name, whole[: len(whole) // 2])
    with pytest.raises(PackError, match=rf"{name}: array"):
        judge(cut, tmp_path, images)
    (cut / name).write_bytes(whole[:-1])
    with pytest.raises(PackError, match=rf"{name} does not have the hash"):
        judge(cut, tmp_path, images)
    assert not (tmp_path / "photo").exists()


def test_an_encoder_that_does_not_fit_is_found_out(tmp_path: Path) -> None:
    gate.check(gate.SHIPPED)
    arrays = dict(tensors.load(manifest.read(gate.SHIPPED, manifest.ENCODER)))
    for part in ("weight", "bias"):  # the picture's negative
        arrays[f"analysis.patch.{part}"] = -arrays[f"analysis.patch.{part}"]
    mixed = edited(gate.SHIPPED, tmp_path / "mixed", manifest.ENCODER, save(arrays))
    with pytest.raises(PackError, match="a picture comes back unlike itself"):
        gate.check(mixed)


@pytest.mark.parametrize(
    ("distortion", "metric", "likeness"),
    [
        ("ms-ssim", "ms_ssim", lambda a, b: metrics.to_db(metrics.ms_ssim(a, b))),
        ("ssimulacra2", "ssimulacra2", ssimulacra2),
    ],
)
def test_packs_are_judged_by_what_they_were_trained_for(
    packs: dict[str, Path], images: Path, tmp_path: Path, distortion: str, metric: str, likeness: Any
) -> None:
    similar = trained_for(distortion, packs["good"], tmp_path / "similar")
    entry = judge(similar, tmp_path, images)["entry"]
    assert entry["metric"] == metric
    values = []
    for path in sorted(images.iterdir()):
        image = Image.open(path)
        decoded = api.decode(api.encode(image, quality=57, pack=similar, threads=1), pack=similar, threads=1)
        values.append(likeness(np.asarray(image), np.asarray(decoded)))
    assert next(p for p in curve_of(entry, images) if p[0] == 57)[2] == pytest.approx(
        np.mean(values), abs=1e-3
    )
    with pytest.raises(PackError, match=rf"trained for mse, the one in .* for {distortion}"):
        judge(packs["good"], tmp_path, images)
    assert Pack(tmp_path / "photo").manifest.distortion == distortion
    assert len(json.loads((tmp_path / "docs" / "history.json").read_text())["packs"]) == 1


def test_wrong_paths_are_told_before_pictures_are_read(
    packs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, history, flat = tmp_path / "pictures", tmp_path / "h.json", tmp_path / "flat"
    pictures.mkdir()
    (pictures / "broken.png").write_bytes(b"no picture")
    flat.write_text("a file")
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", packs["good"])

    def complaint(pack: Path, history: Path) -> str:
        words = ["--images", str(pictures), "--target", str(tmp_path / "photo"), "--history", str(history)]
        assert main(["lab", "promote", str(pack), *words]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    assert "nothing: manifest.json" in complaint(tmp_path / "nothing", history)
    assert "zipped.zip: a pack in a zip file" in complaint(Path(archive), history)
    assert str(flat) in complaint(packs["good"], flat / "h.json")
    for text in ("{}", "[]", '{"packs": 1}', '{"packs": [', "\udcff"):
        history.write_text(text, errors="surrogateescape")
        assert f"{history}: not a history of packs: " in complaint(packs["good"], history)
    assert "broken.png" in complaint(packs["good"], tmp_path / "new.json")


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("moment", ["second rename", "before the history", "after the history"])
def test_a_failure_leaves_pack_and_history_as_they_were(
    stays: bool,
    there: bool,
    moment: str,
    packs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = tmp_path / "photo-12345678" if stays and there else None
    target, history = tmp_path / "photo", tmp_path / "history.json"
    if there:
        gate_ship.ship(Pack(packs["bad"]), target, history, [{"id": "1"}])
    before = history.read_bytes() if there else None
    rename, write = Path.rename, gate_ship.write_file
    failed = []

    def failing_rename(self: Path, other: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "no space")
        return rename(self, other)

    def interrupted_write(path: Path, data: bytes) -> None:
        if moment == "after the history" or failed:
            write(path, data)
        if not failed:
            failed.append(path)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "second rename":
            patch.setattr(Path, "rename", failing_rename)
        else:
            patch.setattr(gate_ship, "write_file", interrupted_write)
        with pytest.raises((OSError, KeyboardInterrupt)):
            gate_ship.ship(Pack(packs["good"]), target, history, [{"id": "1"}, {"id": "2"}], kept)
    if there:
        assert Pack(target).manifest.name == "bad"
        assert history.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == (["history.json", "photo"] if there else [])


def test_the_old_pack_is_kept_when_it_cannot_be_put_back(
    packs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, history = tmp_path / "photo", tmp_path / "history.json"
    gate_ship.ship(Pack(packs["bad"]), target, history, [])
    rename = Path.rename

    def failing(self: Path, other: Path) -> Path:
        if self != target:
            raise OSError(28, "no space")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no space"):
        gate_ship.ship(Pack(packs["good"]), target, history, [])
    (kept,) = tmp_path.glob(".promote-*/old")
    assert Pack(kept).manifest.name == "bad"
