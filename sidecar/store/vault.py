"""Secrets at rest: `mih_secrets`, sealed with a key that is never in the database."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, Row, select

from sidecar.errors import HubError, said
from sidecar.settings import Secrets
from sidecar.store.dialect import upsert
from sidecar.store.tables import secrets

MAKE_ONE = said("`mih secrets generate-key` makes one; set it as MIH_SECRET_KEY or store.secret_key")
_KEY_BYTES = 32


class NoKey(HubError):
    """A secret cannot be sealed; the text says why and what to do."""


class CannotOpen(HubError):
    """A sealed secret cannot be opened; the text says why and what to do."""


class Keys:
    """The keys in force: the first seals, all open. `problem` says what is wrong with their text."""

    def __init__(self, text: str) -> None:
        """Read base64 of 32 bytes each, commas between; never raises."""
        self.problem: str | None = None
        self._ferns: dict[str, Fernet] = {}
        for number, part in enumerate(filter(None, map(str.strip, text.split(","))), 1):
            key = _decoded(part)
            if key is None:
                self.problem = said(
                    "key %(n)s of store.secret_key (or MIH_SECRET_KEY) is not 32 bytes as base64:"
                    " `mih secrets generate-key` makes one",
                    n=number,
                )
            else:
                self._ferns[_id_of(key)] = Fernet(base64.urlsafe_b64encode(key))

    @property
    def ids(self) -> list[str]:
        """Short names of the keys, which tell nothing of them; the first seals."""
        return list(self._ferns)

    @property
    def lack(self) -> str | None:
        """Why nothing can be sealed, None if it can."""
        if self._ferns:
            return None
        return self.problem or said("there is no key to keep secrets with: %(how)s", how=MAKE_ONE)

    def seal(self, name: str, value: str) -> tuple[str, str]:
        """Return the sealed value and the id of its key. Raises NoKey.

        The name is sealed with it: a sealed value that is moved to another row does not open there.
        """
        if self.lack:
            raise NoKey(self.lack)
        first = self.ids[0]
        return self._ferns[first].encrypt(json.dumps([name, value]).encode()).decode(), first

    def open(self, name: str, sealed: str, key_id: str) -> str:
        """Return the value. Raises CannotOpen."""
        fern = self._ferns.get(key_id)
        if fern is None:
            raise CannotOpen(
                said(
                    "it was sealed with the key %(key)s, and %(there)s: %(mend)s",
                    key=key_id,
                    there=self._there(),
                    mend=_PUT_BACK,
                )
            )
        try:
            owner, value = json.loads(fern.decrypt(sealed.encode()))
        except (InvalidToken, ValueError):
            raise CannotOpen(
                said("its row in mih_secrets was changed by hand: set the secret again")
            ) from None
        if owner != name:
            raise CannotOpen(said("its row in mih_secrets belongs to another secret: set the secret again"))
        return str(value)

    def _there(self) -> str:
        if self._ferns:
            return said("there are %(keys)s", keys=", ".join(self.ids))
        return self.problem or said("no key is set")


_PUT_BACK = said("put that key into store.secret_key (MIH_SECRET_KEY), or set the secret again")


@dataclass(frozen=True, slots=True)
class Rotation:
    """What sealing everything anew came to: by which key, how many, and which could not be opened."""

    key_id: str
    sealed: int
    kept: int
    unopened: tuple[tuple[str, str], ...]
    old_keys: tuple[str, ...]


def new_key() -> str:
    """Return a new key."""
    return Fernet.generate_key().decode()


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return all secrets by name: sealed, each with the id of its key."""
    return conn.execute(select(secrets).order_by(secrets.c.name)).all()


def names_below(conn: Connection, start: str) -> list[str]:
    """Return the names of all secrets that begin so."""
    return [row.name for row in all_rows(conn) if row.name.startswith(start)]


def opened(rows: Sequence[Row[Any]], keys: Keys) -> Secrets:
    """Return the values of all secrets, and of those that cannot be opened the reason."""
    values, sealed = {}, {}
    for row in rows:
        try:
            values[row.name] = keys.open(row.name, row.sealed, row.key_id)
        except CannotOpen as error:
            sealed[row.name] = error.text
    return Secrets(values, sealed)


def put(conn: Connection, keys: Keys, name: str, value: str, *, now: datetime) -> None:
    """Seal a secret and keep it in place of the one of that name. Raises NoKey."""
    sealed, key_id = keys.seal(name, value)
    row = {"name": name, "sealed": sealed, "key_id": key_id, "updated_at": now}
    upsert(conn, secrets, [row], {column: column for column in ("sealed", "key_id", "updated_at")})


def remove(conn: Connection, names: Sequence[str]) -> int:
    """Forget secrets; return how many there were."""
    return conn.execute(secrets.delete().where(secrets.c.name.in_(names))).rowcount


def rotate(conn: Connection, keys: Keys, *, now: datetime) -> Rotation:
    """Seal all secrets anew with the first key; those that are sealed with it already stay. Raises NoKey.

    Locks all rows, by name: two who rotate at once wait for each other.
    """
    if keys.lack:
        raise NoKey(keys.lack)
    first, done, unopened = keys.ids[0], 0, []
    rows = conn.execute(select(secrets).order_by(secrets.c.name).with_for_update()).all()
    for row in rows:
        try:
            value = keys.open(row.name, row.sealed, row.key_id)
        except CannotOpen as error:
            unopened.append((row.name, error.text))
            continue
        if row.key_id != first:
            put(conn, keys, row.name, value, now=now)
            done += 1
    kept = len(rows) - done - len(unopened)
    return Rotation(first, done, kept, tuple(unopened), tuple(keys.ids[1:]))


def _decoded(text: str) -> bytes | None:
    """Return the bytes of either alphabet of base64, with or without the signs at its end."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def _id_of(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]
