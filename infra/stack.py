"""The whole system as one stack."""

from __future__ import annotations

from aws_cdk import CfnOutput, CfnParameter, Stack, Tags
from constructs import Construct

from infra.backup import Backup
from infra.batch import BatchWorkers
from infra.functions import TIMEOUTS, Functions
from infra.http_api import HttpApi
from infra.mail import MailFates
from infra.monitoring import Monitoring
from infra.queues import Queues
from infra.schedules import Schedules
from infra.settings import Deployment
from infra.storage import Storage
from infra.tables import SqlTables
from infra.website import Website

LOCAL_PARAMETERS = {
    "CodeBucket": "bucket of the functions' archive",
    "CodeKey": "key of the functions' archive",
    "ApiUrl": "public address of the API, without trailing slash",
    "SiteUrl": "public address of the results site, without trailing slash",
}
"""Parameters that change between starts of the embedded cloud without changing the template."""


class FornixStack(Stack):
    """Storage, queues, functions, API, schedules, site and monitoring of one deployment."""

    def __init__(self, scope: Construct, settings: Deployment, **stack: object) -> None:
        super().__init__(
            scope,
            settings.name,
            stack_name=settings.name,
            description="Fornix: a serverless home for neurophysiology",
            suppress_template_indentation=True,  # CloudFormation accepts at most 1 MB
            **stack,
        )
        parameters = (
            {
                name: CfnParameter(self, name, description=description)
                for name, description in LOCAL_PARAMETERS.items()
            }
            if settings.local
            else {}
        )
        self.storage = Storage(self, settings)
        self.queues = Queues(self, settings, TIMEOUTS)
        self.queues.notify_uploads(self.storage)
        if settings.backup_vault:
            self.backup = Backup(self, settings, self.storage)
        if settings.mail_from:
            self.mail = MailFates(self, settings, self.queues)
        self.http_api = HttpApi(self, settings)
        self.website = Website(self, settings, self.storage, self.http_api.api.rest_api_id)
        if not settings.local:  # locally nothing reads a catalogue
            self.tables = SqlTables(self, settings, self.storage, self.account)
        site_url = (
            parameters["SiteUrl"].value_as_string
            if settings.local
            else f"https://{self.website.distribution.distribution_domain_name}"
        )
        self.storage.allow_browser(site_url)
        self.functions = Functions(self, settings, self.storage, self.queues, site_url, parameters)
        self.http_api.serve(self.functions.api_entry, site_url)
        self.schedules = Schedules(self, settings, self.functions, self.queues)
        self.monitoring = Monitoring(
            self,
            settings,
            self.storage,
            self.queues,
            self.functions,
            self.http_api,
            self.schedules,
        )
        if settings.batch_vcpus and not settings.local:
            self.batch = BatchWorkers(self, settings, self.queues, self.http_api.api.url)
        Tags.of(self).add("application", settings.name)
        outputs = {
            "ApiId": self.http_api.api.rest_api_id,
            "Site": site_url,
            "SiteDomain": self.website.distribution.distribution_domain_name,
            "DataBucket": self.storage.data.bucket_name,
            "SiteBucket": self.storage.site.bucket_name,
            "TableName": self.storage.table.table_name,
        }
        if settings.public_account:
            outputs["PublicAccount"] = settings.public_account
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
