"""What names a version or an address agrees, and the check of a release sees it where it does not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from tests.records.scripts import module_of

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "release.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="not in a source distribution")


@pytest.fixture(scope="module")
def release() -> ModuleType:
    return module_of(SCRIPT)


def test_this_tree_agrees(release: ModuleType) -> None:
    assert release.wrong(ROOT) == []


def test_the_npm_package_has_what_it_needs() -> None:
    """Every module that one of its modules names is in it, and its README leads nowhere beside it."""
    folder = ROOT / "web" / "decoder"
    listed = json.loads((folder / "package.json").read_text("utf-8"))["files"]
    packed = {path.name for pattern in listed for path in folder.glob(pattern)}
    named = set()
    for name in packed:
        if name.endswith(".js"):
            named |= set(re.findall(r'"\./([\w.-]+)"', (folder / name).read_text("utf-8")))
    assert {"calotype.wasm", "pool.js", "png.js"} <= named <= packed
    assert "packs.json" not in packed  # its packs are not there either; README.md says where they come from
    readme = (folder / "README.md").read_text("utf-8")
    assert "calotype view --copy-to" in readme
    assert all(target.startswith("https://") for target in re.findall(r"\]\(([^)]+)\)", readme))
    for path in re.findall(r"/blob/main/([\w./-]+)", readme):
        assert (ROOT / path).is_file(), path


def test_what_does_not_agree_is_named(release: ModuleType, tmp_path: Path) -> None:
    packs = [str(path.relative_to(ROOT)) for path in (ROOT / release.PACKS).glob("*/manifest.json")]
    for name in (*release.FILES, release.HISTORY, *packs):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    def change(name: str, pattern: str, new: str) -> None:
        text, count = re.subn(pattern, new, (tmp_path / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count
        (tmp_path / name).write_text(text, encoding="utf-8")

    change("pyproject.toml", r"^version = .*", 'version = "9.8.7"')
    assert len(release.wrong(tmp_path)) == 3
    change("native/calotype.h", r"^#define CALOTYPE_VERSION .*", "#define CALOTYPE_VERSION 90807")
    assert len(release.wrong(tmp_path)) == 2
    change("web/decoder/package.json", r'"version": ".*"', '"version": "9.8.7"')
    assert len(release.wrong(tmp_path)) == 1
    change("CITATION.cff", r"^version: .*", "version: 9.8.7\ndate-released: 2026-01-02")
    assert release.wrong(tmp_path) == []
    assert "no address yet" in release.wrong(tmp_path, "v9.8.7")[0]
    assert sum("is released: " in line for line in release.wrong(tmp_path, "v9.8.7")) == len(packs)
    release.release(tmp_path)
    assert not any("is released: " in line for line in release.wrong(tmp_path, "v9.8.7"))
    with pytest.raises(ValueError, match="HOST/OWNER/calotype"):
        release.move(tmp_path, "https://example.org")
    release.move(tmp_path, "https://github.com/me/calotype")
    assert '"https://github.com/me/calotype/issues"' in (tmp_path / "pyproject.toml").read_text("utf-8")
    assert "no '## [9.8.7]" in "".join(release.wrong(tmp_path, "v9.8.7"))
    change("CHANGELOG.md", r"^## \[Unreleased\]", "## [Unreleased]\n\n## [9.8.7] - 2026-01-03")
    assert release.wrong(tmp_path, "v9.8.7") == ["CITATION.cff does not say date-released: 2026-01-03"]
    change("CITATION.cff", "2026-01-02", "2026-01-03")
    assert release.wrong(tmp_path, "v9.8.7") == []
    entry = json.loads((tmp_path / packs[0]).read_text("utf-8"))["id"]
    listed = json.loads((tmp_path / release.HISTORY).read_text("utf-8"))["packs"]
    assert [e["released"] for e in listed if e["id"] == entry] == ["9.8.7"]
    (tmp_path / packs[0]).rename(tmp_path / "manifest.json")  # a pack that was released, and has gone
    assert release.wrong(tmp_path) == [f"{release.PACKS} lacks {entry[:8]}, which was released"]
    (tmp_path / "manifest.json").rename(tmp_path / packs[0])
    assert release.wrong(tmp_path, "v9.8") == ["the tag is v9.8, the version 9.8.7"]
    assert "this is https://example.org/x" in release.wrong(tmp_path, None, "https://example.org/x")[0]
    assert "https://github.com/me/calotype/blob/main/docs/web.md" in (
        tmp_path / "web/decoder/README.md"
    ).read_text("utf-8")
    change("CITATION.cff", r"github\.com/[\w-]+/", "github.com/somebody/")
    assert "CITATION.cff names https://github.com/somebody/calotype" in release.wrong(tmp_path)[0]
