"""Experiments that a published claim can be checked with: a plan, a budget, stored results, a table."""
