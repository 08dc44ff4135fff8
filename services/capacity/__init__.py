"""How much the storages hold, how fast that grows, and when they will be full."""
