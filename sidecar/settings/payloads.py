"""A payload that names a file becomes the file's text; nothing later needs the disk."""

from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import said
from sidecar.settings.files import Files
from sidecar.settings.gallery import gallery, gallery_folder
from sidecar.settings.wording import listing, suggest


@dataclass(frozen=True, slots=True)
class PayloadFile:
    """The text of a payload and the file it stands in."""

    path: Path
    text: str


def payload_name(payload: str) -> str | None:
    """Return the file that a payload names, None when it is the template itself."""
    text = payload.strip()
    if "\n" in text:
        return None
    if text.startswith("file:"):
        return text.removeprefix("file:").strip().removeprefix("payloads/")
    if text.endswith(".j2") and "{{" not in text:
        return text.removeprefix("payloads/")
    return None


def read_payload(name: str, folder: Path, files: Files) -> PayloadFile:
    """Return the text of a file under `folder`, or of the gallery. Raises ValueError with a sentence."""
    path = folder / name
    if not _inside(path, folder):
        raise ValueError(
            said('a payload file has to be inside %(folder)s, "%(name)s" is not', folder=folder, name=name)
        )
    try:
        path, text = _read(path, gallery_folder() / name, files)
    except FileNotFoundError:
        raise ValueError(
            said(
                'there is no file "%(name)s" in %(folder)s%(others)s',
                name=name,
                folder=folder,
                others=_others(name, folder),
            )
        ) from None
    except UnicodeDecodeError:
        raise ValueError(said('the payload file "%(name)s" is not UTF-8', name=name)) from None
    except OSError as error:
        raise ValueError(
            said(
                'the payload file "%(name)s" cannot be read: %(strerror)s', name=name, strerror=error.strerror
            )
        ) from None
    if not text.strip():
        raise ValueError(said('the payload file "%(name)s" is empty', name=name))
    return PayloadFile(path, text)


def _read(own: Path, ready: Path, files: Files) -> tuple[Path, str]:
    """Return the file that is there and its text; the site's own goes before a ready one of that name."""
    try:
        return own, files.read(own)
    except FileNotFoundError:
        return ready, files.read(ready)


def _inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL in the name
        return False


def _others(name: str, folder: Path) -> str:
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.j2")) if folder.is_dir() else []
    near = suggest(name, [*there, *(ready.name for ready in gallery())])
    if near:
        return said(', did you mean "%(name)s"?', name=near)
    if there:
        return said("; there is %(names)s", names=listing(there))
    return said(", which is empty or not there")
