"""`mih`: the command and its subcommands."""

import os
import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from sidecar import __version__
from sidecar.cli.run import run
from sidecar.errors import ExitCode, HubError
from sidecar.store.faults import explain


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mih")
def cli() -> None:
    """Moodle Integration Hub: turns Moodle's log into reliable calls to other systems."""


cli.add_command(run)


def main() -> None:
    """Run the command line; every foreseen error is a message and an exit code, never a traceback."""
    try:
        code = cli(standalone_mode=False)
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
