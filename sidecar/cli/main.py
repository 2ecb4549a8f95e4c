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

# With how each one's own help begins: to list them must not cost the libraries of all.
COMMANDS = {
    "audit": "What people changed",
    "check": "Look for everything that could keep events from being delivered",
    "circuits": "The circuit breakers, one a service",
    "cursor": "The place up to which Moodle's log is read",
    "demo": "Watch a small campus deliver its events, until Ctrl-C",
    "dlq": "The dead letter queue",
    "gaps": "Missing ids below the cursor",
    "health": "Exit with 0 if a sidecar on this host is alive",
    "init": "Write a commented configuration to start from",
    "ledger": "Account for every row of Moodle's log that a rule names",
    "log": "Every try to deliver: status, latency, error",
    "migrate": "Make the sidecar's tables (mih_...), or bring them up to date",
    "queue": "Deliveries: those on their way, and those of the last days",
    "replay": "Deliver rows of Moodle's log by a rule",
    "rules": "Which events become deliveries, and to whom",
    "run": "Read Moodle's log and deliver its events until SIGTERM or Ctrl-C",
    "secrets": "Secrets that the store keeps sealed",
    "services": "The systems that deliveries go to",
    "status": "Show on one page how things stand",
    "users": "Who may sign in to the dashboard",
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List all commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, f"{what}.") for name, what in COMMANDS.items()])


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
