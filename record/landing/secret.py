"""A secret that all processes of a landing store share, and no sender knows."""

import secrets

from record.landing.store import LandingStore

_BYTES = 32


def cursor_secret(store: LandingStore) -> bytes:
    """What cursors are made with; drawn when it is first asked for. Raises LandingError."""
    # Whoever asks first decides for all: another one's draw is left out.
    store.execute(
        "INSERT INTO cursor_secret VALUES (1, ?) ON CONFLICT DO NOTHING", secrets.token_bytes(_BYTES)
    )
    ((secret,),) = store.query("SELECT secret FROM cursor_secret")
    return bytes(secret)
