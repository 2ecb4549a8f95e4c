"""One HTTP message and its answer over a connection of ours; zeep's own connections know no deadline."""

import re
from dataclasses import dataclass

import httpcore
import httpx

from sidecar.clock import Clock
from sidecar.model import Outcome
from sidecar.transports.connection import Deadline, OneConnection


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `whole` is false where the body is longer than what was kept of it."""

    status: int
    headers: httpx.Headers
    body: bytes
    whole: bool


class Trouble(Exception):
    """There was no answer, or not a whole one; the text says what happened, the outcome what it means."""

    def __init__(self, text: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(text)
        self.outcome = outcome


class Channel:
    """Keeps one connection. `start` gives all that follows a common end."""

    def __init__(self, timeout_s: float, clock: Clock) -> None:
        self._timeout_s = timeout_s
        self._deadline = Deadline(clock)
        self._connection = OneConnection(self._deadline)

    def start(self, seconds: float) -> None:
        """Let everything until the next start be over in `seconds`."""
        self._deadline.start(seconds)

    def left(self) -> float:
        """Return the seconds left. Raises Trouble when there are none."""
        try:
            return self._deadline.left()
        except httpcore.TimeoutException:
            raise Trouble(f"it took longer than {self._timeout_s:g} s") from None

    def exchange(self, message: httpx.Request, longest: int) -> Answer:
        """Send and read up to `longest` bytes of the answer. Raises Trouble; the next one connects anew."""
        try:
            return self._twice(message, longest)
        except httpcore.LocalProtocolError as error:
            self.close()
            raise Trouble(f"it cannot be sent: {error}", Outcome.INVALID) from error
        except httpcore.TimeoutException as error:
            self.close()
            text = f"no answer from {address(message.url)} within {self._timeout_s:g} s"
            raise Trouble(text) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            self.close()
            raise Trouble(self._broken(error, address(message.url))) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _twice(self, message: httpx.Request, longest: int) -> Answer:
        """Send once more if a kept connection turned out to be closed by the server."""
        try:
            return self._once(message, longest)
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if not self._connection.was_stale:
                raise
            self.close()
            return self._once(message, longest)

    def _once(self, message: httpx.Request, longest: int) -> Answer:
        answer = self._connection.handle_request(message)
        try:
            body, whole = _read(answer, longest)
            return Answer(answer.status_code, answer.headers, body, whole)
        finally:
            answer.close()

    def _broken(self, error: Exception, where: str) -> str:
        said = str(error) or type(error).__name__
        if isinstance(error, httpcore.ConnectError):
            return f"could not connect to {where}: {said}"
        if isinstance(error, httpcore.ProtocolError) and re.search("disconnected|closed connection", said):
            how = "in the middle of its answer" if self._deadline.heard else "without an answer"
            return f"{where} closed the connection {how}"
        if isinstance(error, httpcore.ProtocolError):
            return f"{where} did not answer in HTTP: {said}"
        return f"the connection to {where} broke: {said}"


def address(url: httpx.URL) -> str:
    """Return host and port, for sentences."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _read(answer: httpx.Response, longest: int) -> tuple[bytes, bool]:
    kept = bytearray()
    for piece in answer.iter_raw():
        kept += piece[: longest + 1 - len(kept)]
        if len(kept) > longest:
            return bytes(kept[:longest]), False
    return bytes(kept), True
