"""Who runs a command: the account of this machine, for the audit log."""

import getpass
import os

from sidecar.store.audit import Author


def author() -> Author:
    """Return the account; its number where it has no name, as in many containers."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return Author(name, "command")
