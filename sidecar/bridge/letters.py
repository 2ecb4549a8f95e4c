"""Dead letters in people's hands: what to do about each kind, and another payload for one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.bridge.render.soundness import JSON_PROOF, XML_PROOF, Flaw
from sidecar.bridge.replay import NEVER_RENDERED
from sidecar.errors import HubError, said
from sidecar.model import DeadReason, DeliveryState
from sidecar.settings import Service
from sidecar.store import audit, dlq, queue
from sidecar.store.engine import Database
from sidecar.store.find import find_letter


class Advice(StrEnum):
    """What probably mends a dead letter; whoever shows it says it in words, docs/resilience.md in English."""

    REACH = "reach"  # nothing answered: once the service is up, replay as sent
    SERVICE = "service"  # it answered that it is ill: ask its people, then replay as sent
    SLOWER = "slower"  # it was too busy for all tries: a rate_limit, more tries, then replay as sent
    CREDENTIALS = "credentials"  # 401, 403: mend auth, then replay as sent
    ADDRESS = "address"  # 404, 405, redirects: mend base_url, endpoint or method, then render again
    GONE = "gone"  # 410: it wants no more of these
    CONFLICT = "conflict"  # 409: it probably has it already; delete
    SIZE = "size"  # too large, there or here: send less, or raise max_payload, then render again
    PAYLOAD = "payload"  # it does not like the content: edit this one, or mend the template and render again
    TEMPLATE = "template"  # the condition or template fails on this row: mend the rule, then render again
    REMOVED = "removed"  # its service or rule was taken away: bring that back and replay, or delete
    LATE = "late"  # it waited longer than its rule allows: replay what is still worth it, delete the rest
    REQUEST = "request"  # no such request can be sent: mend endpoint and headers, then render again


_OF_STATUS: Mapping[int, Advice] = {
    401: Advice.CREDENTIALS,
    403: Advice.CREDENTIALS,
    404: Advice.ADDRESS,
    405: Advice.ADDRESS,
    408: Advice.SLOWER,
    409: Advice.CONFLICT,
    410: Advice.GONE,
    413: Advice.SIZE,
    425: Advice.SLOWER,
    429: Advice.SLOWER,
}
_OF_REASON = {
    DeadReason.RENDER: Advice.TEMPLATE,
    DeadReason.TOO_LARGE: Advice.SIZE,
    DeadReason.INVALID: Advice.REQUEST,
    DeadReason.REMOVED: Advice.REMOVED,
    DeadReason.EXPIRED: Advice.LATE,
}


def advice(reason: DeadReason, status: int | None) -> Advice:
    """Return what to do about letters that were given up for this reason after this answer."""
    if reason in _OF_REASON:
        return _OF_REASON[reason]
    if status is not None and status in _OF_STATUS:
        return _OF_STATUS[status]
    if status is not None and 300 <= status < 400:
        return Advice.ADDRESS
    if reason is DeadReason.REJECTED:
        return Advice.PAYLOAD
    return Advice.REACH if status is None else Advice.SERVICE


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one service that died alike, and what to do about them."""

    reason: DeadReason
    service: str
    status: int | None
    count: int
    oldest: datetime
    newest: datetime
    advice: Advice


def groups(conn: Connection) -> list[Group]:
    """Return all dead letters in groups, the largest first."""
    return [
        Group(
            reason := DeadReason(row.reason),
            row.service,
            row.status,
            int(row.n),
            row.oldest,
            row.newest,
            advice(reason, row.status),
        )
        for row in dlq.groups(conn)
    ]


class BadPayload(HubError):
    """A payload that was edited cannot be sent; the text says where and what."""


def edit(
    store: Database,
    key: str,
    payload: str,
    *,
    services: Mapping[str, Service],
    by: audit.Author | None,
    now: datetime,
) -> Row[Any]:
    """Give a dead letter another payload, which a replay as sent sends under the same id; return the letter.

    What was rendered stays with the delivery, as `original`. The audit gets the fingerprints of both. Raises
    NotFound, and BadPayload for one that is not what its content type says, or too large.
    """
    with store.write() as conn:
        letter = find_letter(conn, key)
        if queue.lock(conn, [letter.delivery_id]).get(letter.delivery_id) is not DeliveryState.DEAD:
            raise BadPayload(said("Its delivery is no longer dead, so what it sends cannot be changed."))
        _require_sendable(letter, payload, services.get(letter.service))
        queue.write_payload(conn, letter.delivery_id, payload)
        dlq.write_payload(conn, letter.delivery_id, payload)
        detail = f"payload {_print(letter.payload)} became {_print(payload)}"
        audit.note(conn, by, "letter.edit", letter.delivery_id, detail, now=now)
        return find_letter(conn, letter.delivery_id)


def _require_sendable(letter: Row[Any], payload: str, service: Service | None) -> None:
    if letter.payload is None or letter.reason in NEVER_RENDERED:
        raise BadPayload(
            said("It was never rendered, so it has no payload: mend its rule and render it again.")
        )
    if "\0" in payload or not _is_whole(payload):
        raise BadPayload(said("The payload holds half a character or a NUL, which no text can."))
    size = len(payload.encode())
    if service is not None and size > service.max_payload:
        raise BadPayload(
            said(
                "The payload has %(size)s bytes; services.%(service)s.max_payload is %(most)s.",
                size=size,
                service=letter.service,
                most=service.max_payload,
            )
        )
    kind = (letter.content_type or "").partition(";")[0].strip().lower()
    proof = JSON_PROOF if kind.endswith("json") else XML_PROOF if kind.endswith("xml") else None
    try:
        if proof is not None:
            proof.check(payload)
    except Flaw as flaw:
        raise BadPayload(
            said(
                "The payload is not %(format)s: %(where)s.",
                format=proof.name if proof else kind,
                where=_where(payload, flaw),
            )
        ) from None


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _where(text: str, flaw: Flaw) -> str:
    if flaw.position is None:
        return flaw.message
    before = text[: flaw.position]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return said(
        "line %(line)s, column %(column)s: %(problem)s", line=line, column=column, problem=flaw.message
    )


def _print(payload: str | None) -> str:
    text = payload or ""
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]} ({len(text.encode())} bytes)"
