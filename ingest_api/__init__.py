"""COLLECT: HTTP in, append-only rows out. Checks shape, never meaning; never opens the warehouse."""
