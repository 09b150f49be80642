"""Recurrent systems on the command line: how many iterations a file has, and what is said of a cut one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.bitstream import parse
from calotype.lab import registry, use
from calotype.lab.checkpoint import save_checkpoint
from calotype.lab.codec import part_ends

torch.set_num_threads(1)
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent system of three iterations, and one that is none."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("toderici2016", "balle2017"):
        torch.manual_seed(0)
        model = registry.build(name, **registry.entry(name).thin).eval()
        save_checkpoint(folder / f"{name}.safetensors", model)
    return folder


def test_as_many_as_asked_for(photo: Path, models: Path, run: Run) -> None:
    checkpoint, out = models / "toderici2016.safetensors", photo.with_suffix(".calo")
    codec, image = use.open(checkpoint), np.asarray(Image.open(photo))
    for more, parts in (((), 3), (("--iterations", 2), 2), (("--iterations", 1), 1)):
        assert run("encode", photo, "--force", "--model", checkpoint, *more).status == 0
        assert out.read_bytes() == codec.encode(image, parts)


def test_wrong_numbers_of_iterations(photo: Path, models: Path, run: Run) -> None:
    recurrent, other = models / "toderici2016.safetensors", models / "balle2017.safetensors"
    given = ("encode", photo, "x.calo", "--model")
    said = run(*given, recurrent, "--iterations", 4).complaint
    assert said.endswith("the checkpoint has 1 to 3 iterations, not 4")
    assert "balle2017 does not work in iterations" in run(*given, other, "--iterations", 2).complaint
    for words, told in (
        ((*given, recurrent, "--iterations", 0), "is not a whole number of at least 1"),
        (("encode", photo, "x.calo", "--iterations", 2), "--iterations is for a laboratory model"),
        ((*given, recurrent, "-q", 40), "the rate is the checkpoint's, of recurrent systems that of --it"),
    ):
        done = run(*words)
        assert done.status == 2
        assert told in done.err
    assert not Path("x.calo").exists()


def test_a_file_that_is_cut_off_says_how_much_is_shown(photo: Path, models: Path, run: Run) -> None:
    codec = use.open(models / "toderici2016.safetensors")
    data, path = codec.encode(np.asarray(Image.open(photo))), photo.with_suffix(".calo")
    given = ("decode", path, "--force", "--models", models)
    ends = part_ends(data)
    for size, parts in ((ends[0], 1), (ends[1], 2), (ends[2] - 1, 2), (ends[2], 3), (len(data) - 1, 3)):
        path.write_bytes(data[:size])
        note = f"the file is cut off; {parts} of at most 3 parts are whole and shown"
        done = run(*given)
        assert done.status == 0
        assert f"calotype: {path}: {note}" in done.err
        assert np.array_equal(np.asarray(Image.open(photo)), codec.decode(data[:size]))
        (record,) = run(*given, "--json").records
        (told,) = record["notes"]
        assert told.startswith(note)
    path.write_bytes(data)
    assert run(*given).err == ""
    assert run(*given, "--json").records[0]["notes"] == []


def test_probe_tells_what_is_there_of_one(photo: Path, models: Path, run: Run) -> None:
    data = use.open(models / "toderici2016.safetensors").encode(np.asarray(Image.open(photo)))
    (chunk,), path = parse(data).chunks, photo.with_suffix(".calo")
    path.write_bytes(data[: part_ends(data)[1]])
    here = path.stat().st_size - (part_ends(data)[2] - chunk.length)
    done = run("probe", path)
    assert done.complaint.endswith("; if its model works in parts, calotype decode shows the whole ones")
    assert done.out.splitlines()[-1].startswith("bpp ")
    row = next(line for line in done.out.splitlines() if "cut off here" in line)
    assert row.split() == ["latents", str(chunk.offset), str(here), "cut", "off", "here"]
    (record,) = run("probe", path, "--json").records
    assert record["cut"] == {"name": "latents", "offset": chunk.offset, "length": here}
    assert record["error"]["message"]
    path.write_bytes(data)
    assert run("probe", path).status == 0
    assert "cut" not in run("probe", path, "--json").records[0]
