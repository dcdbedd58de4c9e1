"""``fornix login``: a computer remembers an account of a server."""

from __future__ import annotations

import os

import click

from lab.commands.output import AS_JSON, tell


@click.command()
@click.option(
    "--url",
    prompt="Address of the API",
    default=lambda: os.environ.get("FORNIX_API_URL"),
    help="Address of the API, as https://api.example.org/v1.",
)
@click.option("--user", help="User name; asked for if not given.")
@click.option("--password", help="Asked for if not given; not stored.")
@click.option("--public", is_flag=True, help="With the account that the server publishes.")
@AS_JSON
def login(url: str, user: str | None, password: str | None, public: bool, as_json: bool) -> None:
    """Log in once; later commands find address and token.

    The token is stored in your configuration folder, readable by you only; the password is not.
    """
    from lab.client import Client, Settings, save_settings

    if public:
        user, password = Client(Settings(url.rstrip("/"))).public_account()
    user = user or click.prompt("User name")
    password = password or click.prompt("Password", hide_input=True)
    client = Client(Settings(url.rstrip("/"), user, password))
    path = save_settings(url, user, client.login())
    who = client.me()
    description = f"{who.get('role', '')} of {', '.join(who.get('labs') or ['no lab'])}"
    tell(
        as_json,
        f"Logged in as {who['username']} ({description}); the token is in {path}.",
        user=who["username"],
        role=who.get("role"),
        labs=who.get("labs") or [],
        file=str(path),
    )


@click.command()
@click.option("--current", prompt="Current password", hide_input=True, help="Asked for.")
@click.password_option("--new", prompt="New password", help="Asked for; not stored.")
@AS_JSON
def password(current: str, new: str, as_json: bool) -> None:
    """Change your own password; other computers have to log in again."""
    from lab.client import Client, save_settings, settings

    current_settings = settings()
    body = {"current_password": current, "password": new}
    token = Client(current_settings).post("/me/password", body)["token"]
    save_settings(current_settings.url, current_settings.user or "", token)
    said = "The password is changed. Log in again on your other computers."
    tell(as_json, said, user=current_settings.user, changed=True)
