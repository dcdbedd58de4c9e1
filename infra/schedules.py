"""Scheduled events. Each is safe to miss and safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.functions import Functions
from infra.queues import Queues
from infra.settings import Deployment


@dataclass(frozen=True)
class Schedule:
    """A regular event of a function.

    Attributes
    ----------
    kind
        The event: ``{"kind": kind}``; also the rule's name after the deployment's prefix.
    function
        The function that gets it.
    every
        Interval of the events; the alarm "missed" waits three times as long.
    """

    kind: str
    function: str
    every: Duration


SCHEDULES = (
    Schedule("reconcile", "ingest", Duration.minutes(10)),
    Schedule("sweep", "dispatch", Duration.minutes(5)),
    Schedule("snapshot", "analysis", Duration.hours(1)),
    Schedule("nightly", "analysis", Duration.days(1)),
    Schedule("journal", "journal", Duration.minutes(1)),
    Schedule("late", "journal", Duration.days(1)),
    Schedule("notices", "notices", Duration.hours(1)),
    Schedule("changes", "notices", Duration.minutes(1)),
)


class Schedules(Construct):
    """One EventBridge rule per schedule."""

    def __init__(
        self, scope: Construct, settings: Deployment, functions: Functions, queues: Queues
    ) -> None:
        super().__init__(scope, "Schedules")
        self.rules = {
            schedule.kind: events.Rule(
                self,
                schedule.kind.title(),
                rule_name=f"{settings.name}-{schedule.kind}",
                schedule=_expression(schedule),
                targets=[
                    targets.LambdaFunction(
                        functions.all[schedule.function],
                        event=events.RuleTargetInput.from_object({"kind": schedule.kind}),
                        dead_letter_queue=_dead_letters(queues, schedule),
                        retry_attempts=3,
                        max_event_age=Duration.hours(1),
                    )
                ],
            )
            for schedule in SCHEDULES
        }


def _dead_letters(queues: Queues, schedule: Schedule) -> sqs.Queue | None:
    """Return the dead-letter queue of an event.

    The journal's event has none: the next minute's event replaces it.
    """
    pair = queues.stages.get(schedule.function)
    return pair.dead if pair else None


def _expression(schedule: Schedule) -> events.Schedule:
    """Return the rule's expression; daily events run at 02:30 UTC, when labs sleep."""
    if schedule.every.to_days(integral=False) >= 1:
        return events.Schedule.cron(minute="30", hour="2")
    return events.Schedule.rate(schedule.every)
