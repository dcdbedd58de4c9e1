"""A whole Fornix in a process of its own: ``python -m tests.releases.another`` prints its address.

Its table is that of ``FORNIX_TABLE``, its bucket and queues are its own. It ends with its input.
"""

from __future__ import annotations

import os
import sys

from functions.api.app import app
from functions.api.auth import tokens
from shared.model.copies import OWN, own_repository
from shared.records import aws, documents
from tests.api import gateway
from tests.flow import LAB, SUBJECT, Flow, System


def main() -> None:
    """Serve until the input ends."""
    aws.forget()
    flow = Flow()
    os.environ |= flow.env
    documents.create("data-repository", OWN, own_repository(), who="installation")
    documents.create("lab", LAB, {"name": LAB, "timezone": "Europe/Lisbon"}, who="admin")
    documents.create("subject", SUBJECT, {"nickname": SUBJECT, "lab": LAB}, who="admin")
    body = {"username": "admin", "role": "administrator", "lab": [], "is_active": True}
    documents.create("user", "admin", body, who="tests")
    with gateway.serve(app) as url:
        os.environ["FORNIX_API_URL"] = url
        system = System(flow, url)
        print(url, tokens.issue("admin"), flush=True)
        sys.stdin.read()
        system.rest()


if __name__ == "__main__":
    main()
