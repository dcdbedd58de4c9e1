"""Queues between the functions, one work queue per lab, and a dead-letter queue for each."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws, Duration, Fn, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.settings import Deployment
from infra.storage import Storage
from shared.model.prefixes import INCOMING

DEFAULT_RECEIVES = 5
"""Deliveries of a message before it goes to the dead-letter queue."""


@dataclass(frozen=True)
class Pair:
    """A queue and its dead-letter queue."""

    main: sqs.Queue
    dead: sqs.Queue


class Queues(Construct):
    """All queues of the system.

    Visibility timeouts are six times the timeout of the function behind (the SQS event source
    rule); a work queue's message only announces a task, whose lease lives in the table.
    """

    def __init__(
        self, scope: Construct, settings: Deployment, timeouts: dict[str, Duration]
    ) -> None:
        super().__init__(scope, "Queues")
        self.settings = settings
        self.stages = {
            name: self._pair(name, Duration.seconds(6 * timeouts[name].to_seconds()))
            for name in ("ingest", "dispatch", "analysis", "notices")
        }
        self.work = {lab: self._pair(f"work-{lab}", Duration.minutes(5)) for lab in settings.labs}

    @property
    def all(self) -> dict[str, Pair]:
        """Every pair by the name of its queue without the deployment's prefix."""
        return self.stages | {f"work-{lab}": pair for lab, pair in self.work.items()}

    def work_prefix(self) -> str:
        """Return the address of a lab's work queue without the lab's name at its end."""
        ingest = self.stages["ingest"].main.queue_url
        base = Fn.select(0, Fn.split(f"/{self.settings.name}-ingest", ingest))
        return f"{base}/{self.settings.name}-work-"

    def notify_uploads(self, storage: Storage) -> None:
        """Send ingest an event for each object that arrives under the uploads' prefix.

        The notification is a property of the bucket, not a custom resource. The queue's policy
        names the bucket by text, because references in both directions would be a circle.
        """
        queue = self.stages["ingest"].main
        queue.add_to_resource_policy(
            iam.PolicyStatement(
                sid="UploadsArrive",
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[queue.queue_arn],
                conditions={
                    "ArnEquals": {
                        "aws:SourceArn": f"arn:{Aws.PARTITION}:s3:::{storage.data_name}"
                    },
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                },
            )
        )
        bucket = storage.data.node.default_child
        assert isinstance(bucket, s3.CfnBucket)  # noqa: S101
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event="s3:ObjectCreated:*",
                    queue=queue.queue_arn,
                    filter=s3.CfnBucket.NotificationFilterProperty(
                        s3_key=s3.CfnBucket.S3KeyFilterProperty(
                            rules=[s3.CfnBucket.FilterRuleProperty(name="prefix", value=INCOMING)]
                        )
                    ),
                )
            ]
        )
        policy = queue.node.find_child("Policy").node.default_child
        assert isinstance(policy, sqs.CfnQueuePolicy)  # noqa: S101
        bucket.add_resource_dependency(policy)

    def _pair(self, name: str, visibility: Duration) -> Pair:
        """Return a queue with its dead-letter queue; messages wait two weeks at most."""
        dead = self._queue(f"{name}-dead", Duration.minutes(5), None)
        main = self._queue(
            name,
            visibility,
            sqs.DeadLetterQueue(queue=dead, max_receive_count=DEFAULT_RECEIVES),
        )
        return Pair(main, dead)

    def _queue(
        self, name: str, visibility: Duration, dead: sqs.DeadLetterQueue | None
    ) -> sqs.Queue:
        """Return one encrypted queue with access over TLS only (plain http locally)."""
        return sqs.Queue(
            self,
            name,
            queue_name=f"{self.settings.name}-{name}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=not self.settings.local,
            retention_period=Duration.days(14),
            receive_message_wait_time=Duration.seconds(20),
            visibility_timeout=visibility,
            dead_letter_queue=dead,
            removal_policy=RemovalPolicy.DESTROY,
        )
