"""Point in time: the write-ahead log in the storage, base backups, and what may be restored to."""
