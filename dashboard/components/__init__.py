"""Components: each takes a dataclass or a DataFrame and draws it. None reads the catalogue or changes anything."""
