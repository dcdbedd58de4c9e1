"""Workers for labs without machines: the same ``fornix worker`` as a job of AWS Batch on Fargate.

Messages in a lab's queue raise an alarm. The alarm's event submits one job for that lab, which
works until no message has come for five minutes. An empty queue costs nothing. While messages wait
the alarm is raised anew every half hour: another job helps, and one that died is replaced.
"""

from __future__ import annotations

from aws_cdk import Duration, IgnoreMode, RemovalPolicy, Size
from aws_cdk import aws_batch as batch
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from infra.bundling import FOLDERS, PYTHON_VERSION
from infra.queues import Queues
from infra.settings import ROOT, Deployment

DOCKERFILE = "lab/worker/recipes/Dockerfile"

IDLE_SECONDS = 300
"""A job ends after this time without a message."""

VCPUS, MEMORY_GB, DISK_GB = 2, 16, 100
"""Size of one job, with room for any task without a graphics card: spike sorting asks for 8 GB,
which a computer of 8 GB has not free. Fargate has at most 200 GB of disk."""

COPIED = (*FOLDERS, "fornix", "lab", "infra", "site/results")
"""Folders that the image is made of."""

WAITING = "IF(m > 0 AND (MINUTE(m) < 25 OR (MINUTE(m) >= 30 AND MINUTE(m) < 55)), 1, 0)"
"""Whether messages wait; never in the last five minutes of a half hour. Only an alarm's rise is an
event, and it can rise again only after it has fallen."""

LONGEST_HOURS = 24
"""A job that hangs is ended after this time."""


class BatchWorkers(Construct):
    """A network, an environment, a queue of jobs; for each lab a job, its token and its alarm."""

    def __init__(self, scope: Construct, settings: Deployment, queues: Queues, api: str) -> None:
        super().__init__(scope, "BatchWorkers")
        self.settings = settings
        self.jobs = batch.JobQueue(
            self,
            "Jobs",
            job_queue_name=f"{settings.name}-workers",
            compute_environments=[
                batch.OrderedComputeEnvironment(
                    compute_environment=batch.FargateComputeEnvironment(
                        self,
                        "Fargate",
                        compute_environment_name=f"{settings.name}-workers",
                        vpc=self._network(),
                        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
                        maxv_cpus=settings.batch_vcpus,
                    ),
                    order=1,
                )
            ],
        )
        self.image = ecs.ContainerImage.from_asset(
            str(ROOT),
            file=DOCKERFILE,
            platform=ecr_assets.Platform.LINUX_AMD64,
            build_args={"PYTHON_VERSION": PYTHON_VERSION},
            exclude=[
                "**",
                *(f"!{folder}/**" for folder in COPIED),
                *(f"!{name}" for name in ("requirements.lock", "pyproject.toml")),
                *("!README.md", "!LICENSE", f"!{DOCKERFILE}"),
            ],
            ignore_mode=IgnoreMode.DOCKER,
        )
        self.log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/{settings.name}/batch-workers",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        for lab in settings.labs:
            self._submit(lab, self._job(lab, api), queues)

    def _network(self) -> ec2.Vpc:
        """Return a network with outgoing connections only: nobody calls the workers."""
        network = ec2.Vpc(
            self,
            "Network",
            max_azs=2,
            nat_gateways=0,
            restrict_default_security_group=False,  # needs a custom resource; the group is unused
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24
                )
            ],
        )
        flow = logs.LogGroup(
            self,
            "Flow",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        network.add_flow_log("Flow", destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow))
        return network

    def _job(self, lab: str, api: str) -> batch.EcsJobDefinition:
        """Return the job of a lab; its account is a secret that an administrator fills in."""
        token = secrets.Secret(
            self,
            f"Token-{lab}",
            secret_name=f"{self.settings.name}/worker/{lab}",
            description=f"API token of a worker's account of {lab}",
        )
        return batch.EcsJobDefinition(
            self,
            f"Job-{lab}",
            job_definition_name=f"{self.settings.name}-worker-{lab}",
            timeout=Duration.hours(LONGEST_HOURS),
            retry_attempts=3,
            container=batch.EcsFargateContainerDefinition(
                self,
                f"Container-{lab}",
                image=self.image,
                cpu=VCPUS,
                memory=Size.gibibytes(MEMORY_GB),
                ephemeral_storage_size=Size.gibibytes(DISK_GB),
                fargate_cpu_architecture=ecs.CpuArchitecture.X86_64,
                assign_public_ip=True,
                command=["--name", f"batch-{lab}", "--until-idle", str(IDLE_SECONDS)],
                environment={"FORNIX_API_URL": api.rstrip("/")},
                secrets={"FORNIX_TOKEN": batch.Secret.from_secrets_manager(token)},
                logging=ecs.LogDriver.aws_logs(stream_prefix=lab, log_group=self.log),
                job_role=iam.Role(  # no rights of its own: the API lends credentials
                    self,
                    f"Role-{lab}",
                    assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
                ),
            ),
        )

    def _submit(self, lab: str, job: batch.EcsJobDefinition, queues: Queues) -> None:
        """Submit the job when messages of its lab wait."""
        pair = queues.all[f"work-{lab}"]
        alarm = cloudwatch.Alarm(
            self,
            f"Waiting-{lab}",
            alarm_name=f"{self.settings.name}-batch-{lab}",
            alarm_description=f"Tasks of {lab} wait: a worker is started by AWS Batch.",
            metric=cloudwatch.MathExpression(
                expression=WAITING,
                period=Duration.minutes(1),
                using_metrics={
                    "m": pair.main.metric_approximate_number_of_messages_visible(
                        period=Duration.minutes(1), statistic="Maximum"
                    )
                },
            ),
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        events.Rule(
            self,
            f"Start-{lab}",
            rule_name=f"{self.settings.name}-batch-{lab}",
            event_pattern=events.EventPattern(
                source=["aws.cloudwatch"],
                detail_type=["CloudWatch Alarm State Change"],
                resources=[alarm.alarm_arn],
                detail={"state": {"value": ["ALARM"]}},
            ),
            targets=[
                targets.BatchJob(
                    self.jobs.job_queue_arn,
                    self.jobs,
                    job.job_definition_arn,
                    job,
                    job_name=f"worker-{lab}",
                    dead_letter_queue=pair.dead,
                    max_event_age=Duration.hours(1),
                )
            ],
        )
