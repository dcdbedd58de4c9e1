"""What can be set for a deployment, read once from the CDK context (``cdk.json`` and ``-c``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing it starts the CDK's node process
    from constructs import Node

from shared.alf import names

ROOT = Path(__file__).parents[1]
"""The checkout: what the functions' code is bundled from."""

RUNTIME = "python3.13"
"""Python of every function on AWS (the embedded cloud runs them in its own interpreter)."""

STAGE = "v1"
"""Name of the REST API's only stage."""


@dataclass(frozen=True)
class Settings:
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
        Who is told about alarms; empty for nobody.
    monthly_budget_usd
        AWS Budgets limit that raises a notification.
    backup_vault
        ARN of an AWS Backup vault in another region, where table and bucket are copied every
        night (`infra.backup`); empty for none.
    """

    name: str = "fornix"
    labs: tuple[str, ...] = ()
    local: bool = False
    bundle: bool = False
    alarm_email: str = ""
    monthly_budget_usd: int = 100
    backup_vault: str = ""

    @classmethod
    def from_context(cls, node: Node) -> Settings:
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
        return cls(
            name=read("name", cls.name),
            labs=tuple(labs),
            local=_truth(read("local", False)),
            bundle=_truth(read("bundle", False)),
            alarm_email=read("alarm_email", ""),
            backup_vault=read("backup_vault", ""),
            monthly_budget_usd=int(read("monthly_budget_usd", cls.monthly_budget_usd)),
        )


def _truth(value: object) -> bool:
    """Tell whether a context value means yes (``-c`` gives text, ``cdk.json`` a boolean)."""
    return value is True or str(value).lower() in ("1", "true", "yes")
