"""The reference of the Python interface: one page per part, which mkdocstrings fills from docstrings."""

from __future__ import annotations

PARTS = {
    "The codec": (
        "codec",
        "What `import calotype` gives, and what it raises.",
        "encode decode preview save open probe errors",
    ),
    "Pillow and imageio": (
        "plugins",
        "How other programs' Python sees `.calo` files.",
        "plugins.pillow",
    ),
    "Bitstream": (
        "bitstream",
        "The container: a file into its parts, and back.",
        "bitstream bitstream.fields bitstream.reader bitstream.writer",
    ),
    "Entropy coder": (
        "coder",
        "Integers into bytes, and back: rANS, and the pixel coder.",
        "coder.stream coder.tables coder.latents coder.pixels",
    ),
    "Laboratory": (
        "lab",
        "Models, checkpoints, training.",
        "lab lab.registry lab.models.base lab.use lab.codec lab.entropy.coders lab.train.config",
    ),
    "Benchmark": (
        "bench",
        "Codecs, metrics, runs.",
        "bench.codecs.base bench.metrics bench.runner bench.bdrate bench.results",
    ),
}


def navigation() -> list[dict[str, str]]:
    """Titles and pages."""
    return [{title: f"reference/{name}.md"} for title, (name, _, _) in PARTS.items()]


def pages() -> dict[str, str]:
    """The pages' sources."""
    return {
        f"reference/{name}.md": f"# {title}\n\n{about}\n\n"
        + "".join(f"::: calotype.{item}\n\n" for item in items.split())
        for title, (name, about, items) in PARTS.items()
    }
