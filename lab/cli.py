"""The ``fornix`` command line, assembled from the entry points of group ``fornix.commands``.

A command is imported only when it is called, so that a part that is not installed on this
computer (the embedded cloud on a rig, say) takes nothing else away.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, entry_points, version

import click

from lab.client import ClientError

GROUP = "fornix.commands"


class Commands(click.Group):
    """A click group whose commands are entry points."""

    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=GROUP)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all installed commands."""
        return sorted(self._entries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        entry = self._entries().get(cmd_name)
        if entry is None:
            return None
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            return _unavailable(cmd_name, error)


def _unavailable(name: str, error: Exception) -> click.Command:
    """Return a stand-in for a command whose part is not installed here."""

    @click.command(name, short_help=f"(not installed here: {error})")
    def command() -> None:
        raise click.ClickException(f"fornix {name} is not installed here: {error}")

    return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("fornix"), prog_name="fornix")
@click.option("--profile", metavar="NAME", help="Login to use, of several (FORNIX_PROFILE).")
def fornix(profile: str | None) -> None:
    """Fornix: a serverless home for neurophysiology.

    Settings of the commands that talk to a server: FORNIX_API_URL, and FORNIX_TOKEN or
    FORNIX_USER with FORNIX_PASSWORD; or once and for all `fornix login`.

    Exit codes: 0 done, 1 something was refused or failed, 2 wrong use, 3 the server could not be
    reached (try again later), 4 not logged in, 130 interrupted.

    Completion in bash: eval "$(_FORNIX_COMPLETE=bash_source fornix)"; zsh and fish likewise.
    """
    if profile:
        os.environ["FORNIX_PROFILE"] = profile


def main() -> None:
    """Run the command line; a client's error is shown as one plain line."""
    try:
        code = fornix(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except ClientError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
