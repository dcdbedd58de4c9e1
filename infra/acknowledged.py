"""Accepted findings of cdk-nag, each with its reason."""

from __future__ import annotations

from aws_cdk import Acknowledgment, CfnElement, Validations
from constructs import Construct

from infra.backup import MANAGED
from infra.batch import BatchWorkers
from infra.settings import RUNTIME
from infra.stack import FornixStack
from shared.model import prefixes as bucket

NO_WAF = (
    "No web firewall by default (5 USD a month and more): the stage throttles, every route checks "
    "its caller, and nothing behind the site can be reached but read-only public objects."
)
XRAY = "Writing traces (X-Ray) knows no resources: AWS documents '*' as the only one."
RUNTIME_REASON = (
    f"{RUNTIME} for all functions, by one constant: it is in AWS's support for years to come, and "
    "is raised on purpose after trying, not with each new release."
)
PREFIX = "One prefix of one bucket, read or written by this function only as permissions.py says."
OWN_LOG = "The log streams of the function's own log group, whose names Lambda chooses."
DESTINATION = (
    "What fails after its retries goes to the dead-letter queue that the function shares with its "
    "queue, with an alarm; a second destination would hold every failure twice."
)
NO_DEAD_LETTERS = {
    "api": "Only API Gateway invokes it, and waits for the answer.",
    "journal": "Each event says the same, and the next minute's does what a lost one was to do.",
}


def acknowledge(stack: FornixStack) -> None:
    """Attach the reasons to the constructs concerned; any other finding fails the synthesis."""
    api = stack.http_api
    _accept(
        api,
        {
            "AwsSolutions-APIG2": "The function validates each request against its resource's "
            "declaration and answers which field is wrong; API Gateway's validator cannot.",
            "AwsSolutions-APIG3": NO_WAF,
            "AwsSolutions-APIG6": "Access logs are on; execution logs need an account-wide role "
            "and would keep request bodies.",
        },
    )
    _accept(
        stack.website,
        {
            "AwsSolutions-CFR1": "Public scientific results are for readers of every country.",
            "AwsSolutions-CFR2": NO_WAF,
            "AwsSolutions-CFR4": "CloudFront's own certificate fixes the protocol's lower bound; "
            "it rises with a domain and certificate of the deploying laboratory's.",
        },
    )
    _accept(
        stack.monitoring.topic,
        {
            "Serverless-SNSRedrivePolicy": "An e-mail that cannot be delivered is of no use "
            "later; the alarm itself stays on the dashboard."
        },
    )
    for name, function in stack.functions.all.items():
        _accept(
            function,
            {
                "AwsSolutions-L1": RUNTIME_REASON,
                "Serverless-LambdaLatestVersion": RUNTIME_REASON,
                "Serverless-LambdaEventSourceMappingDestination": "The queue has a redrive policy "
                "to its dead-letter queue; SQS sources take no other destination.",
                "Serverless-LambdaAsyncFailureDestination": DESTINATION,
            },
        )
        if name in NO_DEAD_LETTERS:
            _accept(function, {"Serverless-LambdaDLQ": NO_DEAD_LETTERS[name]})
        _accept_wildcards(stack, name)
    for kind in ("journal", "late"):
        _accept(
            stack.schedules.rules[kind],
            {"Serverless-EventBusDLQ": NO_DEAD_LETTERS["journal"]},
        )
    if stack.functions.settings.batch_vcpus:
        acknowledge_batch(stack.batch)
    if stack.functions.settings.backup_vault:
        stack.backup.role.node.add_metadata(
            Validations.ACKNOWLEDGED_RULES_METADATA_KEY,
            {
                f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]": (
                    "AWS Backup's own policies, which AWS keeps in step with the service; only "
                    "that service takes the role."
                )
                for name in MANAGED
            },
        )
    for pair in stack.queues.all.values():
        _accept(
            pair.dead,
            {"Serverless-SQSRedrivePolicy": "It is itself the dead-letter queue, with an alarm."},
        )


def _accept_wildcards(stack: FornixStack, name: str) -> None:
    """Accept the resources ending in ``*`` of one function's role, each by its name."""
    data = f"<{stack.get_logical_id(_resource(stack.storage.data))}.Arn>"
    site = f"<{stack.get_logical_id(_resource(stack.storage.site))}.Arn>"
    log = (
        "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:"
        f"log-group:/aws/lambda/{stack.functions.settings.name}-{name}:*"
    )
    prefixes = {
        "api": (
            bucket.INCOMING,
            bucket.NOTES,
            bucket.DATA,
            bucket.MANIFESTS,
            bucket.SNAPSHOTS,
            bucket.CACHE,
            bucket.INDEXES,
            bucket.RELEASES,
            bucket.GATHERED,
            bucket.LAB_PAGES,
        ),
        "ingest": (
            bucket.INCOMING,
            bucket.DATA,
            bucket.QUARANTINE,
            bucket.MANIFESTS,
            bucket.INDEXES,
            bucket.NOTES,
        ),
        "dispatch": (bucket.DATA,),
        "analysis": (
            bucket.DATA,
            f"{bucket.DATA}{bucket.AGGREGATES}",
            bucket.MANIFESTS,
            bucket.SNAPSHOTS,
            bucket.CACHE,
            bucket.RELEASES,
            bucket.LAB_PAGES,
        ),
        "journal": (bucket.JOURNAL,),
        "notices": (bucket.SNAPSHOTS,),
    }[name]
    reasons = {"*": XRAY, log: OWN_LOG}
    reasons |= {f"{data}/{prefix}*": PREFIX for prefix in prefixes}
    if name == "analysis":
        reasons[f"{site}/*"] = "The site bucket is this function's output as a whole."
    # Validations.acknowledge accepts no identifier with '::', but its metadata do.
    stack.functions.roles[name].node.add_metadata(
        Validations.ACKNOWLEDGED_RULES_METADATA_KEY,
        {f"AwsSolutions-IAM5[Resource::{resource}]": why for resource, why in reasons.items()},
    )


def _resource(construct: Construct) -> CfnElement:
    """Return the CloudFormation resource of a construct."""
    resource = construct.node.default_child
    assert isinstance(resource, CfnElement)  # noqa: S101
    return resource


def _accept(construct: Construct, reasons: dict[str, str]) -> None:
    """Accept findings on a construct and its children."""
    Validations.of(construct).acknowledge(
        *(Acknowledgment(id=rule, reason=why) for rule, why in reasons.items())
    )


def acknowledge_batch(batch: BatchWorkers) -> None:
    """Attach the reasons to the constructs of AWS Batch."""
    _accept(
        batch,
        {
            "AwsSolutions-SMG4": "The secret is the token of a worker's account, which the API "
            "issues and revokes; a rotation here could not make a new one.",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AWSBatchServiceRole]": "AWS's own policy for its service.",
            "AwsSolutions-IAM5[Resource::*]": "Asking for a token of the registry knows no "
            "resources: AWS documents '*' as the only one.",
        },
    )
