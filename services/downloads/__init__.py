"""Handing out a backup's bytes: to a file, or to a browser by a link that works once and for a short time."""
