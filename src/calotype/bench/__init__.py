"""The benchmark: learned and classical codecs on one table (docs/benchmark.md).

The main path is runner.py (what is run) -> measure.py (one measurement) -> results.py -> report/.
"""
