"""Runs the read API."""

import os

from granian import Granian
from granian.constants import Interfaces

from funnelhouse.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until interrupted, on `settings.host` and `settings.read_port`, in one worker process."""
    # The worker reads its settings from the environment, which it inherits.
    os.environ["FUNNELHOUSE_HOME"] = str(settings.home_dir)
    Granian(
        "read_api.app:create_app",
        factory=True,
        address=settings.host,
        port=settings.read_port,
        interface=Interfaces.ASGI,
        workers=1,
        websockets=False,
        # Access logs would print query strings.
        log_access=False,
        respawn_failed_workers=True,
    ).serve()
