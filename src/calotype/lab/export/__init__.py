"""Lab model -> pack: the product's model as ONNX graphs, integer tables and a manifest (calotype.codec.pack).

Nothing is published unless it holds: every integer layer's bound stays under 2^24, and the exported scales graph gives,
in ONNX Runtime, exactly the indices that torch computes in float64.

    statistics = Statistics(model)
    statistics.add(model, crops, levels)          # what coding photographs would write, for the tables
    identity = export(model, statistics, folder)
"""

from __future__ import annotations

from calotype.lab.export.exact import ExportError
from calotype.lab.export.pack import export
from calotype.lab.export.tables import Statistics

__all__ = ["ExportError", "Statistics", "export"]
