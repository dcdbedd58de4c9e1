"""The functions: their code, limits, log groups and event sources.

Their permissions are in `infra.permissions`.
"""

from __future__ import annotations

from aws_cdk import CfnParameter, Duration, RemovalPolicy
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.bundling import code, image
from infra.permissions import Permissions
from infra.queues import Queues
from infra.settings import API_ALIAS, RUNTIME, Deployment
from infra.storage import Storage
from infra.website import front_secret

API_HANDLER = "functions.api.app.handler"
HANDLERS = {
    "ingest": "functions.ingest.handler.handler",
    "dispatch": "functions.dispatch.handler.handler",
    "analysis": "functions.analysis.handler.handler",
    "journal": "functions.journal.handler.handler",
    "notices": "functions.notices.handler.handler",
}

TIMEOUTS = {
    "api": Duration.seconds(29),  # the longest that API Gateway waits
    "ingest": Duration.minutes(5),
    "dispatch": Duration.minutes(1),
    "analysis": Duration.minutes(15),  # the most that Lambda allows
    "journal": Duration.minutes(15),  # a snapshot of a large table
    "notices": Duration.minutes(5),
}

MEMORY_MB = {
    **{"api": 1769, "ingest": 2048, "dispatch": 1024},
    **{"analysis": 3008, "journal": 1024, "notices": 1024},
}
"""1769 MB gives one whole core, which limits the time of a cold start."""

LOCAL_CONCURRENCY = {"ingest": 4, "dispatch": 2, "analysis": 2, "notices": 2}
"""Concurrent invocations by a queue in the embedded cloud; SQS requires at least 2."""


def _sign_in(settings: Deployment) -> dict[str, str]:
    """Return the API's variables for sign-in; unset ones are left out."""
    variables = {
        "FORNIX_OIDC_ISSUER": settings.oidc_issuer,
        "FORNIX_OIDC_AUDIENCE": settings.oidc_audience,
        "FORNIX_OIDC_CLAIM": settings.oidc_claim if settings.oidc_issuer else "",
        "FORNIX_PUBLIC_ACCOUNT": settings.public_account,
    }
    return {name: value for name, value in variables.items() if value}


def _of_notices(settings: Deployment) -> dict[str, str]:
    """Return the notices' variables for e-mails; empty if none are sent."""
    if not settings.mail_from:
        return {}
    return {"FORNIX_MAIL_FROM": settings.mail_from, "FORNIX_MAIL_SET": f"{settings.name}-notices"}


def _about_data(settings: Deployment) -> dict[str, str]:
    """Return the analyses' variables about the site's data; unset ones are left out."""
    variables = {
        "FORNIX_LICENCE": settings.licence,
        "FORNIX_LICENCE_URL": settings.licence_url,
        "FORNIX_CITATION": settings.citation,
        "FORNIX_DOI": settings.doi,
        "FORNIX_RECORDINGS": "" if settings.recordings else "no",
    }
    return {name: value for name, value in variables.items() if value}


class Functions(Construct):
    """Functions, their log groups and event sources."""

    def __init__(
        self,
        scope: Construct,
        settings: Deployment,
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
        self.permissions = Permissions(self, settings, storage, queues, ("api", *HANDLERS))
        self.roles = self.permissions.roles
        stages = queues.stages
        environment = {
            "FORNIX_TABLE": storage.table.table_name,
            "FORNIX_DATA_BUCKET": storage.data.bucket_name,
            "FORNIX_SITE_BUCKET": storage.site.bucket_name,
            "FORNIX_INGEST_QUEUE_URL": stages["ingest"].main.queue_url,
            "FORNIX_DISPATCH_QUEUE_URL": stages["dispatch"].main.queue_url,
            "FORNIX_ANALYSIS_QUEUE_URL": stages["analysis"].main.queue_url,
            "FORNIX_NOTICES_QUEUE_URL": stages["notices"].main.queue_url,
            "FORNIX_WORK_QUEUE_PREFIX": queues.work_prefix(),
            "FORNIX_WORKER_ROLE_PREFIX": self.permissions.worker_role_arn(""),
            "FORNIX_SITE_URL": site_url,
            "FORNIX_LABS": ",".join(settings.labs),
            "FORNIX_METRICS": settings.name,
            **({"FORNIX_LOCAL": "yes"} if settings.local else {}),
            **({"FORNIX_FREE_RAW": "yes"} if settings.free_raw_days else {}),
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        if settings.local:
            environment["FORNIX_API_URL"] = local_parameters["ApiUrl"].value_as_string

        of_api = environment | _sign_in(settings)
        if not settings.local:
            of_api["FORNIX_FRONT"] = front_secret()
        self.api = self._zip_function("api", API_HANDLER, of_api)
        if settings.api_concurrency:
            resource = self.api.node.default_child
            assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101
            resource.reserved_concurrent_executions = settings.api_concurrency
        # SnapStart needs published versions; the embedded cloud has neither.
        self.api_entry: lambda_.IFunction = (
            self.api
            if settings.local
            else lambda_.Alias(
                self, "ApiLive", alias_name=API_ALIAS, version=self.api.current_version
            )
        )
        self.ingest = self._zip_function("ingest", HANDLERS["ingest"], environment)
        self.dispatch = self._zip_function("dispatch", HANDLERS["dispatch"], environment)
        self.analysis = self._analysis_function(environment | _about_data(settings))
        self.journal = self._zip_function("journal", HANDLERS["journal"], environment)
        self.notices = self._zip_function(
            "notices", HANDLERS["notices"], environment | _of_notices(settings)
        )
        self.all: dict[str, lambda_.Function] = {
            "api": self.api,
            "ingest": self.ingest,
            "dispatch": self.dispatch,
            "analysis": self.analysis,
            "journal": self.journal,
            "notices": self.notices,
        }
        self._consume("ingest", batch_size=10, concurrency=20)
        self._consume("dispatch", batch_size=10, concurrency=5)
        self._consume("analysis", batch_size=25, concurrency=5)
        self._consume("notices", batch_size=10, concurrency=5)
        self.worker_roles = self.permissions.grant()

    def _common(self, name: str, environment: dict[str, str]) -> dict[str, object]:
        """Return all functions' arguments: role, log group, limits, tracing, dead letters."""
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
        if name in self.queues.stages:  # schedules invoke these asynchronously
            common["dead_letter_queue"] = self.queues.stages[name].dead
            common["max_event_age"] = Duration.hours(1)
            common["retry_attempts"] = 2
        return common

    def _zip_function(
        self, name: str, handler: str, environment: dict[str, str]
    ) -> lambda_.Function:
        """Return a function with the code of the folders ``functions/`` and ``shared/``."""
        return lambda_.Function(
            self,
            name.title(),
            runtime=lambda_.Runtime(
                RUNTIME, lambda_.RuntimeFamily.PYTHON, supports_snap_start=True
            ),
            handler=handler,
            code=code(self.settings, self.local_parameters),
            snap_start=(
                lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS
                if name == "api" and not self.settings.local
                else None
            ),
            **self._common(name, environment),
        )

    def _analysis_function(self, environment: dict[str, str]) -> lambda_.Function:
        """Return the analysis function: an image on AWS, as its libraries exceed a zip."""
        if self.settings.local:
            return self._zip_function("analysis", HANDLERS["analysis"], environment)
        return lambda_.DockerImageFunction(
            self,
            "Analysis",
            code=image(ecr_assets.Platform.LINUX_ARM64, HANDLERS["analysis"]),
            **self._common("analysis", environment),
        )

    def _consume(self, name: str, *, batch_size: int, concurrency: int) -> None:
        """Connect a function to its queue; only the failed messages of a batch are repeated.

        One computer has few cores: a burst of events must not start a process for each event.
        """
        self.all[name].add_event_source(
            sources.SqsEventSource(
                self.queues.stages[name].main,
                batch_size=batch_size,
                report_batch_item_failures=True,
                max_concurrency=LOCAL_CONCURRENCY[name] if self.settings.local else concurrency,
                # The events of an upload's files arrive together, and sessions of a mouse end
                # together: one invocation handles several.
                max_batching_window=Duration.seconds(1),
            )
        )
