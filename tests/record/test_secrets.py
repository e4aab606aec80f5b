"""Secrets of destinations are encrypted, bound to their place, and can be moved to another key."""

import base64
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from funnelhouse.settings import Settings
from record import secrets as kept
from record.landing import Location, open_store
from record.landing.store import LandingStore
from record.secrets import (
    OVERLAP_US,
    Secret,
    SecretError,
    SecretKey,
    delete_secret,
    list_secrets,
    new_secret_key,
    parse_secret_keys,
    read_secret,
    rotate_secrets,
    set_secret,
)

PLACE = ("shop", "net", "password")
CANARY = "s3cret-✓-canary"

OLD, NEW = parse_secret_keys(f"{new_secret_key('old')},{new_secret_key('new')}")


@pytest.fixture
def store(location: Location) -> Iterator[LandingStore]:
    with closing(open_store(location)) as opened:
        yield opened


def test_what_was_set_is_read_and_only_ciphertext_is_kept(store: LandingStore) -> None:
    assert read_secret(store, [OLD], PLACE) is None
    shown = set_secret(store, [OLD], PLACE, CANARY)
    assert read_secret(store, [OLD], PLACE) == Secret(CANARY)
    assert list_secrets(store, [OLD], "shop", "net") == [shown]
    assert shown.hint is not None and len(bytes.fromhex(shown.hint)) == 4
    rows = store.query("SELECT * FROM destination_secrets")
    assert CANARY.encode() not in b"".join(bytes(v) for row in rows for v in row if isinstance(v, bytes))
    assert CANARY not in repr(rows) + repr(shown) + repr(read_secret(store, [OLD], PLACE))
    assert delete_secret(store, PLACE) and not delete_secret(store, PLACE)
    assert read_secret(store, [OLD], PLACE) is None and not list_secrets(store, [OLD], "shop", "net")


def test_the_same_secret_is_never_encrypted_alike_and_has_one_hint(store: LandingStore) -> None:
    hints = {set_secret(store, [OLD], ("shop", "net", name), CANARY).hint for name in ("a", "b", "c")}
    assert len(hints) == 1
    ciphertexts = {bytes(row[0]) for row in store.query("SELECT ciphertext FROM destination_secrets")}
    assert len(ciphertexts) == len({text[:12] for text in ciphertexts}) == 3
    # Without the key, nobody can try guesses on the hint.
    assert set_secret(store, [NEW], PLACE, CANARY).hint not in hints


@pytest.mark.parametrize(
    "place", [("other", "net", "password"), ("shop", "other", "password"), ("shop", "net", "other")]
)
def test_a_ciphertext_that_was_moved_is_not_read(store: LandingStore, place: tuple[str, str, str]) -> None:
    set_secret(store, [OLD], PLACE, CANARY)
    store.execute("UPDATE destination_secrets SET project_id = ?, destination_id = ?, name = ?", *place)
    with pytest.raises(SecretError, match="changed or moved"):
        read_secret(store, [OLD], place)
    assert [each.hint for each in list_secrets(store, [OLD], *place[:2])] == [None]


@pytest.mark.parametrize("at", [0, 11, 12, -1])
def test_a_ciphertext_that_was_changed_is_not_read(store: LandingStore, at: int) -> None:
    set_secret(store, [OLD], PLACE, CANARY)
    ((ciphertext,),) = store.query("SELECT ciphertext FROM destination_secrets")
    changed = bytearray(ciphertext)
    changed[at] ^= 1
    store.execute("UPDATE destination_secrets SET ciphertext = ?", bytes(changed))
    with pytest.raises(SecretError, match="changed or moved"):
        read_secret(store, [OLD], PLACE)
    store.execute("UPDATE destination_secrets SET ciphertext = ?", bytes(changed[:20]))
    with pytest.raises(SecretError, match="was changed"):
        read_secret(store, [OLD], PLACE)


def test_a_secret_of_an_unknown_or_another_key_is_named_not_read(store: LandingStore) -> None:
    set_secret(store, [OLD], PLACE, CANARY)
    with pytest.raises(SecretError, match="encrypted with key old, which"):
        read_secret(store, [NEW], PLACE)
    with pytest.raises(SecretError, match="which FUNNELHOUSE_SECRET_KEYS has not"):
        read_secret(store, [], PLACE)
    same_id = SecretKey("old", secrets.token_bytes(32))
    with pytest.raises(SecretError, match="is another one") as raised:
        read_secret(store, [same_id], PLACE)
    assert CANARY not in str(raised.value)
    with pytest.raises(SecretError, match="funnelhouse secrets new-key"):
        set_secret(store, [], PLACE, CANARY)


def test_rotating_encrypts_everything_with_the_first_key(store: LandingStore) -> None:
    set_secret(store, [OLD], PLACE, "first")
    set_secret(store, [OLD], PLACE, CANARY, keeps_previous=True)
    set_secret(store, [OLD], ("other", "net", "token"), "another")
    set_secret(store, [NEW, OLD], ("other", "net", "newer"), "newest")
    assert rotate_secrets(store, [NEW, OLD]) == 2
    assert rotate_secrets(store, [NEW, OLD]) == 0
    assert read_secret(store, [NEW], PLACE) == Secret(CANARY, "first")
    assert read_secret(store, [NEW], ("other", "net", "token")) == Secret("another")
    assert read_secret(store, [NEW], ("other", "net", "newer")) == Secret("newest")


def test_rotating_without_a_needed_key_changes_nothing(store: LandingStore) -> None:
    set_secret(store, [NEW], PLACE, CANARY)
    set_secret(store, [OLD], ("zoo", "net", "token"), "another")
    third = SecretKey("third", secrets.token_bytes(32))
    with pytest.raises(SecretError, match="key old"):
        rotate_secrets(store, [third, NEW])
    assert read_secret(store, [NEW], PLACE) == Secret(CANARY)


def test_the_previous_secret_ends(store: LandingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    set_secret(store, [OLD], PLACE, "first")
    shown = set_secret(store, [OLD], PLACE, "second", keeps_previous=True)
    assert shown.previous_until_us == shown.set_us + OVERLAP_US
    assert list_secrets(store, [OLD], "shop", "net")[0].previous_until_us == shown.previous_until_us
    now = time.time_ns() // 1000
    monkeypatch.setattr(kept, "_now_us", lambda: now + OVERLAP_US + 60_000_000)
    assert read_secret(store, [OLD], PLACE) == Secret("second")
    assert list_secrets(store, [OLD], "shop", "net")[0].previous_until_us is None
    # What has ended is not carried on, even when its key is gone.
    assert rotate_secrets(store, [NEW, OLD]) == 1
    assert store.query("SELECT previous_ciphertext FROM destination_secrets") == [(None,)]


@pytest.mark.parametrize(
    "text",
    [
        "nokey",
        "a:short",
        "a:" + base64.b64encode(b"x" * 16).decode(),
        "a b:" + base64.b64encode(b"x" * 32).decode(),
        ":" + base64.b64encode(b"x" * 32).decode(),
        # Each worker makes other keys, and all must give the test one name.
        pytest.param(",".join([new_secret_key("a"), new_secret_key("a")]), id="one id twice"),
        "a:" + base64.b64encode(b"x" * 31).decode() + "*",
    ],
)
def test_a_setting_that_is_no_key_is_refused_without_showing_it(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FUNNELHOUSE_SECRET_KEYS", text)
    with pytest.raises(ValueError, match=r"key [12]") as raised:
        Settings()
    for part in text.split(","):
        secret = part.partition(":")[2]
        assert not secret or secret not in str(raised.value)


def test_keys_of_the_setting_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = new_secret_key("one"), new_secret_key("two")
    monkeypatch.setenv("FUNNELHOUSE_SECRET_KEYS", f" {one} , {two},")
    settings = Settings()
    assert [key.key_id for key in settings.secret_keys] == ["one", "two"]
    shown = repr(settings) + str(settings) + repr(settings.secret_keys)
    for key in settings.secret_keys:
        assert base64.b64encode(key.key).decode() not in shown and repr(key.key) not in shown
    with pytest.raises(ValueError, match="1 to 32"):
        new_secret_key("not an id")
