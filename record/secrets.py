"""Secrets of destinations (access tokens, passwords, signing secrets), encrypted in the landing store.

A definition never holds one: definitions are part of the permanent record. The keys are a setting, so whoever
has the store, or a backup of it, has only ciphertext. A ciphertext belongs to its place: moved to another
project, destination or name, it can't be read.
"""

import base64
import binascii
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from record.landing.store import LandingStore, Row

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16

MOST_BYTES = 16_384
"""Of a secret, as UTF-8: a service account's file is 2.5 KB."""

OVERLAP_US = 24 * 3600 * 1_000_000
"""So long the secret before is valid beside its successor, where it is kept."""

SIGNING_SECRET = "signing_secret"  # noqa: S105 - its name
"""Name of what webhooks are signed with; the one before stays valid for a while."""

SIGNING_SECRET_BYTES = range(24, 65)
"""How many it may have, as Standard Webhooks say."""

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")

_COLUMNS = "name, key_id, ciphertext, set_us, previous_key_id, previous_ciphertext, previous_until_us"


class SecretError(Exception):
    """A secret can't be encrypted or read. The text says why, and nothing of the secret."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that encrypts secrets, by the id that ciphertexts name."""

    key_id: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is; `previous` is the one before, while that is valid too."""

    value: str = field(repr=False)
    previous: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SecretSet:
    """What may be shown of a secret. `hint`: 8 hex digits of a keyed hash, None where its key is missing."""

    name: str
    set_us: int
    key_id: str
    hint: str | None
    previous_until_us: int | None


def new_secret_key(key_id: str) -> str:
    """A new key, as the setting takes it. Raises ValueError for an id that isn't one."""
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError("The id of a key has 1 to 32 letters, digits, _ and -.")
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def new_signing_secret() -> str:
    """A new secret for signing webhooks, as receivers take it."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def parse_secret_keys(text: str) -> tuple[SecretKey, ...]:
    """Keys from `id:base64,…`. Raises ValueError, whose text holds nothing of a key."""
    keys: dict[str, SecretKey] = {}
    for number, part in enumerate((part.strip() for part in text.split(",") if part.strip()), start=1):
        key_id, separator, encoded = part.partition(":")
        if not separator or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"key {number} must be id:base64, its id 1 to 32 letters, digits, _ and -")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"key {number} must have {KEY_BYTES} bytes in base64")
        if key_id in keys:
            raise ValueError(f"key {number} has the id of an earlier one")
        keys[key_id] = SecretKey(key_id, key)
    return tuple(keys.values())


def set_secret(
    store: LandingStore,
    keys: Sequence[SecretKey],
    place: tuple[str, str, str],
    value: str,
    keeps_previous: bool = False,
) -> SecretSet:
    """Set the secret of a place (project, destination, name), encrypted with the first key.

    With `keeps_previous` the one before stays valid for OVERLAP_US. Raises SecretError, LandingError.
    """
    first = _first(keys)
    now = _now_us()
    ciphertext = _encrypt(first, place, value)
    with store.transaction():
        before = _row(store, place) if keeps_previous else None
        kept = (before[1], bytes(before[2]), now + OVERLAP_US) if before else (None, None, None)
        store.execute(
            f"INSERT INTO destination_secrets (project_id, destination_id, {_COLUMNS})"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (project_id, destination_id, name) DO UPDATE SET key_id = excluded.key_id,"
            " ciphertext = excluded.ciphertext, set_us = excluded.set_us,"
            " previous_key_id = excluded.previous_key_id,"
            " previous_ciphertext = excluded.previous_ciphertext,"
            " previous_until_us = excluded.previous_until_us",
            *(*place, first.key_id, ciphertext, now, *kept),
        )
    return SecretSet(place[2], now, first.key_id, _hint(first, value), kept[2])


def list_secrets(
    store: LandingStore, keys: Sequence[SecretKey], project_id: str, destination_id: str
) -> list[SecretSet]:
    """What may be shown of a destination's secrets, by name. Raises LandingError."""
    rows = store.query(
        f"SELECT {_COLUMNS} FROM destination_secrets"  # noqa: S608
        " WHERE project_id = ? AND destination_id = ? ORDER BY name",
        *(project_id, destination_id),
    )
    by_id = {key.key_id: key for key in keys}
    shown = []
    now = _now_us()
    for name, key_id, ciphertext, set_us, _, _, previous_until_us in rows:
        try:
            value = _decrypt(by_id, key_id, (project_id, destination_id, name), ciphertext)
            hint = _hint(by_id[key_id], value)
        except SecretError:
            hint = None
        until = previous_until_us if previous_until_us and previous_until_us > now else None
        shown.append(SecretSet(name, set_us, key_id, hint, until))
    return shown


def read_secret(store: LandingStore, keys: Sequence[SecretKey], place: tuple[str, str, str]) -> Secret | None:
    """The secret of a place (project, destination, name); None where none is set.

    Raises SecretError when it can't be decrypted, LandingError.
    """
    row = _row(store, place)
    if row is None:
        return None
    by_id = {key.key_id: key for key in keys}
    _, key_id, ciphertext, _, previous_key_id, previous_ciphertext, previous_until_us = row
    value = _decrypt(by_id, key_id, place, ciphertext)
    if previous_ciphertext is None or previous_until_us <= _now_us():
        return Secret(value)
    return Secret(value, _decrypt(by_id, previous_key_id, place, previous_ciphertext))


def delete_secret(store: LandingStore, place: tuple[str, str, str]) -> bool:
    """Delete the secret of a place (project, destination, name); says whether there was one."""
    return bool(
        store.query(
            "DELETE FROM destination_secrets"
            " WHERE project_id = ? AND destination_id = ? AND name = ? RETURNING 1",
            *place,
        )
    )


def rotate_secrets(store: LandingStore, keys: Sequence[SecretKey]) -> int:
    """Encrypt every secret of the store with the first key; returns how many were changed.

    All or none: raises SecretError when one can't be decrypted, LandingError.
    """
    first = _first(keys)
    by_id = {key.key_id: key for key in keys}
    changed = 0
    now = _now_us()
    with store.transaction():
        rows = store.query(
            f"SELECT project_id, destination_id, {_COLUMNS} FROM destination_secrets"  # noqa: S608
            " ORDER BY project_id, destination_id, name"
        )
        for project_id, destination_id, name, key_id, ciphertext, _, old_id, old_ciphertext, until in rows:
            place = (project_id, destination_id, name)
            kept = old_ciphertext is not None and until > now
            if key_id == first.key_id and (old_ciphertext is None or (kept and old_id == first.key_id)):
                continue
            encrypted = _encrypt(first, place, _decrypt(by_id, key_id, place, ciphertext))
            old: Row = (None, None, None)
            if kept:
                old_value = _decrypt(by_id, old_id, place, old_ciphertext)
                old = (first.key_id, _encrypt(first, place, old_value), until)
            store.execute(
                "UPDATE destination_secrets SET key_id = ?, ciphertext = ?, previous_key_id = ?,"
                " previous_ciphertext = ?, previous_until_us = ?"
                " WHERE project_id = ? AND destination_id = ? AND name = ?",
                *(first.key_id, encrypted, *old, *place),
            )
            changed += 1
    return changed


def _row(store: LandingStore, place: tuple[str, str, str]) -> Row | None:
    rows = store.query(
        f"SELECT {_COLUMNS} FROM destination_secrets"  # noqa: S608
        " WHERE project_id = ? AND destination_id = ? AND name = ?",
        *place,
    )
    return rows[0] if rows else None


def _first(keys: Sequence[SecretKey]) -> SecretKey:
    if not keys:
        raise SecretError(
            "FUNNELHOUSE_SECRET_KEYS has no key. `funnelhouse secrets new-key` makes one; then start again."
        )
    return keys[0]


def _encrypt(key: SecretKey, place: tuple[str, str, str], value: str) -> bytes:
    # Imported where it is used: it takes a while, and settings import this file.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key.key).encrypt(nonce, value.encode(), _associated(place))


def _decrypt(keys: dict[str, SecretKey], key_id: str, place: tuple[str, str, str], ciphertext: bytes) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    named = f"Secret {place[2]} of destination {place[1]}"
    key = keys.get(key_id)
    if key is None:
        raise SecretError(f"{named} is encrypted with key {key_id}, which FUNNELHOUSE_SECRET_KEYS has not.")
    sealed = bytes(ciphertext)
    if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise SecretError(f"{named} was changed in the store. Set it again.")
    try:
        value = AESGCM(key.key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _associated(place))
    except InvalidTag:
        raise SecretError(
            f"{named} can't be decrypted: it was changed or moved in the store, or key {key_id} is another"
            " one than that it was encrypted with. Set it again."
        ) from None
    return value.decode()


def _associated(place: tuple[str, str, str]) -> bytes:
    return "│".join(place).encode()


def _hint(key: SecretKey, value: str) -> str:
    """Tells one secret from another; without the key nobody can try guesses on it."""
    shown = hmac.digest(key.key, b"hint of a secret", "sha256")
    return hmac.digest(shown, value.encode(), "sha256").hex()[:8]


def _now_us() -> int:
    return time.time_ns() // 1000
