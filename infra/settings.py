"""Settings of a deployment, read once from the CDK context (``cdk.json`` and ``-c``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing it starts the CDK's node process
    from constructs import Node

from shared.alf import names

ROOT = Path(__file__).parents[1]
"""The checkout, the source of the functions' code."""

RUNTIME = "python3.13"
"""Python of every function on AWS (the embedded cloud runs them in its own interpreter)."""

STAGE = "v1"
"""Name of the REST API's only stage."""

API_ALIAS = "live"
"""Alias of the API's function that callers invoke: its latest published version."""

APP = "/app"
"""Path of the notebook app on the site."""

API_PREFIX = "/rest"
"""Path of the API on the site, for the site's own pages and their cookie."""

RECORDS_READY = "the administrator and the lists of names are there"
"""Printed by ``infra.prepare`` when the API can be used; the site's files follow."""


@dataclass(frozen=True)
class Deployment:
    """One deployment.

    Attributes
    ----------
    name
        Prefix of every physical name, so that deployments can share an account.
    labs
        Labs that get a work queue and a worker role.
    local
        Deploy into the embedded cloud: plain http, code by parameter, everything removable.
    bundle
        Install the functions' requirements for AWS (slow; needs a package index).
    alarm_email
        Receiver of alarms; empty for nobody.
    mail_from
        Sender address of notices; if empty, notices appear in the app only. The address or its
        domain must be a verified identity of the account in SES.
    monthly_budget_usd
        AWS Budgets limit that raises a notification.
    backup_vault
        ARN of an AWS Backup vault in another region, where table and bucket are copied every
        night (`infra.backup`); empty for none.
    throttle_rate, throttle_burst
        Requests per second that the API accepts from all callers together, on average and in
        bursts; more are answered 429.
    api_concurrency
        Most concurrent instances of the API's function (Lambda's reserved concurrency); 0 leaves
        it to the account's limit, which is only ten for a new account.
    waf
        Whether a web firewall (AWS WAF, some 10 USD a month) is before the API: AWS's common
        rules, and at most ``waf_rate`` requests from one address in five minutes.
    keeper
        ARN of a role that may delete objects of the data bucket; empty for nobody.
    lock_days
        Days for which S3 keeps every version of an object, even if deleted (Object Lock); 0 for
        none. It can be turned on for a new bucket only.
    oidc_issuer, oidc_audience, oidc_claim
        Sign-in by an OpenID Connect provider, Cognito say (`functions.api.auth.oidc`).
    public_account
        ``user:password`` of the public account, which reads public data with clients that need a
        login; empty for none.
    licence, licence_url, citation, doi
        Facts about the data on the results site: the licence's name and address, the citation and
        the DOI; empty ones are left out.
    batch_vcpus
        Most cores of workers that AWS Batch runs on Fargate for labs without machines, all labs
        together; 0 for none (`infra.batch`).
    recordings
        Whether raw recordings of public sessions are copied to the site, for everybody to view; S3
        then stores them twice.
    free_raw_days
        Days after its upload until a raw recording expires whose compressed copy is proved (for 30
        more days, or ``lock_days``, S3 keeps it as an old version); 0 keeps every raw file.
    """

    name: str = "fornix"
    labs: tuple[str, ...] = ()
    local: bool = False
    bundle: bool = False
    alarm_email: str = ""
    mail_from: str = ""
    monthly_budget_usd: int = 100
    backup_vault: str = ""
    throttle_rate: int = 200
    throttle_burst: int = 400
    api_concurrency: int = 0
    waf: bool = False
    waf_rate: int = 2_000
    keeper: str = ""
    lock_days: int = 0
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_claim: str = "email"
    public_account: str = ""
    licence: str = ""
    licence_url: str = ""
    citation: str = ""
    doi: str = ""
    batch_vcpus: int = 0
    recordings: bool = True
    free_raw_days: int = 14

    @classmethod
    def from_context(cls, node: Node) -> Deployment:
        """Read the settings from the context of a construct.

        Raises
        ------
        ValueError
            If a lab's name cannot be part of a queue's name.
        """

        def read(key: str, default: Any) -> Any:
            value = node.try_get_context(key)
            return default if value is None else value

        labs = read("labs", [])
        if isinstance(labs, str):  # from the command line: -c labs=a,b
            labs = [lab for lab in labs.split(",") if lab]
        for lab in labs:
            try:
                names.check("lab", lab)
            except ValueError as error:
                raise ValueError(f"a lab in the context 'labs': {error}") from None
        numbers = (
            *("monthly_budget_usd", "throttle_rate", "throttle_burst"),
            *("api_concurrency", "waf_rate", "lock_days", "batch_vcpus", "free_raw_days"),
        )
        texts = (
            *("name", "alarm_email", "mail_from", "backup_vault", "keeper"),
            *("oidc_issuer", "oidc_audience", "oidc_claim", "public_account"),
            *("licence", "licence_url", "citation", "doi"),
        )
        values: dict[str, Any] = {
            **{setting: _truth(read(setting, False)) for setting in ("local", "bundle", "waf")},
            "recordings": _truth(read("recordings", True)),
            **{setting: int(read(setting, getattr(cls, setting))) for setting in numbers},
            **{setting: str(read(setting, getattr(cls, setting))) for setting in texts},
        }
        return cls(labs=tuple(labs), **values)


def _truth(value: object) -> bool:
    """Return whether a context value means yes (``-c`` gives text, ``cdk.json`` a boolean)."""
    return value is True or str(value).lower() in ("1", "true", "yes")
