"""The first labs, users and records of the system on one computer.

One thing is written to the table directly: the first administrator, because only an administrator
may make users. Everything else goes through the HTTP API, as on AWS.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

from infra.local.home import Home
from lab.client import Client, Refused, Settings

LABS = ("fimbrialab", "septumlab")
"""Made-up labs; synthetic data never carry a real lab's name."""

ROLES = ("member", "manager", "rig", "worker")
"""Each lab has one user of each role, ``<lab>_<role>``."""

ADMINISTRATOR = "admin"

PROJECT = "demonstration"

SUBJECTS_PER_LAB = 3

Wanted = tuple[str, str, dict[str, Any]]
"""Resource, its key, and the body to make it with."""


def usernames() -> list[str]:
    """Return the users that the seed makes."""
    return [ADMINISTRATOR, *(f"{lab}_{role}" for lab in LABS for role in ROLES)]


def subjects(lab: str) -> list[str]:
    """Return the nicknames of a lab's made-up mice, as ``FIM_001``."""
    return [f"{lab[:3].upper()}_{number:03d}" for number in range(1, SUBJECTS_PER_LAB + 1)]


def seed(home: Home) -> None:
    """Make what is missing; nothing that exists is changed.

    Passwords are drawn at random and kept before their users are made, so that an interrupted
    seed continues with the same ones.
    """
    credentials = home.read_credentials()
    users = credentials.setdefault("users", {})
    for name in usernames():
        users.setdefault(name, {"username": name, "password": secrets.token_urlsafe(18)})
    home.write_credentials(credentials)
    done = home.path / "seeded"
    wanted = list(_wanted(users, home))
    # Passwords are random per folder, so that this says nothing of them.
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    if done.exists() and done.read_text() == mark:
        return
    bootstrap(home, users[ADMINISTRATOR]["password"])
    client = connect(home, ADMINISTRATOR)
    for resource, key, body in wanted:
        ensure(client, resource, key, body)
    done.write_text(mark)


def bootstrap(home: Home, password: str) -> None:
    """Write the first administrator to the table, in a process with the root credentials."""
    raise NotImplementedError


def connect(home: Home, username: str) -> Client:
    """Return an API client of a seeded user."""
    user = home.read_credentials()["users"][username]
    return Client(Settings(home.api_url, user["username"], user["password"]))


def ensure(client: Client, resource: str, key: str, body: dict[str, Any]) -> Any:
    """Return the record with a key, made if there is none."""
    try:
        return client.get(f"/{resource}/{key}")
    except Refused as error:
        if error.status != 404:
            raise
    return client.post(f"/{resource}", body)


def _wanted(users: dict[str, Any], home: Home) -> Iterator[Wanted]:
    """Yield what there should be, in an order in which each refers to earlier ones only."""
    for lab in LABS:
        yield "labs", lab, {"name": lab, "timezone": "Europe/Lisbon", "institution": "Fornix"}
    for lab in LABS:
        for role in ROLES:
            name = f"{lab}_{role}"
            body = {"role": role, "labs": [lab], "email": f"{name}@example.org"}
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
        yield (
            "data-repository",
            f"{lab}_s3",
            {
                "name": f"{lab}_s3",
                "hostname": "127.0.0.1",
                "data_url": f"{home.api_url}/data/",
                "globus_path": f"/{lab}/Subjects/",
                "globus_is_personal": False,
            },
        )
        for nickname in subjects(lab):
            yield (
                "subjects",
                nickname,
                {
                    "nickname": nickname,
                    "lab": lab,
                    "species": "Mus musculus",
                    "sex": "F",
                    "birth_date": "2026-01-15",
                    "responsible_user": f"{lab}_manager",
                    "projects": [PROJECT],
                    "description": "synthetic",
                },
            )
