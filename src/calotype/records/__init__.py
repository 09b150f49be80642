"""What the laboratory and the benchmark share: where results come from, and Markdown to show them in.

Imports nothing of the other rooms, and nothing but the standard library.
"""
