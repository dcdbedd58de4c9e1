"""Environment variables of the functions: each variable has one reader, here.

Endpoints, region and credentials come by the standard AWS variables instead. Values are read at
each call, so that a process can switch to another deployment (only the tests do).
"""

from __future__ import annotations

import os


class NotSet(RuntimeError):
    """A required variable is not set."""


def _needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise NotSet(f"{name} is not set; the deployment sets it for each function that needs it.")
    return value


def table() -> str:
    """Return the name of the DynamoDB table."""
    return os.environ.get("FORNIX_TABLE", "fornix")


def data_bucket() -> str:
    """Return the name of the bucket of the data."""
    return _needed("FORNIX_DATA_BUCKET")


def has_data_bucket() -> bool:
    """Return whether a data bucket is configured; without one the index is made by a scan."""
    return bool(os.environ.get("FORNIX_DATA_BUCKET"))


def oidc() -> tuple[str, str, str]:
    """Return issuer and audience of the OIDC provider, and the claim that names a user.

    Issuer and audience are empty if no provider is configured.
    """
    read = os.environ.get
    return (
        read("FORNIX_OIDC_ISSUER", ""),
        read("FORNIX_OIDC_AUDIENCE", ""),
        read("FORNIX_OIDC_CLAIM") or "email",
    )


def public_account() -> tuple[str, str] | None:
    """Return user name and password of the published account for everybody, if any."""
    username, _, password = os.environ.get("FORNIX_PUBLIC_ACCOUNT", "").partition(":")
    return (username, password) if username and password else None


def site_bucket() -> str:
    """Return the name of the bucket of the results site."""
    return _needed("FORNIX_SITE_BUCKET")


def queue_url(queue: str) -> str:
    """Return the address of a queue: ``ingest``, ``dispatch``, ``analysis`` or ``notices``."""
    return _needed(f"FORNIX_{queue.upper()}_QUEUE_URL")


def work_queue_url(lab: str) -> str:
    """Return the address of a laboratory's work queue."""
    return _needed("FORNIX_WORK_QUEUE_PREFIX") + lab


def worker_role(lab: str) -> str:
    """Return the IAM role that a laboratory's workers assume for their queue."""
    return _needed("FORNIX_WORKER_ROLE_PREFIX") + lab


def labs() -> list[str]:
    """Return the laboratories that the deployment has queues for."""
    return [lab for lab in os.environ.get("FORNIX_LABS", "").split(",") if lab]


def api_url() -> str:
    """Return the address of the API; empty if it is not configured."""
    return os.environ.get("FORNIX_API_URL", "")


def site_url() -> str:
    """Return the address of the results site without a final slash; empty if not configured."""
    return os.environ.get("FORNIX_SITE_URL", "").rstrip("/")


def about_site() -> dict[str, str]:
    """Return the configured facts that the results site shows about itself and its data."""
    names = ("api_url", "site_url", "licence", "licence_url", "citation", "doi")
    values = {name: os.environ.get(f"FORNIX_{name.upper()}", "") for name in names}
    return {name: value for name, value in values.items() if value}


def shows_recordings() -> bool:
    """Return whether the results site publishes recordings with their sessions."""
    return os.environ.get("FORNIX_RECORDINGS") != "no"


def frees_raw() -> bool:
    """Return whether raw recordings are freed once their compressed copies are proved."""
    return os.environ.get("FORNIX_FREE_RAW") == "yes"


def mail_sender() -> tuple[str, str]:
    """Return the address that notices are sent from, and SES's configuration set.

    Without an address no e-mails are sent.
    """
    return os.environ.get("FORNIX_MAIL_FROM", ""), os.environ.get("FORNIX_MAIL_SET", "")


def is_local() -> bool:
    """Return whether this is the system on one computer, where webhooks may go to loopback."""
    return os.environ.get("FORNIX_LOCAL") == "yes"


def front_secret() -> str:
    """Return the secret that the site's distribution sends with each request; may be empty."""
    return os.environ.get("FORNIX_FRONT", "")


def metrics_namespace() -> str | None:
    """Return the namespace of the metrics; None outside a deployed function."""
    return os.environ.get("FORNIX_METRICS") or None


def region() -> str | None:
    """Return the AWS region the function runs in."""
    return os.environ.get("AWS_REGION")
