"""A window for the sender: what arrived, as received and as understood, before any build.

It looks into the landing store, so it shows what every ingest process took, as long as the store keeps it.
"""
