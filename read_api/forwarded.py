"""What was defined of forwarding, and what became of it: the landing store and the outbox, read only.

Both are opened for each question: a store may appear, be replaced, or come back while this process runs.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from forwarding.defined import destinations_of
from forwarding.deliveries import Destination, Platform
from forwarding.outbox.store import OutboxStore, open_existing_outbox
from forwarding.platforms import PLATFORMS
from funnelhouse.problems import Refusal
from funnelhouse.settings import Settings
from record.landing import open_existing
from record.landing.store import LandingError

UNREADABLE = "Deliveries cannot be read at the moment; try again."


class Forwarded:
    """That of one home; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._landing = settings.landing_store
        self._outbox = settings.landing or settings.outbox_path
        self.platforms: Mapping[str, Platform] = {kind: make(settings) for kind, make in PLATFORMS.items()}

    def destinations(self, project_id: str) -> dict[str, Destination]:
        """The newest definitions of a project, without those that were deleted. Raises Refusal 503."""
        with _readable():
            store = open_existing(self._landing)
            if store is None:
                return {}
            with closing(store):
                found = destinations_of(store, project_id)
                return {destination_id: found[_, destination_id] for _, destination_id in sorted(found)}

    @contextmanager
    def outbox(self) -> Iterator[OutboxStore | None]:
        """The outbox; None while there is none. Raises Refusal 503, also when it fails while it is read."""
        with _readable():
            store = open_existing_outbox(self._outbox)
            if store is None:
                yield None
                return
            with closing(store):
                yield store


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except LandingError as error:
        raise Refusal(503, UNREADABLE, headers={"Retry-After": "1"}) from error
