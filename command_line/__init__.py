"""The command `funnelhouse`, the processes that it runs, and the demo: all that knows every other room."""
