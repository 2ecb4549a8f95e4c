"""`mih demo`: the product at work on a campus of its own, in one terminal."""

import math
from pathlib import Path

import click


def _seconds(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter("give a number of seconds above 0, such as 20")
    return value


@click.command()
@click.option(
    "--for", "for_s", type=float, callback=_seconds, metavar="SECONDS", help="End by itself after so long."
)
@click.option("--seed", type=int, help="Tell the same story again.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Leave configuration, databases and log in this new folder.",
)
@click.option("--plain", is_flag=True, help="Lines of text instead of a live screen.")
def demo(for_s: float | None, seed: int | None, keep: Path | None, plain: bool) -> None:
    """Watch a small campus deliver its events, until Ctrl-C. Needs nothing and touches nothing."""
    from sidecar.demo.stage import Wishes, play  # noqa: PLC0415 - no other command needs any of this

    play(Wishes(for_s=for_s, seed=seed, keep=keep, plain=plain))
