"""Permissions in AWS: one role per function and per lab's workers, with minimal rights.

One file, because a reviewer of permissions reads them all. Statements name the table's indexes,
the buckets' prefixes and single queues; the few that end in ``*`` do so within a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.queues import Queues
from infra.settings import Deployment
from infra.storage import Storage
from shared.model import prefixes

READ_ITEMS = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
WRITE_ITEMS = (
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
)

READ_ALL = "dynamodb:Scan"
"""For functions with the search index: without a snapshot it is read from the table."""

CREDENTIALS = ("CRED#*", "TOK#*", "TOKENS#*", "TRY#*", "KEY#*", "CHGX#*", "HOOKKEY#*")
"""Partitions of password and token hashes (`functions.api.auth`) and of the webhooks' secrets.
Only the API may use them; the journal also reads ``CHGX`` (passwords' hashes), and the signing
function reads the webhooks' secrets."""

SECRETS_OF_HOOKS = "HOOKKEY#*"
"""The one of these partitions that the signing function may read."""

TOKENS = ("TOK#*", "TOKENS#*", "TRY#*", "KEY#*")
"""Partitions denied to the journal: a restore must not bring back a token."""

ACCOUNTS = tuple(
    f"{prefix}#{kind}#*"
    for prefix in ("DOC", "UNIQ")
    for kind in ("user", "lab", "tag", "data-repository")
)
"""Partitions of accounts and of their rights: labs, releases, places of files."""

AUDIT = ("AUD#*",)
"""Partitions of the audit trail (`shared.records.audit`)."""

TOLD = ("DOC#notification#*", "AUD#*", "CHG#*", "HOOK#*", "HOOKS")
"""Partitions of notices with their audit trail and the feed, of the webhooks' deliveries and of
their place in the feed."""

AGGREGATED = ("AGG#subjects.subject#*", "DSID#*", "AUD#*", "CHG#*")
"""Partitions of a mouse's own datasets, with the ids that lead to them, audit trail and feed."""

CHANGE_ITEMS = ("dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem")

SPECIFIC = "SPECIFIC_ATTRIBUTES"
"""Value of ``dynamodb:Select`` in a request that names its attributes."""

PASSWORD = ("generation", "hashed", "salt", "sealed")
"""Attributes that only a password's hash has; partitions cannot be denied to a scan."""


class Permissions:
    """The roles of the functions and of the workers, with their policies.

    Parameters
    ----------
    scope
        Construct that the roles belong to.
    names
        Names of the functions.
    """

    def __init__(
        self,
        scope: Construct,
        settings: Deployment,
        storage: Storage,
        queues: Queues,
        names: Sequence[str],
    ) -> None:
        self.scope = scope
        self.settings = settings
        self.storage = storage
        self.queues = queues
        self.roles = {name: self._role(name) for name in names}

    def grant(self) -> dict[str, iam.Role]:
        """Attach the policies; return the workers' roles by lab."""
        worker_roles = {lab: self._worker_role(lab) for lab in self.settings.labs}
        self._grant_api()
        self._grant_ingest()
        self._grant_dispatch()
        self._grant_analysis()
        self._grant_journal()
        self._grant_notices()
        for name in self.roles:
            if name not in ("api", "journal"):
                signs = SECRETS_OF_HOOKS if name == "notices" else ""
                hidden = [partition for partition in CREDENTIALS if partition != signs]
                self._keep_from_credentials(self.roles[name], hidden)
        for name in ("ingest", "dispatch", "analysis", "notices"):
            self._keep_from_accounts(self.roles[name])
        for name in ("api", "ingest", "dispatch", "analysis", "notices"):
            self._only_add_to_the_audit(self.roles[name])
        return worker_roles

    # -- what each function may do -------------------------------------------------------------

    def _grant_api(self) -> None:
        """Sign uploads and downloads, write imports' manifests, lend workers their lab's role."""
        role = self.roles["api"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS, READ_ALL)
        self._objects(
            role,
            [prefixes.INCOMING, prefixes.NOTES],
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        )
        readable = [prefixes.DATA, prefixes.MANIFESTS, prefixes.SNAPSHOTS, prefixes.CACHE]
        readable += [prefixes.INDEXES, prefixes.LAB_PAGES]
        self._objects(role, readable, "s3:GetObject")
        self._objects(role, [prefixes.RELEASES, prefixes.GATHERED], "s3:GetObject", "s3:PutObject")
        self._list(role)
        pairs = list(self.queues.all.values())
        self._send(role, *(pair.main for pair in pairs))  # sends undeliverable messages again
        self._allow(
            role,
            ["sqs:GetQueueAttributes"],
            [queue.queue_arn for pair in pairs for queue in (pair.main, pair.dead)],
        )
        self._allow(
            role,
            ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            [pair.dead.queue_arn for pair in pairs],
        )
        if self.settings.labs:
            self._allow(
                role,
                ["sts:AssumeRole"],
                [self.worker_role_arn(lab) for lab in self.settings.labs],
            )

    def _grant_ingest(self) -> None:
        """Move uploads from ``incoming/`` to their places, write manifests."""
        role = self.roles["ingest"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS)
        self._objects(
            role,
            [prefixes.INCOMING],
            "s3:GetObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
        )
        self._objects(
            role,
            [prefixes.DATA, prefixes.QUARANTINE, prefixes.MANIFESTS],
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
        )
        self._objects(role, [prefixes.INDEXES], "s3:PutObject")
        self._objects(role, [prefixes.NOTES], "s3:PutObject")  # images and their smaller pictures
        self._list(role)
        self._send(role, self.queues.stages["ingest"].main, self.queues.stages["dispatch"].main)

    def _grant_dispatch(self) -> None:
        """Keep the task table and announce work; mark freed raw files, read no object."""
        role = self.roles["dispatch"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS)
        self._mark_freed(role)
        self._list(role)  # whether the copy of a freed file is there
        self._send(
            role,
            self.queues.stages["dispatch"].main,
            self.queues.stages["analysis"].main,
            *(pair.main for pair in self.queues.work.values()),
        )
        self._allow(
            role,
            ["sqs:GetQueueAttributes"],  # the sweep checks whether a queue is empty
            [pair.main.queue_arn for pair in self.queues.work.values()],
        )

    def _grant_analysis(self) -> None:
        """Read records and data; write site, lab pages, search snapshot and cache tables.

        And the tables over all sessions of a mouse: datasets of the mouse, never of a session.
        It asks itself for cache tables that it has put off.
        """
        role = self.roles["analysis"]
        self._send(role, self.queues.stages["analysis"].main)
        self._table(role, *READ_ITEMS, READ_ALL, "dynamodb:ConditionCheckItem")
        self._write_only(role, AGGREGATED)
        self._objects(role, [f"{prefixes.DATA}{prefixes.AGGREGATES}"], "s3:PutObject")
        self._objects(role, [prefixes.DATA, prefixes.MANIFESTS, prefixes.RELEASES], "s3:GetObject")
        written = [prefixes.SNAPSHOTS, prefixes.CACHE, prefixes.LAB_PAGES]
        self._objects(role, written, "s3:GetObject", "s3:PutObject")
        self._objects(role, [prefixes.SNAPSHOTS, prefixes.LAB_PAGES], "s3:DeleteObject")
        self._list(role)
        site = self.storage.site.bucket_arn
        actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        self._allow(role, actions, [f"{site}/*"])
        self._allow(role, ["s3:ListBucket"], [site])

    def _grant_journal(self) -> None:
        """Read committed entries, add to the journal; change or delete nothing."""
        role = self.roles["journal"]
        self._table(role, *READ_ITEMS, READ_ALL)
        self._objects(role, [prefixes.JOURNAL], "s3:GetObject", "s3:PutObject")
        self._allow(role, ["s3:ListBucket"], [self.storage.data.bucket_arn])
        self._send(role, self.queues.stages["analysis"].main)  # asks for new cache tables
        role.add_to_policy(
            iam.PolicyStatement(
                sid="NoTokens",
                effect=iam.Effect.DENY,
                actions=list(READ_ITEMS),
                resources=[self.storage.table.table_arn],
                conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": list(TOKENS)}},
            )
        )

    def _grant_notices(self) -> None:
        """Read records, write notices and their outcomes; send e-mails from one address."""
        role = self.roles["notices"]
        self._table(role, *READ_ITEMS, READ_ALL, "dynamodb:ConditionCheckItem")
        self._write_only(role, TOLD)
        self._objects(role, [prefixes.SNAPSHOTS], "s3:GetObject")
        self._list(role)
        pair = self.queues.stages["notices"]
        self._send(role, pair.main, pair.dead)  # messages without a taker go there
        if self.settings.mail_from:
            own = f"arn:{Aws.PARTITION}:ses:{Aws.REGION}:{Aws.ACCOUNT_ID}"
            domain = self.settings.mail_from.rpartition("@")[2]
            self._allow(
                role,
                ["ses:SendEmail"],
                [
                    f"{own}:identity/{self.settings.mail_from}",
                    f"{own}:identity/{domain}",
                    f"{own}:configuration-set/{self.settings.name}-notices",
                ],
            )

    def _mark_freed(self, role: iam.Role) -> None:
        """Allow a role to give objects of datasets the tag of freed files, and no other tag."""
        if not self.settings.free_raw_days:
            return
        tag, value = prefixes.FREED_TAG
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:PutObjectTagging"],
                resources=[f"{self.storage.data.bucket_arn}/{prefixes.DATA}*"],
                # The embedded cloud does not know these keys, and would refuse.
                conditions=None
                if self.settings.local
                else {
                    "StringEquals": {f"s3:RequestObjectTag/{tag}": value},
                    "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": [tag]},
                },
            )
        )

    # -- statements ----------------------------------------------------------------------------

    def _allow(
        self,
        role: iam.Role,
        actions: Sequence[str],
        resources: Sequence[str],
    ) -> None:
        """Add one statement to a role's policy."""
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=list(resources)))

    def _table(self, role: iam.Role, *actions: str) -> None:
        """Allow actions on the table; queries on its two indexes as well."""
        table = self.storage.table.table_arn
        self._allow(role, actions, [table])
        self._allow(role, ["dynamodb:Query"], [f"{table}/index/gsi1", f"{table}/index/gsi2"])

    def _keep_from_credentials(self, role: iam.Role, kept: Sequence[str]) -> None:
        """Deny a role the partitions with password and token hashes.

        Partitions cannot be denied to a scan, but attributes can: it must name its attributes, and
        a password's are refused. A scan can still see the key of a token, the SHA-256 of 160
        random bits, which is useless.
        """
        table = self.storage.table.table_arn
        role.add_to_policy(
            iam.PolicyStatement(
                sid="NotTheCredentials",
                effect=iam.Effect.DENY,
                actions=[*READ_ITEMS, *WRITE_ITEMS],
                resources=[table, f"{table}/index/gsi1", f"{table}/index/gsi2"],
                conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": list(kept)}},
            )
        )
        for sid, conditions in (
            ("ScansNameAttributes", {"StringNotEquals": {"dynamodb:Select": SPECIFIC}}),
            ("NoPasswords", {"ForAnyValue:StringEquals": {"dynamodb:Attributes": list(PASSWORD)}}),
        ):
            role.add_to_policy(
                iam.PolicyStatement(
                    sid=sid,
                    effect=iam.Effect.DENY,
                    actions=[READ_ALL],
                    resources=[table],
                    conditions=conditions,
                )
            )

    def _keep_from_accounts(self, role: iam.Role) -> None:
        """Deny a role to write accounts, ownership and visibility.

        Its own records (sessions, datasets, tasks) are in other partitions of the same table.
        """
        self._deny_writes(role, "NotTheAccounts", WRITE_ITEMS, ACCOUNTS)

    def _only_add_to_the_audit(self, role: iam.Role) -> None:
        """Deny a role to change or delete entries of the audit trail.

        Every write adds its entry in the same transaction, so roles that write may add entries.
        """
        self._deny_writes(role, "AuditIsOnlyAddedTo", CHANGE_ITEMS, AUDIT)

    def _write_only(self, role: iam.Role, partitions: Sequence[str]) -> None:
        """Allow writing some partitions of the table."""
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"],
                resources=[self.storage.table.table_arn],
                conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(partitions)}},
            )
        )

    def _deny_writes(
        self, role: iam.Role, sid: str, actions: Sequence[str], partitions: Sequence[str]
    ) -> None:
        role.add_to_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                actions=list(actions),
                resources=[self.storage.table.table_arn],
                conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": list(partitions)}},
            )
        )

    def _objects(self, role: iam.Role, under: Sequence[str], *actions: str) -> None:
        """Allow actions on the objects under prefixes of the data bucket."""
        bucket = self.storage.data.bucket_arn
        self._allow(role, actions, [f"{bucket}/{prefix}*" for prefix in under])

    def _list(self, role: iam.Role) -> None:
        """Allow listing the data bucket's keys.

        There is no limit to a prefix: S3 answers a missing object with 404 only to roles that may
        list the whole bucket, with 403 to others, and the functions must distinguish missing from
        forbidden.
        """
        self._allow(
            role,
            ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
            [self.storage.data.bucket_arn],
        )

    def _send(self, role: iam.Role, *targets: sqs.IQueue) -> None:
        """Allow sending to single queues."""
        self._allow(
            role,
            ["sqs:SendMessage", "sqs:GetQueueUrl"],
            [target.queue_arn for target in targets],
        )

    # -- roles ---------------------------------------------------------------------------------

    def _role(self, name: str) -> iam.Role:
        """Return a function's role: assumed by Lambda only, writing its own log group only."""
        function = f"{self.settings.name}-{name}"
        role = iam.Role(
            self.scope,
            f"{name.title()}Role",
            role_name=f"{function}-{Aws.REGION}",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What the function {function} may do",
        )
        group = (
            f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:"
            f"log-group:/aws/lambda/{function}:*"
        )
        self._allow(role, ["logs:CreateLogStream", "logs:PutLogEvents"], [group])
        return role

    # -- workers -------------------------------------------------------------------------------

    def worker_role_arn(self, lab: str) -> str:
        """Return the ARN of a lab's worker role (with an empty lab the common prefix)."""
        prefix = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role"
        return f"{prefix}/{self.settings.name}-worker-{lab}"

    def _worker_role(self, lab: str) -> iam.Role:
        """Return the role that the API lends for an hour to a lab's workers, and to no one else.

        It may only read the lab's work queue; data are read by presigned addresses.
        """
        role = iam.Role(
            self.scope,
            f"Worker-{lab}",
            role_name=f"{self.settings.name}-worker-{lab}",
            assumed_by=iam.ArnPrincipal(self.roles["api"].role_arn),
            max_session_duration=Duration.hours(1),
            description=f"Workers of {lab}: their work queue only",
        )
        self._allow(
            role,
            [
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            [self.queues.work[lab].main.queue_arn],
        )
        return role
