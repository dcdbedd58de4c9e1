"""Copies of table and bucket in a second region, beside the journal: AWS Backup, as a setting.

The journal can restore every record, but it is in the same account and region as the table. The
setting ``backup_vault``, the ARN of a vault in another region (or account), protects against the
loss of these: both are backed up every night, kept for `KEPT` and copied there.
"""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.settings import Deployment
from infra.storage import Storage

KEPT = Duration.days(35)
"""Retention of a nightly backup in both vaults."""

MANAGED = (
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "AWSBackupServiceRolePolicyForS3Backup",
)
"""Managed policies of AWS Backup; AWS updates them with the service."""


class Backup(Construct):
    """A nightly plan for table and data bucket, with a copy in the other vault."""

    def __init__(self, scope: Construct, settings: Deployment, storage: Storage) -> None:
        super().__init__(scope, "Backup")
        vault = backup.BackupVault.from_backup_vault_arn(self, "There", settings.backup_vault)
        self.plan = backup.BackupPlan(
            self,
            "Plan",
            backup_plan_name=f"{settings.name}-nightly",
            backup_vault=backup.BackupVault(self, "Here", backup_vault_name=settings.name),
            backup_plan_rules=[
                backup.BackupPlanRule(
                    rule_name="nightly",
                    schedule_expression=events.Schedule.cron(minute="0", hour="3"),
                    delete_after=KEPT,
                    copy_actions=[
                        backup.BackupPlanCopyActionProps(
                            destination_backup_vault=vault, delete_after=KEPT
                        )
                    ],
                )
            ],
        )
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(m) for m in MANAGED],
        )
        self.plan.add_selection(
            "TableAndBucket",
            role=self.role,
            resources=[
                backup.BackupResource.from_dynamo_db_table(storage.table),
                backup.BackupResource.from_arn(storage.data.bucket_arn),
            ],
        )
