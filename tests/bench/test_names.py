"""Pictures are found where they are, and no two have one name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.bench.conftest import scene

from calotype.bench import report, results
from calotype.bench.errors import BenchError
from calotype.bench.names import find_images, unique_names
from calotype.bench.report import figures
from calotype.bench.report.curves import Table
from calotype.bench.runner import Settings, run


def test_names_are_as_short_as_can_be() -> None:
    names = unique_names(["p/a/x.png", "p/b/x.png", "p/b/y.png", "q/b/x.png"])
    assert names == {"p/a/x.png": "a/x.png", "p/b/x.png": "p/b/x.png", "p/b/y.png": "y.png"} | {
        "q/b/x.png": "q/b/x.png"
    }


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two folders, each with another picture called x.png, and one with a picture of the same content."""
    for name, seed in (("one", 1), ("two", 2), ("three", 2)):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.fromarray(scene(64, 96, seed)).save(tmp_path / "in" / name / "x.png")
    return tmp_path / "in"


@pytest.mark.usefixtures("no_workers")
def test_pictures_of_one_name_keep_their_own_results(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        out=tmp_path / "out",
        codecs=("jpeg-420",),
        qualities={"*": (20, 80)},
        metrics=("psnr_rgb",),
        timing_images=1,
        timing_repeats=1,
        pictures=3,
        picture_bpp=(1.0,),
    )
    found = run([folders / "one", folders / "two", folders / "three" / "x.png"], settings)
    names = ["one/x.png", "two/x.png", "three/x.png"]
    assert [i["name"] for i in found["images"]] == names
    assert [m["image"] for m in found["measurements"]] == [n for n in names for _ in range(2)]
    table = Table(found)
    for name in names:
        image = np.asarray(Image.open(folders / name))
        curve = table.image_curve("jpeg-420", name)
        assert curve is not None
        path = tmp_path / "again.jpg"
        Image.fromarray(image).save(path, quality=20, subsampling="4:2:0", optimize=True)
        assert curve.bpp[0] == pytest.approx(8 * path.stat().st_size / image[:, :, 0].size)
    assert [p["image"] for p in found["pictures"]] == names
    assert len({p["file"] for p in found["pictures"]}) == 2, "equal pictures share a file, others do not"
    assert found["timing"][0]["image"] == "one/x.png"
    monkeypatch.setattr(figures, "draw", lambda *arguments: [])  # which name no pictures
    report.build(tmp_path / "out")
    assert results.read(tmp_path / "out")["images"][1]["name"] == "two/x.png"


def test_folders_of_folders(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="there are 3 folders in it: add --recursive"):
        find_images([folders])
    (folders / ".hidden").mkdir()
    (folders / "out").mkdir()
    for name in (".hidden", "out"):
        Image.fromarray(scene(64, 96)).save(folders / name / "y.png")
    found = find_images([folders], recursive=True, skip=folders / "out")
    assert [p.parent.name for p in found] == ["one", "three", "two"]


def test_a_picture_reached_twice_is_taken_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders)
    found = find_images([Path("one/x.png"), folders / "one", Path("two/../one/x.png")])
    assert found == [Path("one/x.png")]
