"""What admins say of destinations besides their definitions: their secrets, and what is to be done.

The routes only write it down in the landing store; `funnelhouse forward` reads it there and carries it out.
"""
