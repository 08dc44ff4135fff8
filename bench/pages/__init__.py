"""How long the pages' scripts run on a large catalogue: ``python -m bench.pages`` (or ``make bench-pages``).

20 databases, five years, 100,000 backups with their runs, copies and verifications; the real dashboard as
`backups serve` starts it, asked by websocket sessions as browsers ask it; a blank Streamlit page beside it that takes
its turn in the same round; and the server's memory with ten sessions open. Pages are found in
``dashboard/navigation.py``, so that a new one is measured without a word here.
"""
