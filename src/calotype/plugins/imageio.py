"""For imageio: ``imageio.v3.imread("x.calo")`` and ``imwrite("x.calo", array)``, after ``import calotype``.

imageio finds plugins in a list of its own and knows no entry points, so somebody has to put this one in:
`register` does, and ``import calotype`` calls it when imageio has been imported before. Imported after it,
imageio comes to the same by Pillow, when it has asked its other plugins. ``plugin=CaloPlugin`` always works.
"""

from __future__ import annotations

from typing import Any

from imageio.config import extension_list, known_extensions, known_plugins
from imageio.config.extensions import FileExtension
from imageio.config.plugins import PluginConfig
from imageio.core.request import InitializationError, Request
from imageio.plugins.pillow import PillowPlugin

from calotype.plugins import pillow

NAME = "calotype"


class CaloPlugin(PillowPlugin):
    """.calo files by imageio's Pillow plugin: arrays uint8 [H, W], [H, W, 3] or [H, W, 4].

    ``imwrite`` takes the keywords of :func:`calotype.encode`, which Pillow passes on.

    Raises InitializationError, with which imageio goes on to the next plugin, for other formats.
    """

    def __init__(self, request: Request) -> None:
        pillow.register()
        super().__init__(request)
        image = self._image
        if image is None and request.extension != pillow.SUFFIX:
            raise InitializationError(f"Calotype writes {pillow.SUFFIX} files, not {request.extension!r}")
        if image is not None and image.format != pillow.FORMAT:
            raise InitializationError("not a Calotype file")

    def write(self, ndimage: Any, **options: Any) -> bytes | None:
        """Write one picture; ``mode``, ``format`` and ``is_batch`` as imageio's Pillow plugin takes them."""
        return super().write(ndimage, **{"format": pillow.FORMAT, **options})


def register() -> None:
    """Make imageio know the format; doing it twice does no harm."""
    if NAME in known_plugins:
        return
    known_plugins[NAME] = PluginConfig(NAME, CaloPlugin.__name__, __name__)
    extension = FileExtension(name="Calotype", extension=pillow.SUFFIX, priority=[NAME])
    extension_list.append(extension)
    known_extensions.setdefault(pillow.SUFFIX, []).append(extension)
