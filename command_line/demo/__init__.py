"""The demo: real customer journeys, replayed over HTTP, built, and shown as credit by channel and model."""
