"""`python -m funnelhouse`: the command line."""

from funnelhouse.cli import main

main()
