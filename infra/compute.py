"""The four functions, each with one role that may do what the function needs and nothing more.

Every permission of the system is in this file. Statements name the table's indexes, the buckets'
prefixes and single queues; the few that end in ``*`` do so within a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, CfnParameter, Duration, RemovalPolicy
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.bundling import code, image
from infra.queues import Queues
from infra.settings import RUNTIME, Settings
from infra.storage import Storage
from shared.records.imports import PREFIX as IMPORTS

API_HANDLER = "functions.api.app.handler"
HANDLERS = {
    "ingest": "functions.ingest.handler.handler",
    "dispatch": "functions.dispatch.handler.handler",
    "analysis": "functions.analysis.handler.handler",
}

TIMEOUTS = {
    "api": Duration.seconds(29),  # API Gateway waits no longer
    "ingest": Duration.minutes(5),
    "dispatch": Duration.minutes(1),
    "analysis": Duration.minutes(15),  # the most that Lambda allows
}

MEMORY_MB = {"api": 1769, "ingest": 2048, "dispatch": 1024, "analysis": 3008}
"""1769 MB is one whole core, which is what a cold start waits for."""

LOCAL_CONCURRENCY = {"ingest": 4, "dispatch": 2, "analysis": 2}
"""Invocations that a queue sets off at a time in the embedded cloud; SQS takes no fewer than 2."""

READ_ITEMS = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
WRITE_ITEMS = (
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
)

READ_ALL = "dynamodb:Scan"
"""For who keeps or writes the search index: without a snapshot it is read from the table."""

CREDENTIALS = ("CRED#*", "TOK#*", "TOKENS#*", "TRY#*")
"""Partitions of password and token hashes (``functions.api.auth``): the API's alone."""

SPECIFIC = "SPECIFIC_ATTRIBUTES"
"""What ``dynamodb:Select`` is when a request names the attributes that it wants."""

PASSWORD = ("hashed", "salt")
"""Attributes that nothing but a password's hash has; a scan knows no partitions to keep from."""


class Functions(Construct):
    """Functions, their roles, log groups and event sources, and the workers' roles."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        storage: Storage,
        queues: Queues,
        site_url: str,
        local_parameters: dict[str, CfnParameter],
    ) -> None:
        super().__init__(scope, "Functions")
        self.settings = settings
        self.storage = storage
        self.queues = queues
        self.local_parameters = local_parameters
        stages = queues.stages
        environment = {
            "FORNIX_TABLE": storage.table.table_name,
            "FORNIX_DATA_BUCKET": storage.data.bucket_name,
            "FORNIX_SITE_BUCKET": storage.site.bucket_name,
            "FORNIX_INGEST_QUEUE_URL": stages["ingest"].main.queue_url,
            "FORNIX_DISPATCH_QUEUE_URL": stages["dispatch"].main.queue_url,
            "FORNIX_ANALYSIS_QUEUE_URL": stages["analysis"].main.queue_url,
            "FORNIX_WORK_QUEUE_PREFIX": queues.work_prefix(),
            "FORNIX_WORKER_ROLE_PREFIX": self._worker_role_arn(""),
            "FORNIX_SITE_URL": site_url,
            "FORNIX_LABS": ",".join(settings.labs),
            "FORNIX_METRICS": settings.name,
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        if settings.local:
            environment["FORNIX_API_URL"] = local_parameters["ApiUrl"].value_as_string

        self.roles = {name: self._role(name) for name in ("api", *HANDLERS)}
        self.api = self._zip_function("api", API_HANDLER, environment)
        self.ingest = self._zip_function("ingest", HANDLERS["ingest"], environment)
        self.dispatch = self._zip_function("dispatch", HANDLERS["dispatch"], environment)
        self.analysis = self._analysis_function(environment)
        self.all: dict[str, lambda_.Function] = {
            "api": self.api,
            "ingest": self.ingest,
            "dispatch": self.dispatch,
            "analysis": self.analysis,
        }
        self._consume("ingest", batch_size=10, concurrency=20)
        self._consume("dispatch", batch_size=10, concurrency=5)
        self._consume("analysis", batch_size=25, concurrency=5)
        self.worker_roles = {lab: self._worker_role(lab) for lab in settings.labs}
        self._grant_api()
        self._grant_ingest()
        self._grant_dispatch()
        self._grant_analysis()
        for name in HANDLERS:
            self._keep_from_credentials(self.roles[name])

    # -- what each function may do -------------------------------------------------------------

    def _grant_api(self) -> None:
        """Sign uploads and downloads, write imports' manifests, lend workers their lab's role."""
        role = self.roles["api"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS, READ_ALL)
        self._objects(
            role,
            ["incoming/", "notes/"],
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        )
        self._objects(role, ["data/", "manifests/", "snapshots/", "cache/"], "s3:GetObject")
        self._objects(role, [IMPORTS], "s3:PutObject")
        self._list(role)
        self._send(role, self.queues.stages["ingest"].main, self.queues.stages["dispatch"].main)
        if self.settings.labs:
            self._allow(
                role,
                ["sts:AssumeRole"],
                [self._worker_role_arn(lab) for lab in self.settings.labs],
            )

    def _grant_ingest(self) -> None:
        """Move uploads from ``incoming/`` to ``data/`` or ``quarantine/``, write manifests."""
        role = self.roles["ingest"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS)
        self._objects(
            role,
            ["incoming/"],
            "s3:GetObject",
            "s3:DeleteObject",
            "s3:AbortMultipartUpload",
        )
        self._objects(
            role,
            ["data/", "quarantine/", "manifests/"],
            "s3:GetObject",
            "s3:PutObject",
            "s3:AbortMultipartUpload",
        )
        self._list(role)
        self._send(role, self.queues.stages["ingest"].main, self.queues.stages["dispatch"].main)

    def _grant_dispatch(self) -> None:
        """Keep the task table and announce work; no object of any bucket."""
        role = self.roles["dispatch"]
        self._table(role, *READ_ITEMS, *WRITE_ITEMS)
        self._send(
            role,
            self.queues.stages["dispatch"].main,
            self.queues.stages["analysis"].main,
            *(pair.main for pair in self.queues.work.values()),
        )
        self._allow(
            role,
            ["sqs:GetQueueAttributes"],  # the sweep looks whether a queue has been emptied
            [pair.main.queue_arn for pair in self.queues.work.values()],
        )

    def _grant_analysis(self) -> None:
        """Read records and data; write the site, the search snapshot and the cache tables."""
        role = self.roles["analysis"]
        self._table(role, *READ_ITEMS, READ_ALL)
        self._objects(role, ["data/", "manifests/"], "s3:GetObject")
        self._objects(role, ["snapshots/", "cache/"], "s3:GetObject", "s3:PutObject")
        self._objects(role, ["snapshots/"], "s3:DeleteObject")
        self._list(role)
        site = self.storage.site.bucket_arn
        self._allow(role, ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [f"{site}/*"])
        self._allow(role, ["s3:ListBucket"], [site])

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

    def _keep_from_credentials(self, role: iam.Role) -> None:
        """Deny a role the partitions with password and token hashes.

        A scan cannot be kept from partitions, but from attributes: it has to name those it wants,
        and a password's are refused. What it can still see of a token is its key, the SHA-256 of
        160 random bits, which is of no use.
        """
        table = self.storage.table.table_arn
        role.add_to_policy(
            iam.PolicyStatement(
                sid="NotTheCredentials",
                effect=iam.Effect.DENY,
                actions=[*READ_ITEMS, *WRITE_ITEMS],
                resources=[table, f"{table}/index/gsi1", f"{table}/index/gsi2"],
                conditions={"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": list(CREDENTIALS)}},
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

    def _objects(self, role: iam.Role, prefixes: Sequence[str], *actions: str) -> None:
        """Allow actions on the objects under prefixes of the data bucket."""
        bucket = self.storage.data.bucket_arn
        self._allow(role, actions, [f"{bucket}/{prefix}*" for prefix in prefixes])

    def _list(self, role: iam.Role) -> None:
        """Allow listing the data bucket's keys.

        Not by prefix: S3 answers a missing object with 404 only to who may list the bucket
        whole, with 403 to others, and the functions have to tell missing from forbidden.
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

    # -- functions, roles, sources -------------------------------------------------------------

    def _role(self, name: str) -> iam.Role:
        """Return a function's role: assumed by Lambda only, writing its own log group only."""
        function = f"{self.settings.name}-{name}"
        role = iam.Role(
            self,
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

    def _common(self, name: str, environment: dict[str, str]) -> dict[str, object]:
        """Return what all functions have: role, log group, limits, tracing, dead letters."""
        function = f"{self.settings.name}-{name}"
        group = logs.LogGroup(
            self,
            f"{name.title()}Log",
            log_group_name=f"/aws/lambda/{function}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        common: dict[str, object] = {
            "function_name": function,
            "role": self.roles[name],
            "log_group": group,
            "logging_format": lambda_.LoggingFormat.JSON,
            "timeout": TIMEOUTS[name],
            "memory_size": MEMORY_MB[name],
            "architecture": lambda_.Architecture.ARM_64,
            "tracing": lambda_.Tracing.ACTIVE,
            "environment": environment | {"POWERTOOLS_SERVICE_NAME": name},
        }
        if name in self.queues.stages:  # schedules invoke these without waiting for an answer
            common["dead_letter_queue"] = self.queues.stages[name].dead
            common["max_event_age"] = Duration.hours(1)
            common["retry_attempts"] = 2
        return common

    def _zip_function(
        self, name: str, handler: str, environment: dict[str, str]
    ) -> lambda_.Function:
        """Return a function whose code is the folders ``functions/`` and ``shared/``."""
        return lambda_.Function(
            self,
            name.title(),
            runtime=lambda_.Runtime(RUNTIME, lambda_.RuntimeFamily.PYTHON),
            handler=handler,
            code=code(self.settings, self.local_parameters),
            **self._common(name, environment),
        )

    def _analysis_function(self, environment: dict[str, str]) -> lambda_.Function:
        """Return the analysis function: its libraries exceed a zip, so on AWS it is an image."""
        if self.settings.local:
            return self._zip_function("analysis", HANDLERS["analysis"], environment)
        return lambda_.DockerImageFunction(
            self,
            "Analysis",
            code=image(ecr_assets.Platform.LINUX_ARM64, HANDLERS["analysis"]),
            **self._common("analysis", environment),
        )

    def _consume(self, name: str, *, batch_size: int, concurrency: int) -> None:
        """Feed a function from its queue; only the failed messages of a batch come again.

        One computer has few cores: there a burst of events must not start a process for each.
        """
        self.all[name].add_event_source(
            sources.SqsEventSource(
                self.queues.stages[name].main,
                batch_size=batch_size,
                report_batch_item_failures=True,
                max_concurrency=LOCAL_CONCURRENCY[name] if self.settings.local else concurrency,
                # The events of an upload's files come together, and sessions of a mouse end
                # together: one invocation for some of them.
                max_batching_window=Duration.seconds(1),
            )
        )

    # -- workers -------------------------------------------------------------------------------

    def _worker_role_arn(self, lab: str) -> str:
        """Return the ARN of a lab's worker role (with an empty lab: what all begin with)."""
        prefix = f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role"
        return f"{prefix}/{self.settings.name}-worker-{lab}"

    def _worker_role(self, lab: str) -> iam.Role:
        """Return the role that a lab's workers get for an hour from the API, and no one else.

        It reads the lab's work queue and nothing more; data come by presigned addresses.
        """
        role = iam.Role(
            self,
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
