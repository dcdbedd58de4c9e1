"""The ``fornix`` command line, assembled from the entry points of group ``fornix.commands``.

A command is imported only when it is called. So a part that is not installed on this computer
(the embedded cloud on a rig, say) does not disable the others.
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
            return unavailable(cmd_name, error)


EXTRAS = {
    "analyse": "science",
    "backup": "server",
    "codec": "ephys",
    "datajoint": "datajoint",
    "export": "nwb",
    "import": "science",
    "mirror": "science",
    "release": "science",
    "rerun": "worker",
    "restore": "server",
    "rig": "science",
    "site": "science",
    "sql": "sql",
    "task": "worker",
    "up": "local",
    "worker": "worker",
    "zip": "science",
}
"""The extra that each command needs beside the base install; `rig` only to simulate."""


def _needs(name: str, error: Exception) -> str:
    """Name the extra that a command lacks, and how to install it."""
    extra = EXTRAS.get(name)
    missing = getattr(error, "name", None)
    if not extra or not missing or missing.split(".")[0] in ("lab", "shared", "functions"):
        return f"fornix {name} is not installed here: {error}"
    return (
        f"fornix {name} needs {missing.split('.')[0]}, which the extra [{extra}] brings: "
        f"uv tool install 'fornix[{extra}]' (or pip install 'fornix[{extra}]')"
    )


def unavailable(name: str, error: Exception, part: str | None = None) -> click.Command:
    """Return a stand-in for a command, or a part of one, that is not installed here."""

    @click.command(
        part or name,
        short_help=f"(not installed here: {error})",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def command() -> None:
        raise click.ClickException(_needs(name, error))

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
    """Run the command line; show a client's error as one plain line."""
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
    except ModuleNotFoundError as error:
        # Commands import what they need when they run.
        name = next((argument for argument in sys.argv[1:] if argument in EXTRAS), "")
        if not name:
            raise
        click.echo(f"Error: {_needs(name, error)}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
