"""Passwords become hashes that can be kept (argon2id), and a given one is compared with a hash."""

from functools import cache

import argon2

SHORTEST = 10
LONGEST = 1_000  # hashing costs time for each byte

_hasher = argon2.PasswordHasher()


def make_hash(password: str) -> str:
    """Return the hash that a configuration or `mih_users` keeps."""
    return _hasher.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Whether this password made that hash; without a hash it takes as long to say no."""
    try:
        return _hasher.verify(password_hash or _nobodys(), password) and password_hash is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    """Return a hash for names that nobody has: refusing these must take as long as a wrong password."""
    return _hasher.hash("nobody's")


def weakness(password: str, name: str) -> str | None:
    """Say why a password is refused; None for one that may be used."""
    if len(password) < SHORTEST:
        return f"it is shorter than {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if name and password.casefold().strip() == name.casefold():
        return "it is the name"
    if len(set(password)) <= 2:
        return "it repeats itself"
    return None
