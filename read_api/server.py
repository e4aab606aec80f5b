"""Runs the read API."""

from funnelhouse.serving import run_server
from funnelhouse.settings import Settings


def serve(settings: Settings) -> None:
    """Serve on `settings.host` and `settings.read_port` until interrupted."""
    run_server("read_api.app:create_app", settings, settings.read_port)
