"""Scripts and styles of the package: browsers keep them for a year, as their address has their hash."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from sidecar.errors import said
from sidecar.web.fault import Fault

router = APIRouter()

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_A_YEAR = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and packed."""

    kind: str
    body: bytes
    packed: bytes
    hash: str


@router.get("/static/{name:path}", include_in_schema=False)
def send(
    name: str,
    v: str = "",
    if_none_match: Annotated[str, Header()] = "",
    accept_encoding: Annotated[str, Header()] = "",
) -> Response:
    """Return one file."""
    found = all_assets().get(name)
    if found is None:
        raise Fault(
            404, "no_such_path", said("There is nothing at this path."), said("Look at / for the dashboard.")
        )
    tag = f'W/"{found.hash}"'
    headers = {
        "ETag": tag,
        "Cache-Control": _A_YEAR if v == found.hash else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    if "gzip" in accept_encoding:
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.kind)
    return Response(found.body, headers=headers, media_type=found.kind)


def address(name: str) -> str:
    """Return where a page finds a file."""
    return f"/static/{name}?v={all_assets()[name].hash}"


@cache
def all_assets() -> dict[str, Asset]:
    """Return all files by name: few and small enough to be kept."""
    return dict(_read(files("sidecar.web") / "static", ""))


def _read(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        elif kind := _TYPES.get(f".{entry.name.rpartition('.')[2]}"):
            found.append((prefix + entry.name, _asset(kind, entry.read_bytes())))
    return found


def _asset(kind: str, body: bytes) -> Asset:
    return Asset(kind, body, gzip.compress(body, 9, mtime=0), hashlib.sha256(body).hexdigest()[:16])
