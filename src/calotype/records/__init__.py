"""What the laboratory and the benchmark share: where results come from, Markdown to show them
in, what scripts need.

Imports nothing of the other rooms but the errors, and nothing but the standard library.
"""
