"""Minting DOIs: DataCite's own service, or another one by an entry point of ``fornix.minters``."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any, Protocol

import click
import requests

from lab.client import Client

GROUP = "fornix.minters"

TIMEOUT = (10, 60)
"""Seconds to connect and to wait for an answer."""


class Minter(Protocol):
    """A service that assigns DOIs."""

    def mint(self, client: Client, record: dict[str, Any]) -> str:
        """Return the DOI of a release; a release with a DOI keeps it."""


def minter(name: str) -> Minter:
    """Return a service by its name.

    Raises
    ------
    click.ClickException
        There is no service of this name.
    """
    if name == "datacite":
        return DataCite()
    services = entry_points(group=GROUP, name=name)
    if not services:
        raise click.ClickException(
            f"There is no service {name!r} that mints: use datacite, or install a plug-in of "
            f"{GROUP}."
        )
    made: Minter = next(iter(services)).load()()
    return made


class DataCite:
    """DataCite's REST API (https://support.datacite.org/docs/api-create-dois).

    DATACITE_PREFIX, DATACITE_USER and DATACITE_PASSWORD are those of the repository's account;
    DATACITE_URL is https://api.test.datacite.org for trying.
    """

    def __init__(self) -> None:
        missing = [
            name
            for name in ("DATACITE_PREFIX", "DATACITE_USER", "DATACITE_PASSWORD")
            if not os.environ.get(name)
        ]
        if missing:
            raise click.ClickException(f"Set {', '.join(missing)}: of your account at DataCite.")
        self.url = os.environ.get("DATACITE_URL", "https://api.datacite.org").rstrip("/")
        self.prefix = os.environ["DATACITE_PREFIX"]
        self.account = os.environ["DATACITE_USER"], os.environ["DATACITE_PASSWORD"]

    def mint(self, client: Client, record: dict[str, Any]) -> str:
        """Register the release's DOI, which follows from its name and version; return it."""
        if record["doi"]:
            return str(record["doi"])
        name, version = record["name"], record["version"]
        doi = f"{self.prefix}/fornix.{name.lower()}.{version}"
        described = client.get(f"/releases/{name}/{version}/datacite.json")
        target = record["page"] or record["url"]
        attributes = {**described, "doi": doi, "url": target, "event": "publish"}
        answer = requests.put(
            f"{self.url}/dois/{doi}",
            json={"data": {"type": "dois", "attributes": attributes}},
            auth=self.account,
            headers={"Content-Type": "application/vnd.api+json"},
            timeout=TIMEOUT,
        )
        if not answer.ok:
            raise click.ClickException(
                f"DataCite answered {answer.status_code} for {doi}: {answer.text[:300]}"
            )
        return doi
