"""The reference of the Python interface: one page per part, which mkdocstrings fills from docstrings."""

from __future__ import annotations

PARTS = {
    "The codec": (
        "codec",
        "What `import calotype` gives, and what it raises.",
        ["calotype.encode", "calotype.decode", "calotype.preview", "calotype.save", "calotype.open"]
        + ["calotype.probe", "calotype.errors", "calotype.codec.convert.ConversionWarning"],
    ),
    "Pillow and imageio": (
        "plugins",
        "How other programs' Python sees `.calo` files.",
        ["calotype.plugins.pillow"],
    ),
    "Bitstream": (
        "bitstream",
        "The container: a file into its parts, and back.",
        ["calotype.bitstream", "calotype.bitstream.fields", "calotype.bitstream.reader"]
        + ["calotype.bitstream.writer"],
    ),
    "Entropy coder": (
        "coder",
        "Integers into bytes, and back: rANS, and the pixel coder.",
        ["calotype.coder.stream", "calotype.coder.tables", "calotype.coder.latents", "calotype.coder.pixels"],
    ),
    "Laboratory": (
        "lab",
        "Models, checkpoints, training.",
        ["calotype.lab", "calotype.lab.registry", "calotype.lab.models.base", "calotype.lab.use"]
        + ["calotype.lab.codec", "calotype.lab.entropy.coders", "calotype.lab.train.config"],
    ),
    "Benchmark": (
        "bench",
        "Codecs, metrics, runs.",
        ["calotype.bench.codecs.base", "calotype.bench.metrics", "calotype.bench.runner"]
        + ["calotype.bench.bdrate", "calotype.bench.results"],
    ),
}


def navigation() -> list[dict[str, str]]:
    """Titles and pages."""
    return [{title: f"reference/{name}.md"} for title, (name, _, _) in PARTS.items()]


def pages() -> dict[str, str]:
    """The pages' sources."""
    return {
        f"reference/{name}.md": f"# {title}\n\n{about}\n\n" + "".join(f"::: {item}\n\n" for item in items)
        for title, (name, about, items) in PARTS.items()
    }
