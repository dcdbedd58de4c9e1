"""E-mails of notices: SES's configuration set, which reports bounces to the notices' queue."""

from __future__ import annotations

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.queues import Queues
from infra.settings import Deployment

TOLD = (
    ses.EmailSendingEvent.BOUNCE,
    ses.EmailSendingEvent.COMPLAINT,
    ses.EmailSendingEvent.REJECT,
)
"""Events of SES about accepted e-mails."""


class MailFates(Construct):
    """The path of an e-mail's events: SES, a topic, the queue of the notices."""

    def __init__(self, scope: Construct, settings: Deployment, queues: Queues) -> None:
        super().__init__(scope, "Mail")
        key = kms.Key(
            self,
            "TopicKey",
            description=f"{settings.name}: what became of e-mails",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("ses.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # in a key's own policy "*" is the key
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        self.topic = sns.Topic(
            self,
            "Fates",
            topic_name=f"{settings.name}-mail-fates",
            master_key=key,
            enforce_ssl=True,
        )
        pair = queues.stages["notices"]
        self.topic.add_subscription(
            subscriptions.SqsSubscription(
                pair.main, raw_message_delivery=True, dead_letter_queue=pair.dead
            )
        )
        self.set = ses.ConfigurationSet(
            self, "Set", configuration_set_name=f"{settings.name}-notices"
        )
        self.set.add_event_destination(
            "Fates", destination=ses.EventDestination.sns_topic(self.topic), events=list(TOLD)
        )
