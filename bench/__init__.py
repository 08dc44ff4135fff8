"""How fast the product is beside the same work done by hand: ``python -m bench`` (or ``make bench``).

One run on one machine: private servers, a database of realistic text and rows, contestants that take turns, medians
and their ratios. It is a benchmark, not a test: it fails only when a contestant fails.
"""
