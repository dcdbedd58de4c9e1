"""An empty Fornix with an administrator, over a real socket; as a module: in its own process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.api import gateway


@contextmanager
def empty_fornix() -> Iterator[tuple[str, str]]:
    """Serve the API over the table of ``FORNIX_TABLE``; yield its address and a token."""
    from functions.api.app import app
    from functions.api.auth import tokens
    from shared import catalog
    from shared.model.copies import OWN, own_repository
    from shared.records import documents

    catalog.reset_for_tests()
    if documents.find("data-repository", OWN) is None:
        documents.create("data-repository", OWN, own_repository(), who="installation")
    user = {"username": "root", "role": "administrator", "lab": [], "is_active": True}
    documents.create("user", "root", user, who="tests")
    token = tokens.issue("root")
    with gateway.serve(app) as url:
        os.environ["FORNIX_API_URL"] = url
        try:
            yield url, token
        finally:
            os.environ.pop("FORNIX_API_URL", None)
            catalog.reset_for_tests()


if __name__ == "__main__":
    with empty_fornix() as (url, token):
        print(url, token, flush=True)
        threading.Event().wait()
