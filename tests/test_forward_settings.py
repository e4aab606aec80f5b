"""Settings of what is sent out."""

import pytest

from funnelhouse.settings import Settings


def test_receivers_ports_and_addresses_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "FUNNELHOUSE_FORWARD_ALLOW": "127.0.0.1:8080, Receiver.Internal:80,[::1]:9",
        "FUNNELHOUSE_FORWARD_PORTS": "443, 10443",
        "FUNNELHOUSE_META_URL": "http://127.0.0.1:1/",
        "FUNNELHOUSE_GOOGLE_URL": "http://127.0.0.1:2",
        "FUNNELHOUSE_GOOGLE_TOKEN_URL": "http://127.0.0.1:3/token",
        "FUNNELHOUSE_INSTALLATION": "production",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.forward_allow == ("127.0.0.1:8080", "receiver.internal:80", "[::1]:9")
    assert settings.forward_ports == (443, 10443)
    assert settings.meta_url == "http://127.0.0.1:1"
    assert settings.google_url == "http://127.0.0.1:2"
    assert settings.google_token_url == "http://127.0.0.1:3/token"
    assert settings.installation == "production"
    assert settings.outbox_path == settings.home_dir / "outbox.sqlite"
    alone = settings.isolated(settings.home)
    assert not alone.secret_keys and not alone.installation


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORWARD_ALLOW", "127.0.0.1"),
        ("FORWARD_ALLOW", "http://127.0.0.1:80"),
        ("FORWARD_ALLOW", "::1:80"),
        ("FORWARD_ALLOW", "host:0"),
        ("FORWARD_ALLOW", "host:70000"),
        ("FORWARD_ALLOW", "host:"),
        ("FORWARD_PORTS", "https"),
        ("FORWARD_PORTS", "0"),
        ("META_URL", "graph.facebook.com"),
        ("META_URL", "https://user@graph.facebook.com"),
        ("GOOGLE_URL", ""),
    ],
)
def test_what_is_no_receiver_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FUNNELHOUSE_{name}", value)
    with pytest.raises(ValueError, match=name.lower()):
        Settings()
