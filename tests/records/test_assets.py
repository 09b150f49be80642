"""The large things of a release: made from a clone, and the check sees what is not as it was made."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from tests.records.scripts import module_of

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "assets.py"
pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file() or shutil.which("git") is None, reason="not in a source distribution; needs git"
)


@pytest.fixture(scope="module")
def assets() -> ModuleType:
    return module_of(SCRIPT)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with one pack, weights, results, and what is no asset."""
    root = tmp_path / "clone"
    for name, text in {
        "pyproject.toml": 'version = "9.8.7"\n',
        "src/calotype/packs/photo-psnr/manifest.json": '{"id": "0123456789abcdef"}',
        "src/calotype/packs/photo-psnr/tables.safetensors.gz": "tables",
        "training/photo/checkpoint.safetensors": "weights",
        "docs/results/kodak/results.json": "{}",
        "docs/results/README.md": "text",
        "studies/tcm/results.json": "[]",
        "studies/tcm/__main__.py": "pass",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(tmp_path, "init", "-q", "clone")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    return root


def test_made_whole(assets: ModuleType, clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    (clone / "docs/results/mine.json").write_text("not committed")
    assets.make(clone, folder)
    assert assets.wrong(folder) == assets.wrong(folder, clone) == []
    files = {path.name for path in folder.iterdir()} - {"manifest.json", "SHA256SUMS"}
    assert files == {"pack-photo-psnr-01234567.zip", "weights-photo-psnr.safetensors", "results.zip"}
    pack = zipfile.ZipFile(folder / "pack-photo-psnr-01234567.zip")
    assert pack.namelist() == ["manifest.json", "tables.safetensors.gz"]
    assert pack.read("tables.safetensors.gz") == b"tables"
    results = zipfile.ZipFile(folder / "results.zip").namelist()
    assert results == ["docs/results/kodak/results.json", "studies/tcm/results.json"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["version"] == "9.8.7"
    assert len(manifest["commit"]) == 40
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert digest == assets.hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_changes_are_seen(assets: ModuleType, clone: Path, tmp_path: Path) -> None:
    """A bit of a file, one that lacks, one too many, a list that was changed, a tree that went on."""
    whole, folder = tmp_path / "whole", tmp_path / "assets"
    assets.make(clone, whole)

    def broken(name: str, data: bytes | None) -> list[str]:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        if data is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(data)
        return assets.wrong(folder)  # type: ignore[no-any-return]

    name = "weights-photo-psnr.safetensors"
    assert broken(name, b"weightz") == [f"{name} is not the file that was made: 7 bytes"]
    assert broken(name, None) == [f"{name} is missing"]
    assert broken("notes.txt", b"") == ["notes.txt is not of this release"]
    assert "does not hold" in broken("manifest.json", None)[0]
    assert "does not hold" in broken("SHA256SUMS", b"a line\n")[0]
    sums = (whole / "SHA256SUMS").read_bytes()
    assert broken("SHA256SUMS", sums.split(b"\n", 1)[1]) == ["manifest.json is in manifest.json alone"]
    changed = (whole / "manifest.json").read_bytes().replace(b"9.8.7", b"9.8.6")
    assert broken("manifest.json", changed)[0].startswith("manifest.json is not the file that was made")
    (clone / "docs/results/kodak/results.json").write_text("{ }")
    assert assets.wrong(whole, clone) == [f"results.zip is not what {clone} makes"]
    assets.make(clone, tmp_path / "later")
    assert json.loads((tmp_path / "later" / "manifest.json").read_text())["commit"].endswith("+")


def test_refusals(
    assets: ModuleType, clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="is not empty"):
        assets.make(clone, clone)
    git(clone, "rm", "-q", "training/photo/checkpoint.safetensors")
    with pytest.raises(ValueError, match="averaged weights"):
        assets.make(clone, tmp_path / "assets")
    with pytest.raises(ValueError, match="is no clone"):
        assets.make(tmp_path, tmp_path / "others")
    assert assets.main(["check", str(clone)]) == 1
    assert "does not hold manifest.json" in capsys.readouterr().out


def test_packs_of_this_tree_open(assets: ModuleType, tmp_path: Path) -> None:
    from calotype.codec.pack import Pack

    if not (ROOT / ".git").exists():
        pytest.skip("no clone")
    assets.make(ROOT, tmp_path / "assets")
    packs = sorted((tmp_path / "assets").glob("pack-*.zip"))
    assert len(packs) == len(list((ROOT / "src/calotype/packs").glob("*/manifest.json")))
    for path in packs:
        assert path.stem.endswith(Pack(path).manifest.id[:8])
