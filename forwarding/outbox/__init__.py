"""What is to be told to destinations, what was told, and what they answered: the outbox and its states.

Beside the landing store: `outbox.sqlite`, or tables in schema `funnelhouse` of its PostgreSQL database. Only
the process that holds its lease writes; pages and reports read.
"""
