"""Moodle Integration Hub: reads the log of a Moodle and delivers its events to other systems."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.gateway.gateway import Gateway

__all__ = ["Gateway", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the gateway when it is asked for, and not with every room of the house."""
    if name == "Gateway":
        return import_module("sidecar.gateway.gateway").Gateway
    raise AttributeError(f"module 'sidecar' has no attribute {name!r}")
