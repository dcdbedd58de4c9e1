"""What follows a deployment: the site's fixed files, the lists of names, the administrator.

Reads the standard AWS environment and the functions' own (``FORNIX_TABLE``,
``FORNIX_SITE_BUCKET``), and the administrator's password from standard input, so that it is in no
list of processes::

    python -m infra.prepare admin < password.txt
"""

from __future__ import annotations

import os
import sys

from functions.analysis.bucket import Bucket
from functions.api.auth import set_password
from shared.records import documents, reference
from shared.records.errors import Exists
from shared.results.assets import publish


def bootstrap_administrator(username: str, password: str) -> bool:
    """Write the first administrator to the table, as no one can make one through the API yet.

    Returns
    -------
    bool
        Whether the user was made; one that exists is left as it is.
    """
    if documents.find("user", username):
        return False
    set_password(username, password)
    body = {"username": username, "role": "administrator", "lab": [], "is_active": True}
    try:
        documents.create("user", username, body, who="bootstrap")
    except Exists:  # another start of the same folder was faster, with the same password
        return False
    return True


if __name__ == "__main__":
    publish(Bucket(os.environ["FORNIX_SITE_BUCKET"]))
    reference.load()
    bootstrap_administrator(sys.argv[1], sys.stdin.read().strip())
