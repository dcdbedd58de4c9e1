"""Storage: the data bucket, the site bucket, the access logs and the one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Deployment
from shared.model import prefixes
from shared.records.table import TABLE_SCHEMA, TTL_ATTRIBUTE

THROUGHPUT = {"MaxReadRequestUnits": 3_000, "MaxWriteRequestUnits": 1_500}
"""Units per second at which the table and each index throttle: a runaway loop then costs at most
some hundred USD a day (on-demand prices of us-east-1), and raises alarms."""


class Storage(Construct):
    """Buckets and table. Outside the embedded cloud everything outlives the stack."""

    def __init__(self, scope: Construct, settings: Deployment) -> None:
        super().__init__(scope, "Storage")
        self.settings = settings
        self.logs = self._bucket(
            "Logs",
            "logs",
            versioned=False,
            # CloudFront's standard logs are delivered with an ACL.
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(180))],
        )
        self.data = self._bucket(
            "Data",
            "data",
            versioned=True,
            **_lock(settings),
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="s3/data/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="forget-abandoned-parts",
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                ),
                s3.LifecycleRule(
                    id="forget-old-versions",
                    noncurrent_version_expiration=Duration.days(max(30, settings.lock_days)),
                    expired_object_delete_marker=True,
                ),
                s3.LifecycleRule(
                    id="forget-abandoned-uploads",
                    prefix=prefixes.INCOMING,
                    expiration=Duration.days(30),
                ),
                s3.LifecycleRule(
                    id="forget-what-was-gathered",
                    prefix=prefixes.GATHERED,
                    expiration=Duration.days(1),
                ),
                *_expiry(settings),
                s3.LifecycleRule(
                    id="tier-by-use",
                    prefix="data/",
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INTELLIGENT_TIERING,
                            transition_after=Duration.days(30),
                        )
                    ],
                ),
            ],
        )
        self.site = self._bucket(
            "Site",
            "site",
            versioned=True,
            server_access_logs_bucket=self.logs,
            server_access_logs_prefix="s3/site/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="forget-old-versions", noncurrent_version_expiration=Duration.days(30)
                )
            ],
        )
        self.table = self._table()
        if not settings.local:  # locally the whole folder is deleted
            self._keep_forever()
            self._guard_marks()

    def _keep_forever(self) -> None:
        """Make the bucket itself refuse the loss of valid data, whoever asks.

        Only the role in the setting ``keeper`` may delete; no function has this role. Objects
        under ``data/`` and ``manifests/`` are written once: the request that creates one must have
        the condition that it does not exist yet (``If-None-Match``). Uploads of parts cannot have
        this condition; the request that joins the parts has it.
        """
        keeper = self.settings.keeper
        self._deny(
            "ValidIsKept",
            ["s3:DeleteObject", "s3:DeleteObjectVersion"],
            prefixes.KEPT,
            {"ArnNotEquals": {"aws:PrincipalArn": keeper}} if keeper else None,
        )
        self._deny(
            "ValidIsWrittenOnce",
            ["s3:PutObject"],
            prefixes.WRITTEN_ONCE,
            {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        )

    def _guard_marks(self) -> None:
        """Let only dispatch tag objects of datasets, by which they may expire.

        The role is named, not referred to: it refers to the bucket.
        """
        role = f"role/{self.settings.name}-dispatch-{Aws.REGION}"
        may = [f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:{role}"]
        may += [self.settings.keeper] if self.settings.keeper else []
        self._deny(
            "OnlyDispatchLetsExpire",
            ["s3:PutObjectTagging", "s3:PutObjectVersionTagging"],
            [prefixes.DATA],
            {"ArnNotEquals": {"aws:PrincipalArn": may}},
        )

    def _deny(
        self,
        sid: str,
        actions: Sequence[str],
        folders: Sequence[str],
        conditions: dict[str, Any] | None,
    ) -> None:
        """Make the data bucket refuse actions on what is in some folders, whoever asks."""
        self.data.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=actions,
                resources=[self.data.arn_for_objects(f"{folder}*") for folder in folders],
                conditions=conditions,
            )
        )

    @property
    def data_name(self) -> str:
        """Name of the data bucket as text, for constructs where a reference would be a circle."""
        return self._name("data")

    def allow_browser(self, origin: str) -> None:
        """Allow pages of the site to put and get objects by presigned addresses."""
        self.data.add_cors_rule(
            allowed_origins=[origin],
            allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.HEAD, s3.HttpMethods.PUT],
            allowed_headers=["*"],
            exposed_headers=["ETag", "Content-Range", "x-amz-checksum-sha256"],
            max_age=600,
        )

    def _name(self, part: str) -> str:
        """Return a bucket's name: names are global, hence the account and region."""
        return f"{self.settings.name}-{part}-{Aws.ACCOUNT_ID}-{Aws.REGION}"

    def _bucket(self, construct_id: str, part: str, **more: object) -> s3.Bucket:
        """Return a private, encrypted bucket with access over TLS only (plain http locally)."""
        local = self.settings.local
        return s3.Bucket(
            self,
            construct_id,
            bucket_name=self._name(part),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=not local,
            removal_policy=RemovalPolicy.DESTROY if local else RemovalPolicy.RETAIN,
            **more,
        )

    def _table(self) -> dynamodb.Table:
        """Return the table that ``shared.records.table`` declares."""
        local = self.settings.local
        table = dynamodb.Table(
            self,
            "Table",
            table_name=self.settings.name,
            **_keys(TABLE_SCHEMA["KeySchema"]),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            max_write_request_units=THROUGHPUT["MaxWriteRequestUnits"],
            max_read_request_units=THROUGHPUT["MaxReadRequestUnits"],
            encryption=dynamodb.TableEncryption.DEFAULT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=TTL_ATTRIBUTE,
            deletion_protection=not local,
            removal_policy=RemovalPolicy.DESTROY if local else RemovalPolicy.RETAIN,
        )
        for index in TABLE_SCHEMA["GlobalSecondaryIndexes"]:
            projection = index["Projection"]
            table.add_global_secondary_index(
                index_name=index["IndexName"],
                **_keys(index["KeySchema"]),
                projection_type=dynamodb.ProjectionType[projection["ProjectionType"]],
                non_key_attributes=projection.get("NonKeyAttributes"),
            )
        resource = table.node.default_child
        assert isinstance(resource, dynamodb.CfnTable)  # noqa: S101
        for number in range(len(TABLE_SCHEMA["GlobalSecondaryIndexes"])):
            resource.add_property_override(
                f"GlobalSecondaryIndexes.{number}.OnDemandThroughput", THROUGHPUT
            )
        return table


def _expiry(settings: Deployment) -> list[s3.LifecycleRule]:
    """Return the rule by which marked raw recordings expire; empty if they are kept."""
    if not settings.free_raw_days:
        return []
    tag, value = prefixes.FREED_TAG
    return [
        s3.LifecycleRule(
            id="expire-what-was-freed",
            prefix=prefixes.DATA,
            tag_filters={tag: value},
            expiration=Duration.days(settings.free_raw_days),
        )
    ]


def _lock(settings: Deployment) -> dict[str, Any]:
    """Return the arguments of Object Lock (governance mode); empty if it is off."""
    if not settings.lock_days:
        return {}
    retention = Duration.days(settings.lock_days)
    return {"object_lock_default_retention": s3.ObjectLockRetention.governance(retention)}


def _keys(schema: list[dict[str, str]]) -> dict[str, Any]:
    """Return a table's or index's key arguments from a CreateTable ``KeySchema``."""
    types = {a["AttributeName"]: a["AttributeType"] for a in TABLE_SCHEMA["AttributeDefinitions"]}
    kinds = {
        "S": dynamodb.AttributeType.STRING,
        "N": dynamodb.AttributeType.NUMBER,
        "B": dynamodb.AttributeType.BINARY,
    }
    arguments = {"HASH": "partition_key", "RANGE": "sort_key"}
    return {
        arguments[key["KeyType"]]: dynamodb.Attribute(
            name=key["AttributeName"], type=kinds[types[key["AttributeName"]]]
        )
        for key in schema
    }
