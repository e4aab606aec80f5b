"""`python -m command_line`: the command as child processes run it, by the Python that runs their parent."""

from command_line.cli import main

main(prog_name="funnelhouse")
