"""The real ONE-api over a real socket, as any of the accounts."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.api.auth import passwords
from tests.api.conftest import PASSWORD, Api, content_of
from tests.api.conftest import address as address
from tests.api.conftest import api as api
from tests.api.conftest import aws_url as aws_url
from tests.api.conftest import bucket as bucket

LAB, SUBJECT = "fimbrialab", "FI_001"
MEMBER, MANAGER, RIG, WORKER = (f"{LAB}_{role}" for role in ("member", "manager", "rig", "worker"))

Connect = Callable[..., Any]


@pytest.fixture
def connect(
    api: Api, address: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Connect:
    """Return what makes an instance of ONE for a user, each with a home and a cache of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import OneAlyx

    def connect(user: str = MEMBER, **options: Any) -> Any:
        home = tmp_path / f"home-{user}"
        home.mkdir(exist_ok=True)
        monkeypatch.setattr("iblutil.io.params.getfile", lambda name: str(home / f".{name}"))
        passwords.set_password(user, PASSWORD)
        api.tokens.pop(user, None)
        options = {"cache_rest": None, "cache_dir": home / "cache"} | options
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a new client has no tables yet
            one = OneAlyx(
                base_url=address, username=user, password=PASSWORD, silent=True, **options
            )
        one.alyx._par = one.alyx._par.set("HTTP_DATA_SERVER", f"{address}/data")
        one.alyx._par = one.alyx._par.set("HTTP_DATA_SERVER_LOGIN", user)
        one.alyx._par = one.alyx._par.set("HTTP_DATA_SERVER_PWD", PASSWORD)
        return one

    return connect


@pytest.fixture
def eid(api: Api) -> str:
    """A session with nothing in it."""
    body = {"subject": SUBJECT, "start_time": "2024-07-01T10:00:00", "number": "001"}
    return str(api.ok("POST", "/sessions", body)["id"])


def described(paths: list[str]) -> dict[str, Any]:
    """Return what ``/register-file`` is told of files."""
    return {
        "filenames": paths,
        "filesizes": [len(content_of(path)) for path in paths],
        "hashes": [
            hashlib.md5(content_of(path), usedforsecurity=False).hexdigest() for path in paths
        ],
        "exists": True,
        "name": "fornix",
    }
