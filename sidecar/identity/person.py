"""What comes of asking who somebody is: a person with a role, or why nobody is let in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from sidecar.settings import UserRole
from sidecar.settings.values import USER_PATTERN

# The names of sessions and of the audit hold this much, with `moodle:` or `oidc:` before it.
_LONGEST_NAME = 90
_LONGEST_DETAIL = 200


class Trouble(StrEnum):
    """Why nobody is let in: what the log says, and what people are told by."""

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - not a password
    NOT_LISTED = "not_listed"
    UNREACHABLE = "unreachable"
    ODD_ANSWER = "odd_answer"
    WEB_SERVICES_OFF = "web_services_off"
    SERVICE_OFF = "service_off"
    NO_TOKEN = "no_token"  # noqa: S105
    ACCOUNT = "account"
    MAINTENANCE = "maintenance"
    REFUSED_THERE = "refused_there"
    OVER = "over"
    CLIENT = "client"
    NOT_PROVEN = "not_proven"
    CLOCKS = "clocks"


class NotLetIn(Exception):
    """`detail` is for the log: it holds no secret. `name` is who was recognised, if anybody."""

    def __init__(self, trouble: Trouble, detail: str = "", name: str = "") -> None:
        super().__init__(trouble, detail)
        self.trouble, self.detail, self.name = trouble, printable(detail), name


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who proved who they are, and may come in."""

    name: str
    role: UserRole


def role_of(values: Iterable[str], manage: Iterable[str], view: Iterable[str]) -> UserRole | None:
    """Return the highest role that one of the values has; None: none has any."""
    held = set(values)
    if held & set(manage):
        return "manage"
    return "view" if held & set(view) else None


def safe_name(*names: object) -> str:
    """Return the first that can stand in log lines and audit, else a word that stands for the last."""
    for name in names:
        if isinstance(name, str) and re.fullmatch(USER_PATTERN, name) and len(name) <= _LONGEST_NAME:
            return name
    return f"x-{sha256(str(names[-1]).encode()).hexdigest()[:16]}"


def printable(text: str) -> str:
    """Return one line of what another server said, cut short."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)[:_LONGEST_DETAIL]
