"""What the documentation site does beside rendering docs/*.md. MkDocs calls the functions named ``on_...``.

* Pages that are made: published systems (`systems`), notebooks (`notebooks`), the `reference`, and
  pages that live elsewhere in the repository.
* Links that leave docs/ go to such a page, or to the repository.
* ``<!-- made:NAME -->`` in a page stands for what `MADE` makes. An SVG picture becomes part of its page, so
  that its ink follows the page's colours.

CALOTYPE_DOCS=quick leaves out what costs minutes: running the notebooks, and counting the multiplications of
the published systems.
"""

from __future__ import annotations

import os
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

import notebooks
import plot
import reference
import systems
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
QUICK = os.environ.get("CALOTYPE_DOCS") == "quick"
ELSEWHERE = {
    "made/browser.md": "web/decoder/README.md",
    "made/contributing.md": "CONTRIBUTING.md",
    "made/changelog.md": "CHANGELOG.md",
}
"""Pages of the site, and the files that they are."""
PAGES = {"README.md": "index.md"} | {path: uri for uri, path in ELSEWHERE.items()}
"""Files outside docs/, and their pages."""
RESULTS = ROOT / "docs" / "results"

LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^()\s#]+)(#[^()\s]*)?\)")
PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^()\s]+\.svg)\)$", re.MULTILINE)


def _short() -> str:
    from calotype.bench import tables

    return tables.short([RESULTS / name for name in ("kodak", "samples", "large")])


MADE = {"plot": lambda: plot.svg(RESULTS), "short": _short}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages that are made into the navigation, and those of docs/ that it does not name."""
    docs = ROOT / "docs"
    named = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    others = {
        folder: [str(path.relative_to(docs)) for path in sorted(docs.glob(pattern))]
        for folder, pattern in (("./", "*.md"), ("results/", "results/*/*.md"))
    }
    made = {"systems/": systems.navigation(), "reference/": reference.navigation()}
    made |= {folder: [uri for uri in uris if uri not in named] for folder, uris in others.items()}
    for section in config.nav or []:
        for title, pages in section.items():
            if isinstance(pages, list):
                section[title] = [entry for page in pages for entry in made.get(_name(page), [page])]
    return config


def _name(page: Any) -> str:
    return page if isinstance(page, str) else ""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    pages: dict[str, str | bytes] = {
        uri: (ROOT / path).read_text(encoding="utf-8") for uri, path in ELSEWHERE.items()
    }
    cache = ROOT / "build" / "docs-systems.json"
    pages |= systems.pages(None if QUICK else cache)
    pages |= reference.pages()
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages |= notebooks.pages(path, run=not QUICK)
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


@cache
def address() -> str:
    """Where the repository is, or will be."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^Source = "([^"]+)"', project, re.MULTILINE)
    assert match is not None
    return f"{match[1]}/blob/main"


def repository() -> str:
    """Address of a file of the repository, without its path; nothing as long as there is no address."""
    return "" if ".invalid/" in address() else address()


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links fit, put in what is made."""
    uri = page.file.src_uri
    if uri == "index.md":
        page.meta["hide"] = ["navigation", "toc"]
    if uri == "lab-systems.md":
        text = systems.linked(text)
    text = re.sub(r"^<!-- made:(\w+) -->$", lambda m: MADE[m[1]](), text, flags=re.MULTILINE)
    text = PICTURE.sub(lambda m: _inline(m[0], m[1], posixpath.join(posixpath.dirname(uri), m[2])), text)
    origin = ELSEWHERE.get(uri, f"docs/{uri}")
    return LINK.sub(lambda m: _linked(m, uri, origin, files), text)


def _linked(link: re.Match[str], uri: str, origin: str, files: Files) -> str:
    """A link as it has to be in the page ``uri``, whose file in the repository is ``origin``."""
    mark, label, target, place = link.groups("")
    if target.startswith(f"{address()}/"):  # of pages that are also read elsewhere, such as on npm
        target = posixpath.relpath(target.removeprefix(f"{address()}/"), posixpath.dirname(origin) or ".")
    if "://" in target or target.startswith("mailto:"):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    inside = path.removeprefix("docs/") if path.startswith("docs/") else PAGES.get(path, "")
    inside = inside.replace(".ipynb", ".md")
    file = files.get_file_from_path(inside) if inside else None
    if file is not None and file.inclusion.is_included():
        return f"{mark}[{label}]({posixpath.relpath(inside, posixpath.dirname(uri) or '.')}{place})"
    if not (ROOT / path).exists():
        return link[0]  # MkDocs says that it is broken
    if not repository():
        return f'<span title="{path}, in the repository">{label}</span>'
    return f"{mark}[{label}]({repository()}/{path}{place})"


def _inline(whole: str, label: str, uri: str) -> str:
    drawing = (ROOT / "docs" / uri).read_text(encoding="utf-8")
    if 'class="figure"' not in drawing:
        return whole
    drawing = re.sub(r"<style>.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"\s*\n\s*", " ", drawing)  # an empty line would end the block of HTML
    drawing = drawing.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f'<div class="wide">{drawing.strip()}</div>'
