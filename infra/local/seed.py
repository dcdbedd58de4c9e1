"""The first labs, users and records of the system on one computer.

The first administrator is written to the table (``infra.prepare``), because only an administrator
may create users. Everything else goes through the HTTP API, as on AWS.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any

from infra.local.home import Home
from lab.client import Client, RequestRefused, Settings
from lab.site import DEMO_LABS

LABS = ("fimbrialab", "septumlab")
"""Invented labs; synthetic data never have a real lab's name."""

ROLES = ("member", "manager", "rig", "worker")
"""Each lab has one user of each role, ``<lab>_<role>``."""

ADMINISTRATOR = "admin"

PROJECT = "synthetic"
"""Project in the settings of simulated sessions."""

SUBJECTS_PER_LAB = 3

SENDERS = 3
"""Parallel requests; the hash of a password takes a core for a fifth of a second."""

Wanted = tuple[str, str, dict[str, Any]]
"""Resource, its key, and the body to make it with."""


def usernames() -> list[str]:
    """Return the users that the seed makes."""
    return [ADMINISTRATOR, *(f"{lab}_{role}" for lab in LABS for role in ROLES)]


def subjects(lab: str) -> list[str]:
    """Return the nicknames of a lab's simulated mice, such as ``SYN_101``."""
    first = 100 * (LABS.index(lab) + 1)
    return [f"SYN_{first + number:03d}" for number in range(1, SUBJECTS_PER_LAB + 1)]


def draw_passwords(home: Home) -> dict[str, Any]:
    """Return the users with their passwords, drawn at random when they are first asked for.

    They are stored before the users are created, so that an interrupted seed continues with them.
    """
    credentials = home.read_credentials()
    users: dict[str, Any] = credentials.setdefault("users", {})
    for name in usernames():
        users.setdefault(name, {"username": name, "password": secrets.token_urlsafe(18)})
    home.write_credentials(credentials)
    return users


def seed(home: Home) -> None:
    """Create the missing records through the HTTP API; existing ones are not changed."""
    wanted = list(_wanted(draw_passwords(home)))
    done = home.path / "seeded"
    # Passwords are random, so this reveals nothing.
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    if done.exists() and done.read_text() == mark:
        return
    client = connect(home, ADMINISTRATOR)
    with ThreadPoolExecutor(SENDERS) as senders:
        for resource, some in itertools.groupby(wanted, key=itemgetter(0)):
            # Records of a kind do not refer to each other.
            list(senders.map(lambda one, kind=resource: ensure(client, kind, *one[1:]), some))
    done.write_text(mark)


def connect(home: Home, username: str) -> Client:
    """Return an API client of a seeded user."""
    user = home.read_credentials()["users"][username]
    return Client(Settings(home.api_url, user["username"], user["password"]))


def ensure(client: Client, resource: str, key: str, body: dict[str, Any]) -> Any:
    """Return the record with a key; create it if there is none."""
    try:
        return client.get(f"/{resource}/{key}")
    except RequestRefused as error:
        if error.status != 404:
            raise
    return client.post(f"/{resource}", body)


def _wanted(users: dict[str, Any]) -> Iterator[Wanted]:
    """Yield the records of the seed, each after the records that it refers to."""
    for lab in LABS:
        place = DEMO_LABS[lab]
        body = {
            "name": lab,
            "institution": place["institution"],
            "timezone": "Europe/Lisbon",
            "json": {axis: place[axis] for axis in ("latitude", "longitude")},
        }
        yield "labs", lab, body
    for lab in LABS:
        for role in ROLES:
            name = f"{lab}_{role}"
            body = {"role": role, "lab": [lab], "email": f"{name}@example.org"}
            yield "users", name, {**users[name], **body}
    yield (
        "projects",
        PROJECT,
        {
            "name": PROJECT,
            "description": "Synthetic sessions that show the system at work.",
            "users": [f"{lab}_member" for lab in LABS],
        },
    )
    for lab in LABS:
        for nickname in subjects(lab):
            yield (
                "subjects",
                nickname,
                {
                    "nickname": nickname,
                    "lab": lab,
                    "species": "Mus musculus",
                    "sex": "F",
                    "birth_date": "2025-10-06",
                    "responsible_user": f"{lab}_manager",
                    "projects": [PROJECT],
                    "description": "synthetic",
                },
            )
