"""`mih`: the command and its subcommands."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click
from sqlalchemy.exc import SQLAlchemyError

from sidecar import __version__
from sidecar.clock import Clock
from sidecar.errors import ExitCode, HubError
from sidecar.store.faults import explain

COMMANDS = (
    "audit",
    "check",
    "circuits",
    "cursor",
    "demo",
    "dlq",
    "gaps",
    "health",
    "init",
    "ledger",
    "log",
    "migrate",
    "queue",
    "replay",
    "rules",
    "run",
    "secrets",
    "services",
    "status",
    "users",
)


class OnDemand(click.Group):
    """Imports a command when it is used: starting one must not cost the libraries of all."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command by its name; it stands in the module of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"sidecar.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=OnDemand, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mih")
def cli() -> None:
    """Moodle Integration Hub: turns Moodle's log into reliable calls to other systems."""


def main(args: Sequence[str] | None = None, clock: Clock | None = None) -> None:
    """Run the command line; every foreseen error is a message and an exit code, never a traceback.

    `clock` is for tests; without one, commands go by the store's time.
    """
    try:
        code = cli(args, standalone_mode=False, obj=clock)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.Abort:
        sys.exit(130)
    except HubError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except SQLAlchemyError as error:
        click.echo(explain(error, "The database"), err=True)
        sys.exit(ExitCode.DATABASE)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
    sys.exit(code or ExitCode.OK)
