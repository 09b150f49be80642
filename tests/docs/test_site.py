"""The documentation site builds, strictly, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("torch")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:link|script|img|source|iframe|object|embed|video|audio)\b[^>]*>")
ADDRESS = re.compile(r"""(?:src|href|data|srcset)=["']?([^"'\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "-q", "-f", str(ROOT / "mkdocs.yml"), "-d", str(folder)]
    environment = {**os.environ, "CALOTYPE_DOCS": "quick", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def test_every_page_is_there(site: Path) -> None:
    from calotype.lab import registry

    for name in registry.names():
        page = (site / "systems" / f"{name}.html").read_text(encoding="utf-8")
        assert registry.entry(name).citation.split(",")[0] in page
        assert f"systems/{name}.html" in (site / "lab-systems.html").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{path.stem}.html").is_file()
    assert "target_ssimulacra2" in (site / "reference" / "codec.html").read_text(encoding="utf-8")


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        for tag in LOADED.findall(page.read_text(encoding="utf-8")):
            for address in ADDRESS.findall(tag):
                assert "//" not in address, (page.name, tag)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


def test_what_pages_show_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in re.findall(r"""<img[^>]*\bsrc=["']?([^"'\s>]+)""", page.read_text(encoding="utf-8")):
            if page.name != "404.html":
                assert (page.parent / address).is_file(), (page.name, address)


def test_figures_and_results_are_part_of_their_pages(site: Path) -> None:
    how = (site / "how.html").read_text(encoding="utf-8")
    start = (site / "index.html").read_text(encoding="utf-8")
    assert how.count('class="figure"') >= 6
    assert start.count("<polyline") >= 3
    assert "avif-444-psnr" in start
    assert '#the-picture-on-the-first-page">How this picture is made</a>' in start
