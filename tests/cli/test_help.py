"""`mih --help` lists the commands without importing any of them."""

import subprocess
import sys

import click
import pytest

from sidecar.cli.main import COMMANDS, cli

_HELP = """
import sys
from sidecar.cli.main import cli
cli(["--help"], standalone_mode=False)
sys.exit("sidecar.settings" in sys.modules)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_list_says_is_how_the_commands_own_help_begins(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert " ".join((command.help or "").split()).startswith(COMMANDS[name])


def test_the_list_imports_no_command() -> None:
    said = subprocess.run([sys.executable, "-c", _HELP], capture_output=True, text=True, check=True)

    assert "  status    Show on one page how things stand.\n" in said.stdout
