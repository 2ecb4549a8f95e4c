"""A name server that tells the truth, nothing, or nonsense; and a process that asks no other."""

import itertools
import os
import shutil
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Self

_numbers = itertools.count(1)


class NotHere(Exception):
    """This machine does not let us do that; the text says what it takes."""


class Answer(Enum):
    """How a question is answered."""

    TRUE = auto()
    NONE = auto()
    BROKEN = auto()
    UNKNOWN = auto()


class NameServer:
    """Answers questions for addresses over UDP, on an address of loopback that nobody else uses."""

    def __init__(self) -> None:
        self.address = f"127.53.{os.getpid() % 250 + 1}.{next(_numbers)}"
        self.knows: dict[str, str] = {}
        self.answers = Answer.TRUE
        self.refused = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((self.address, 53))
        except PermissionError:
            self._socket.close()
            raise NotHere("a name server needs root") from None
        self._thread = threading.Thread(target=self._serve, name="names", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                question, asker = self._socket.recvfrom(512)
                if not question:
                    return
                how = self.answers
                self.refused += how is not Answer.TRUE
                if how is not Answer.NONE:
                    self._socket.sendto(self._answer(question, how), asker)

    def _answer(self, question: bytes, how: Answer) -> bytes:
        """Return the answer as RFC 1035 has it: the question repeated, and at most one address."""
        name, end = _name(question)
        kind = struct.unpack("!H", question[end : end + 2])[0]
        asked = question[12 : end + 4]
        found = self.knows.get(name) if how is Answer.TRUE else None
        code = {Answer.BROKEN: 2, Answer.UNKNOWN: 3}.get(how, 0 if found else 3)
        records = b""
        if found and kind == 1:
            records = struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(found)
        head = struct.pack("!HHHHHH", _id(question), 0x8180 | code, 1, 1 if records else 0, 0, 0)
        return head + asked + records


def own_names(folder: Path, server: str) -> Sequence[str]:
    """Return the command that runs another one with this name server only, the machine's untouched."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise NotHere("another name server for one process needs root and unshare")
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {server}\noptions timeout:1 attempts:1\n")
    script = f'mount --bind {resolver} /etc/resolv.conf && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh")


def _id(question: bytes) -> int:
    number: int = struct.unpack("!H", question[:2])[0]
    return number


def _name(question: bytes) -> tuple[str, int]:
    """Return the name that is asked for and where its type begins."""
    labels, at = [], 12
    while (length := question[at]) != 0:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1
