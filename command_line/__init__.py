"""The command `funnelhouse`, the processes it starts, the demo: the only package that knows all others."""
