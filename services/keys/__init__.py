"""Who can decrypt the backups: rotation of keys, drills that prove an offline key, recovery sheets."""
