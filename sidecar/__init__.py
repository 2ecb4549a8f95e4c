"""Moodle Integration Hub: reads the log of a Moodle and delivers its events to other systems."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.gateway.gateway import Gateway

__all__ = ["Gateway", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the gateway when it is asked for, and not with every `import sidecar`."""
    if name == "Gateway":
        from sidecar.gateway.gateway import Gateway  # noqa: PLC0415

        return Gateway
    raise AttributeError(f"module 'sidecar' has no attribute {name!r}")
