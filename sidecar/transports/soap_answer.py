"""What a SOAP service said: an envelope, a fault and whose, or something else altogether.

A DTD has no place in SOAP and is refused; of a long answer its beginning is enough.
"""

import re
from dataclasses import dataclass
from xml.parsers import expat

from sidecar.errors import said

_ENVELOPES = {
    "http://schemas.xmlsoap.org/soap/envelope/": "1.1",
    "http://www.w3.org/2003/05/soap-envelope": "1.2",
}
_LONGEST_REASON = 500
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


class NoEnvelope(Exception):
    """The answer is no SOAP; the text says what it is instead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal in SOAP. `code` and `subcode` are written as the service did, with their prefixes."""

    code: str
    subcode: str
    reason: str

    @property
    def blames_sender(self) -> bool:
        """Whether the same message will never be taken: it is wrong, or who sends it may not.

        SOAP 1.1 section 4.4.1 (Client, and what follows a dot), SOAP 1.2 section 5.4.6 (Sender), and the
        codes of WS-Security, which some services use in their place. An expired message is one that was late.
        """
        name = _local(self.code).partition(".")[0].lower()
        if self.code.lower().startswith("wsse:"):
            return name != "messageexpired"
        return name in ("client", "sender", "versionmismatch", "mustunderstand", "dataencodingunknown")

    @property
    def blames_receiver(self) -> bool:
        """Whether the service says that it is not the message's fault."""
        return _local(self.code).partition(".")[0].lower() in ("server", "receiver")

    @property
    def sentence(self) -> str:
        """What the service says, in words."""
        code = f"{self.code}, {self.subcode}" if self.subcode else self.code or said("without a code")
        return said("fault %(code)s: %(reason)s", code=code, reason=self.reason or said("no reason given"))


def read_answer(body: bytes, content_type: str = "") -> Fault | None:
    """Return the fault in an answer; None if its envelope holds none. Raises NoEnvelope."""
    reader = _Reader()
    try:
        reader.read(_root_part(body, content_type))
    except _Enough:
        return reader.fault()
    except expat.ExpatError as error:
        if reader.in_body:
            return reader.fault()
        raise NoEnvelope(said("it is no XML (%(why)s)", why=expat.ErrorString(error.code))) from None
    except (ValueError, LookupError) as error:
        raise NoEnvelope(said("it cannot be read: %(why)s", why=error)) from None
    if not reader.in_body:
        raise NoEnvelope(said("its envelope has no body"))
    return reader.fault()


class _Enough(Exception):
    pass


class _Reader:
    """Walks through an envelope until it knows whether there is a fault, and what it says."""

    def __init__(self) -> None:
        self.in_body = False
        self._path: list[str] = []
        self._is_fault = False
        self._texts: dict[str, str] = {}

    def read(self, body: bytes) -> None:
        """Raises _Enough when the verdict is known."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(body, True)

    def fault(self) -> Fault | None:
        """Return what was found; a fault that breaks off has what was heard of it."""
        if not self._is_fault:
            return None
        said = {name: " ".join(text.split())[:_LONGEST_REASON] for name, text in self._texts.items()}
        return Fault(
            said.get("faultcode") or said.get("Code/Value", ""),
            said.get("Code/Subcode/Value", ""),
            said.get("faultstring") or said.get("Reason/Text", ""),
        )

    def _doctype(self, *_: object) -> None:
        raise NoEnvelope(said("it has a DOCTYPE, which SOAP does not allow"))

    def _start(self, name: str, _attributes: object) -> None:
        space, _, local = name.rpartition(" ")
        depth = len(self._path)
        if depth == 0 and (local != "Envelope" or space not in _ENVELOPES):
            raise NoEnvelope(said("it is a document of %(name)s", name=local[:50]))
        if depth == 2 and self._path[1] == "Body":
            self._is_fault = local == "Fault" and space in _ENVELOPES
            if not self._is_fault:
                raise _Enough
        self._path.append(local)
        self.in_body = self.in_body or self._path[1:2] == ["Body"]

    def _end(self, _name: str) -> None:
        self._path.pop()
        if self.in_body and len(self._path) == 1:
            raise _Enough

    def _text(self, text: str) -> None:
        if self._is_fault and len(self._path) > 3:
            name = "/".join(self._path[3:])
            self._texts[name] = self._texts.get(name, "") + text


def _local(code: str) -> str:
    return code.rpartition(":")[2]


def _root_part(body: bytes, content_type: str) -> bytes:
    """Return the envelope of an answer with attachments (MTOM): by RFC 2387 it is the first part."""
    found = _BOUNDARY.search(content_type)
    if found is None or not content_type.lower().lstrip().startswith("multipart/related"):
        return body
    boundary = b"--" + found[1].encode("latin-1", "replace")
    part = body.partition(boundary)[2].partition(boundary)[0]
    return part.partition(b"\r\n\r\n")[2].rstrip()
