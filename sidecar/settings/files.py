"""Files are read once and remembered by how they looked, so that a change is seen cheaply."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """How a file looked: its cheap stamp and the hash of its content; both None while it cannot be read."""

    stamp: Stamp | None
    digest: str | None


class Files:
    """Reads text files and keeps their looks and texts; those of an earlier reading can be given."""

    def __init__(
        self,
        looks: Mapping[Path, Look] = MappingProxyType({}),
        texts: Mapping[Path, str] = MappingProxyType({}),
    ) -> None:
        self.looks = dict(looks)
        self.texts = dict(texts)

    def read(self, path: Path) -> str:
        """Return the file's text. Raises OSError or UnicodeDecodeError; it is remembered all the same."""
        if path in self.texts:
            return self.texts[path]
        # The stamp is taken first: an edit between the two lines is then seen as a change, not missed.
        self.looks[path] = Look(_stamp(path), None)
        content = path.read_bytes()
        self.looks[path] = replace(self.looks[path], digest=_digest(content))
        self.texts[path] = content.decode("utf-8-sig")
        return self.texts[path]


class Watcher:
    """Tells whether any of the files has other content than when it was read. Polling, no thread."""

    def __init__(self, looks: Mapping[Path, Look]) -> None:
        self._looks = dict(looks)

    def changed(self) -> bool:
        """Compare times and sizes; only where these differ, read and compare the content."""
        return any(self._differs(path) for path in self._looks)

    def _differs(self, path: Path) -> bool:
        look = self._looks[path]
        stamp = _stamp(path)
        if stamp == look.stamp:
            return False
        if _digest_of(path) != look.digest:
            return True
        self._looks[path] = replace(look, stamp=stamp)
        return False


def fingerprint(looks: Mapping[Path, Look]) -> str:
    """Return one hash over the names and contents of all files."""
    lines = sorted(f"{path}\0{look.digest}" for path, look in looks.items())
    return _digest("\n".join(lines).encode())


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_ctime_ns)


def _digest_of(path: Path) -> str | None:
    try:
        return _digest(path.read_bytes())
    except OSError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
