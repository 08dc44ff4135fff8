"""The log of backups and that of restore tests, as the runbook keeps them: as text, CSV and JSON, piece by piece.

Nothing is built in memory: rows are read in chunks and written as they come, however long the log is.
"""
