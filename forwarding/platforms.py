"""The platforms, by the kind of a destination."""

from collections.abc import Callable, Mapping

from forwarding.deliveries import DestinationKind, Platform
from forwarding.google import Google
from forwarding.meta import Meta
from forwarding.postback import Postback
from forwarding.webhook import Webhook
from funnelhouse.settings import Settings

PLATFORMS: Mapping[DestinationKind, Callable[[Settings], Platform]] = {
    "postback": lambda _: Postback(),
    "meta": lambda settings: Meta(settings.meta_url),
    "google": lambda settings: Google(settings.google_url, settings.google_token_url),
    "webhook": lambda _: Webhook(),
}
"""Makes the one instance of each; what it needs of the settings, it takes from them."""
