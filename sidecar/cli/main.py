"""`mih`: the command and its subcommands."""

import os
import sys
from collections.abc import Sequence

import click
from sqlalchemy.exc import SQLAlchemyError

from sidecar import __version__
from sidecar.cli.check import check
from sidecar.cli.circuits import circuits
from sidecar.cli.cursor import cursor
from sidecar.cli.demo import demo
from sidecar.cli.dlq import dlq
from sidecar.cli.gaps import gaps
from sidecar.cli.health import health
from sidecar.cli.init import init
from sidecar.cli.log import log
from sidecar.cli.migrate import migrate
from sidecar.cli.queue import queue
from sidecar.cli.rules import rules
from sidecar.cli.run import run
from sidecar.cli.services import services
from sidecar.cli.status import status
from sidecar.clock import Clock
from sidecar.errors import ExitCode, HubError
from sidecar.store.faults import explain


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mih")
def cli() -> None:
    """Moodle Integration Hub: turns Moodle's log into reliable calls to other systems."""


for command in (
    check,
    circuits,
    cursor,
    demo,
    dlq,
    gaps,
    health,
    init,
    log,
    migrate,
    queue,
    rules,
    run,
    services,
    status,
):
    cli.add_command(command)


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
