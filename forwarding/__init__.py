"""Renders and delivers what the published marts say a destination should know, and keeps what it was told."""
