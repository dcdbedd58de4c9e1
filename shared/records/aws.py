"""AWS clients of the functions: one botocore client per service and process.

botocore alone, not boto3: it halves the import time of the API function. Endpoints, region and
credentials come from the standard environment, so the same code runs on AWS and locally.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

from shared.records import lean

_lock = threading.Lock()


@lru_cache
def _session() -> Any:
    with lean.without("botocore.docs.docstring", "urllib3.http2"):  # it documents each method
        import botocore.session

    return botocore.session.get_session()


@lru_cache
def _create(service: str) -> Any:
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "max_attempts": 4},
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path"} if service == "s3" else None,
    )
    return _session().create_client(service, config=config)


def client(service: str) -> Any:
    """Return this process's client of a service.

    Parameters
    ----------
    service : str
        Name as botocore knows it, e.g. ``"s3"``.
    """
    with _lock:  # creating two clients at once is not thread-safe in botocore
        return _create(service)


def forget() -> None:
    """Drop the clients, so that the next use reads the environment again (for tests)."""
    _create.cache_clear()
    _session.cache_clear()
