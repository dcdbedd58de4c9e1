"""Alarms and their receivers, the dashboard and the budget."""

from __future__ import annotations

from typing import TypeAlias

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.functions import TIMEOUTS, Functions
from infra.http_api import HttpApi
from infra.queues import Queues
from infra.schedules import SCHEDULES, Schedule, Schedules
from infra.settings import Deployment
from infra.storage import Storage
from shared.records.metrics import COUNT, METRICS

Treat: TypeAlias = cloudwatch.TreatMissingData
Compare: TypeAlias = cloudwatch.ComparisonOperator


WORK = {
    "Uploads": ("UploadsRegistered", "UploadsRefused"),
    "Files": ("FilesRegistered", "FilesRefused"),
    "Tasks created and claimed": ("TasksCreated", "TasksRerun", "TasksClaimed"),
    "Tasks ended": (
        *("TasksComplete", "TasksIncomplete", "TasksEmpty", "TasksErrored"),
        *("LeasesExpired", "TasksReturned", "TasksFailedTwice"),
    ),
    "Longest wait of a task, s": ("OldestWaiting",),
    "Labs whose workers are silent": ("LabsSilent",),
    "Analysis": ("SessionsPublished", "BuildsUnchanged"),
    "Notices": ("NoticesMade", "MailsSent", "MailsFailed"),
    "Webhooks": ("HooksDelivered", "HooksFailed"),
}
"""Graphs of the functions' own metrics."""


class Monitoring(Construct):
    """Monitoring that reports trouble before users do."""

    def __init__(
        self,
        scope: Construct,
        settings: Deployment,
        storage: Storage,
        queues: Queues,
        functions: Functions,
        http_api: HttpApi,
        schedules: Schedules,
    ) -> None:
        super().__init__(scope, "Monitoring")
        self.settings = settings
        self.topic = self._topic()
        self.alarms: list[cloudwatch.Alarm] = []
        self._api(http_api)
        self._functions(functions)
        self._queues(queues)
        self._table(storage)
        self._work()
        for schedule in SCHEDULES:
            self._missed(schedule, schedules.rules[schedule.kind].rule_name)
        self._dashboard(storage, queues, functions, http_api)
        if not settings.local:  # there is no bill to watch
            self._budget()

    def _topic(self) -> sns.Topic:
        """Return the encrypted topic; CloudWatch can only publish with a key of our own."""
        key = kms.Key(
            self,
            "TopicKey",
            description=f"{self.settings.name}: alarm notifications",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        for service in ("cloudwatch", "budgets"):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(f"{service}.amazonaws.com")],
                    actions=["kms:Decrypt", "kms:GenerateDataKey"],
                    resources=["*"],  # in a key's own policy this is the key
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
        topic = sns.Topic(
            self,
            "Alarms",
            topic_name=f"{self.settings.name}-alarms",
            master_key=key,
            enforce_ssl=True,
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("budgets.amazonaws.com"),
                ],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if self.settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(self.settings.alarm_email))
        return topic

    def _alarm(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        why: str,
        *,
        periods: int = 1,
        compare: Compare = Compare.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        missing: Treat = Treat.NOT_BREACHING,
    ) -> None:
        """Add one alarm that notifies the topic when it starts and ends."""
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            alarm_name=f"{self.settings.name}-{construct_id}",
            alarm_description=why,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=compare,
            treat_missing_data=missing,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        self.alarms.append(alarm)

    def _api(self, http_api: HttpApi) -> None:
        """Watch the API from its users' point of view: errors and latency."""
        five = Duration.minutes(5)
        self._alarm(
            "api-5xx",
            http_api.api.metric_server_error(period=five, statistic="Sum"),
            5,
            "The API failed five times within five minutes.",
        )
        self._alarm(
            "api-p95",
            http_api.api.metric_latency(period=five, statistic="p95"),
            3_000,
            "One request in twenty took longer than 3 s for 15 minutes.",
            periods=3,
        )

    def _functions(self, functions: Functions) -> None:
        """Watch each function's errors, throttles and durations near the timeout."""
        five = Duration.minutes(5)
        for name, function in functions.all.items():
            self._alarm(
                f"{name}-errors",
                function.metric_errors(period=five, statistic="Sum"),
                3,
                f"The function {name} failed three times within five minutes.",
            )
            self._alarm(
                f"{name}-throttles",
                function.metric_throttles(period=five, statistic="Sum"),
                1,
                f"The function {name} was refused for lack of concurrency.",
            )
            self._alarm(
                f"{name}-slow",
                function.metric_duration(period=five, statistic="Maximum"),
                0.8 * TIMEOUTS[name].to_milliseconds(),
                f"The function {name} came near its timeout.",
            )

    def _queues(self, queues: Queues) -> None:
        """Watch for undeliverable messages and for long waits."""
        five = Duration.minutes(5)
        for name, pair in queues.all.items():
            self._alarm(
                f"{name}-dead",
                pair.dead.metric_approximate_number_of_messages_visible(
                    period=five, statistic="Maximum"
                ),
                1,
                f"A message of the queue {name} could not be handled: see its dead-letter queue.",
            )
            hours = 24 if name.startswith("work-") else 1
            self._alarm(
                f"{name}-old",
                pair.main.metric_approximate_age_of_oldest_message(
                    period=five, statistic="Maximum"
                ),
                hours * 3_600,
                f"A message has waited for {hours} h in the queue {name}."
                + (" Are the lab's workers running?" if hours == 24 else ""),
            )

    def _table(self, storage: Storage) -> None:
        """Watch the table for throttling: the bill guard or a hot key."""
        for operation in ("GetItem", "Query", "PutItem", "UpdateItem", "TransactWriteItems"):
            self._alarm(
                f"table-throttled-{operation}",
                cloudwatch.Metric(
                    namespace="AWS/DynamoDB",
                    metric_name="ThrottledRequests",
                    dimensions_map={
                        "TableName": storage.table.table_name,
                        "Operation": operation,
                    },
                    period=Duration.minutes(5),
                    statistic="Sum",
                ),
                10,
                f"The table refused {operation}: on-demand maximum reached, or a hot key.",
            )

    def _own(self, name: str, period: Duration) -> cloudwatch.Metric:
        """Return one of the metrics that the functions themselves write."""
        return cloudwatch.Metric(
            namespace=self.settings.name,
            metric_name=name,
            period=period,
            statistic="Sum" if METRICS[name] == COUNT and name != "LabsSilent" else "Maximum",
        )

    def _work(self) -> None:
        """Watch the functions' own metrics: tasks, workers, uploads."""
        hour = Duration.hours(1)
        for name, threshold, why in (
            ("TasksErrored", 10, "Ten tasks ended in an error within an hour: see their logs."),
            ("TasksFailedTwice", 1, "A task failed at its second try as well: see its log."),
            ("LabsSilent", 1, "A lab's tasks wait, and no worker of it has spoken for 2 h."),
            ("LeasesExpired", 5, "Five runs were lost within an hour: do the workers crash?"),
            ("UploadsRefused", 5, "Five uploads were refused whole within an hour."),
            ("OldestWaiting", 24 * 3_600, "A task has waited for a day. Are workers running?"),
            ("MailsFailed", 5, "SES refused five e-mails within an hour: is the sender verified?"),
        ):
            self._alarm(name, self._own(name, hour), threshold, why)

    def _missed(self, schedule: Schedule, rule_name: str) -> None:
        """Raise an alarm if a schedule has not fired for three of its periods.

        An alarm looks back one day at most (CloudWatch's limit on periods x length for this
        resolution), so the daily schedule is judged after a day.
        """
        seconds = min(3 * schedule.every.to_seconds(), 24 * 3_600)
        self._alarm(
            f"{schedule.kind}-missed",
            cloudwatch.Metric(
                namespace="AWS/Events",
                metric_name="Invocations",
                dimensions_map={"RuleName": rule_name},
                period=Duration.seconds(seconds),
                statistic="Sum",
            ),
            1,
            f"The schedule {schedule.kind} has not fired for {seconds // 60} minutes.",
            compare=Compare.LESS_THAN_THRESHOLD,
            missing=Treat.BREACHING,
        )

    def _dashboard(
        self, storage: Storage, queues: Queues, functions: Functions, http_api: HttpApi
    ) -> None:
        """Put the state of the system on one page."""
        table = storage.table
        board = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=self.settings.name,
            default_interval=Duration.days(1),
        )

        def graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(metrics), width=8, height=6)

        every = list(functions.all.values())
        pairs = queues.all.values()
        board.add_widgets(cloudwatch.AlarmStatusWidget(alarms=self.alarms, width=24, height=4))
        board.add_widgets(
            graph("API requests", http_api.api.metric_count()),
            graph(
                "API errors",
                http_api.api.metric_client_error(),
                http_api.api.metric_server_error(),
            ),
            graph(
                "API latency, ms",
                *(http_api.api.metric_latency(statistic=s) for s in ("p50", "p95", "p99")),
            ),
            graph("Function errors", *(f.metric_errors() for f in every)),
            graph(
                "Function duration, p95, ms", *(f.metric_duration(statistic="p95") for f in every)
            ),
            graph("Function invocations", *(f.metric_invocations() for f in every)),
            graph(
                "Messages waiting",
                *(p.main.metric_approximate_number_of_messages_visible() for p in pairs),
            ),
            graph(
                "Age of the oldest message, s",
                *(p.main.metric_approximate_age_of_oldest_message() for p in pairs),
            ),
            graph(
                "Table units",
                table.metric_consumed_read_capacity_units(statistic="Sum"),
                table.metric_consumed_write_capacity_units(statistic="Sum"),
            ),
            *(
                graph(title, *(self._own(name, Duration.minutes(5)) for name in names))
                for title, names in WORK.items()
            ),
        )

    def _budget(self) -> None:
        """Notify the topic when the account's month costs, or will cost, more than planned."""
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"{self.settings.name}-month",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(
                    amount=self.settings.monthly_budget_usd, unit="USD"
                ),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=threshold,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[
                        budgets.CfnBudget.SubscriberProperty(
                            subscription_type="SNS", address=self.topic.topic_arn
                        )
                    ],
                )
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )
