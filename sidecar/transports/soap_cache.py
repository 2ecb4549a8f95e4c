"""WSDL documents are kept on disk and, parsed, in memory: a restart or a far host's outage costs nothing."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from sidecar.errors import said
from sidecar.model import Outcome
from sidecar.settings import NetworkRules
from sidecar.transports.network import FILE_RULES

# How long a copy that could not be replaced is good enough, before its host is asked again.
PATIENCE = timedelta(minutes=5)


class WsdlUnavailable(Exception):
    """There is no WSDL to work with; the text says why, the outcome what it means for the delivery."""

    def __init__(self, text: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Kept:
    """One document as it was read from its host at that time."""

    content: bytes
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Wsdl:
    """A parsed WSDL with its imports. `document` is zeep's; `stored`: a part of it is from the disk."""

    document: Any
    read_at: datetime
    until: datetime
    stored: bool = False


class Shelf:
    """A folder of documents, each in a file named after a hash of its URL. Works on without a folder.

    Who keeps to other network rules has other copies: what one may read another may not even ask for.
    """

    def __init__(self, folder: Path | None, rules: NetworkRules = FILE_RULES) -> None:
        self._folder = folder
        self._whose = "" if rules == FILE_RULES else f"\n{rules}"

    def get(self, url: str) -> Kept | None:
        """Return the copy of a document; None without one, or with one that cannot be read."""
        if self._folder is None:
            return None
        try:
            head, _, content = self._file(self._folder, url).read_bytes().partition(b"\n")
            read_at = datetime.fromisoformat(json.loads(head)["read_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Kept(content, read_at) if read_at.tzinfo else None

    def put(self, url: str, kept: Kept) -> None:
        """Keep a copy, readable by this user only: the URL may have needed a password."""
        if self._folder is None:
            return
        head = json.dumps({"read_at": kept.read_at.isoformat()}).encode()
        # A full or read-only disk must not keep a delivery from being sent.
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(head + b"\n" + kept.content)
                Path(name).replace(self._file(self._folder, url))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def drop(self, url: str) -> None:
        """Keep no copy of a document that turned out to be of no use."""
        if self._folder is not None:
            with suppress(OSError):
                self._file(self._folder, url).unlink(missing_ok=True)

    def _file(self, folder: Path, url: str) -> Path:
        return folder / f"{hashlib.sha256(f'{url}{self._whose}'.encode()).hexdigest()}.wsdl"


Place = tuple[str, NetworkRules]  # a URL, and the rules to which its reader keeps


class Library:
    """The parsed WSDLs of this process. Threads that want the same one wait for one of them to read it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turns: dict[Place, Lock] = {}
        self._parsed: dict[Place, Wsdl] = {}

    def get(self, place: Place, read: Callable[[], Wsdl], *, now: datetime, patience_s: float) -> Wsdl:
        """Return the WSDL of a place, by `read` where there is none in memory or it is too old.

        Raises what `read` raises, and WsdlUnavailable when another thread reads longer than `patience_s`.
        """
        found = self._parsed.get(place)
        if found is not None and now < found.until:
            return found
        turn = self._turn(place)
        # Who has an old one does not wait for the new one.
        if not turn.acquire(timeout=0 if found else patience_s):
            if found is not None:
                return found
            raise WsdlUnavailable(said("another request has been loading it all the time that there was"))
        try:
            newer = self._parsed.get(place)
            if newer is not None and newer is not found:
                return newer
            self._parsed[place] = self._renewed(found, read, now)
            return self._parsed[place]
        finally:
            turn.release()

    def forget(self, place: Place | None = None) -> None:
        """Have a WSDL read again at its next use, or all."""
        for known in [place] if place else list(self._parsed):
            self._parsed.pop(known, None)

    @staticmethod
    def _renewed(found: Wsdl | None, read: Callable[[], Wsdl], now: datetime) -> Wsdl:
        try:
            return read()
        except WsdlUnavailable:
            if found is None:
                raise
            return replace(found, until=now + PATIENCE)

    def _turn(self, place: Place) -> Lock:
        with self._lock:
            return self._turns.setdefault(place, Lock())


library = Library()


def cache_folder(env: Mapping[str, str]) -> Path | None:
    """Return where documents are kept: systemd's CacheDirectory, else XDG's; None where there is no home."""
    given = env.get("CACHE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given, "wsdl")
    base = env.get("XDG_CACHE_HOME", "")
    # By the specification a relative path is to be ignored.
    if base and Path(base).is_absolute():
        return Path(base, "moodle-integration-hub", "wsdl")
    try:
        return Path.home() / ".cache" / "moodle-integration-hub" / "wsdl"
    except RuntimeError:
        return None
