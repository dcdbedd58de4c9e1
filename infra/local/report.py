"""The printed report of a system on one computer: its addresses, and the next steps."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from infra.local.home import Home
from infra.local.seed import LABS
from shared.results import addresses


def hints(home: Home) -> list[str]:
    """Return the shell commands with which a scientist connects; a test runs them."""
    user = home.read_credentials()["users"][f"{LABS[0]}_member"]
    login = f"login --url {home.api_url} --user {user['username']} --password {user['password']}"
    search = f'from one.api import ONE; print(ONE().search(lab="{LABS[0]}"))'
    return [
        f".venv/bin/fornix {login}",
        ".venv/bin/fornix one-setup --default",
        f".venv/bin/python -c '{search}'",
    ]


def addresses_of(home: Home) -> dict[str, str]:
    """Return the addresses for a program."""
    return {"site": home.site_url, "api": home.api_url, "users": str(home.credentials_file)}


def describe(home: Home, console: Console) -> None:
    """Print the addresses and how to connect."""
    commands = "\n  ".join(hints(home))
    user = home.read_credentials()["users"][f"{LABS[0]}_member"]
    console.print(
        f"""
[bold]Fornix is running[/bold]
  results site   {home.site_url}
  API            {home.api_url}   ({home.api_url}/api/schema lists its routes)
  users          {home.credentials_file}  (accounts of each role, with their passwords)
  worker logs    {home.logs}

[bold]Keep the lab's notebook[/bold] (animals, weights, water, breeding; works without a network)
  {home.site_url}/app/#/sign-in/{user["username"]}/{user["password"]}

[bold]See what a lab keeps to itself[/bold] (one session of each lab is not public)
  {home.site_url}/{addresses.MY_LAB}   sign in as {user["username"]}, password {user["password"]}

[bold]Connect with ONE[/bold] (in another terminal, in this folder)
  {escape(commands)}

Ctrl-C stops; everything is kept in {home.path}.
""",
        soft_wrap=True,
    )
