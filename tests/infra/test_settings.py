"""Settings of the stack: each changes what it names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.batch import MEMORY_GB, VCPUS, WAITING
from infra.settings import Deployment
from shared.tasks.registry import BUILT_IN
from tests.infra.conftest import VAULT
from tests.infra.stack import Template, bucket_denials, of_type, statements


def test_a_labs_name_that_cannot_be_a_queues_is_refused() -> None:
    class Node:
        """A context with one bad name."""

        @staticmethod
        def try_get_context(key: str) -> Any:
            return ["Déjà lab"] if key == "labs" else None

    with pytest.raises(ValueError, match=r"'Déjà lab'.*ASCII letters"):
        Deployment.from_context(Node())  # type: ignore[arg-type]


def test_a_vault_in_another_region_gets_a_nightly_copy(hardened: Template) -> None:
    (plan,) = of_type(hardened, "AWS::Backup::BackupPlan").values()
    (rule,) = plan["BackupPlan"]["BackupPlanRule"]
    assert [each["DestinationBackupVaultArn"] for each in rule["CopyActions"]] == [VAULT]
    (chosen,) = of_type(hardened, "AWS::Backup::BackupSelection").values()
    assert len(chosen["BackupSelection"]["Resources"]) == 2


def test_the_bucket_itself_keeps_what_is_valid(stack: Template) -> None:
    denied = bucket_denials(stack)
    kept = denied["ValidIsKept"]
    assert set(kept["Action"]) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert kept["Principal"] == {"AWS": "*"}
    assert "Condition" not in kept
    text = json.dumps(kept["Resource"])
    assert all(
        f"/{prefix}*" in text for prefix in ("data/", "manifests/", "journal/", "releases/")
    )
    once = denied["ValidIsWrittenOnce"]
    assert once["Action"] == "s3:PutObject"
    assert once["Principal"] == {"AWS": "*"}
    written = json.dumps(once["Resource"])
    assert all(f"/{prefix}*" in written for prefix in ("data/", "manifests/", "releases/"))
    assert once["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},  # parts cannot have the header
    }
    # No function may delete there, whatever the bucket says
    for name in ("Api", "Ingest", "Dispatch", "Analysis", "Journal"):
        for statement in statements(stack, f"Functions{name}Role"):
            if "s3:DeleteObject" in json.dumps(statement["Action"]):
                assert not re.search(r"/(data|manifests|journal)/", json.dumps(statement))


def test_throttles_firewall_and_concurrency_are_settings(
    stack: Template, hardened: Template
) -> None:
    for template_, rate, burst in ((stack, 200, 400), (hardened, 50, 80)):
        (stage,) = of_type(template_, "AWS::ApiGateway::Stage").values()
        (limits,) = stage["MethodSettings"]
        assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (rate, burst)
    assert of_type(stack, "AWS::WAFv2::WebACL") == {}
    (wall,) = of_type(hardened, "AWS::WAFv2::WebACL").values()
    assert [rule["Name"] for rule in wall["Rules"]] == ["rate", "common"]
    assert wall["Rules"][0]["Statement"]["RateBasedStatement"]["Limit"] == 500
    assert len(of_type(hardened, "AWS::WAFv2::WebACLAssociation")) == 1
    functions = {
        each["FunctionName"]: each for each in of_type(hardened, "AWS::Lambda::Function").values()
    }
    assert functions["fornix-api"]["ReservedConcurrentExecutions"] == 40
    told = functions["fornix-api"]["Environment"]["Variables"]
    assert told["FORNIX_OIDC_ISSUER"] == "https://idp.example.org"
    assert told["FORNIX_PUBLIC_ACCOUNT"] == "openlab:international"
    assert "FORNIX_OIDC_ISSUER" not in functions["fornix-ingest"]["Environment"]["Variables"]


def test_what_the_site_says_of_its_data_is_a_setting(
    stack: Template, hardened: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functions.analysis.handler import _about_site

    def told(template_: Template, name: str) -> dict[str, Any]:
        for each in of_type(template_, "AWS::Lambda::Function").values():
            if each["FunctionName"] == name:
                found: dict[str, Any] = each["Environment"]["Variables"]
                return found
        raise KeyError(name)

    about = ("licence", "licence_url", "citation", "doi")
    for name in about:
        monkeypatch.delenv(f"FORNIX_{name.upper()}", raising=False)
        assert f"FORNIX_{name.upper()}" not in told(stack, "fornix-analysis")
        assert f"FORNIX_{name.upper()}" not in told(hardened, "fornix-api")
    for name, value in told(hardened, "fornix-analysis").items():
        if isinstance(value, str) and name.startswith("FORNIX_"):
            monkeypatch.setenv(name, value)
    said = _about_site()
    assert {name: said[name] for name in about} == {
        "licence": "CC BY 4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
        "citation": "A, B (2024). Data.",
        "doi": "10.1234/abc",
    }


def test_labs_without_machines_have_workers_of_aws_batch_by_a_setting(
    stack: Template, hardened: Template
) -> None:
    assert of_type(stack, "AWS::Batch::JobDefinition") == {}
    (computers,) = of_type(hardened, "AWS::Batch::ComputeEnvironment").values()
    assert computers["ComputeResources"]["Type"] == "FARGATE"
    assert computers["ComputeResources"]["MaxvCpus"] == 16
    # A job for each lab: the same worker, by an account of its own, that ends when idle
    labs = {name.removeprefix("fornix-work-") for name in _work_queues(hardened)}
    jobs = {
        job["JobDefinitionName"]: job
        for job in of_type(hardened, "AWS::Batch::JobDefinition").values()
    }
    assert set(jobs) == {f"fornix-worker-{lab}" for lab in labs}
    for job in jobs.values():
        about = job["ContainerProperties"]
        assert "--until-idle" in about["Command"]
        assert [secret["Name"] for secret in about["Secrets"]] == ["FORNIX_TOKEN"]
        assert job["Timeout"]["AttemptDurationSeconds"] == 86_400
        # and no rights in AWS: the API lends those of the queue
        role = about["JobRoleArn"]["Fn::GetAtt"][0]
        policies = of_type(hardened, "AWS::IAM::Policy").values()
        assert not any({"Ref": role} in policy.get("Roles", ()) for policy in policies)
        assert "Policies" not in hardened["Resources"][role]["Properties"]
    # Messages that wait start it
    started = {
        rule["Name"]
        for rule in of_type(hardened, "AWS::Events::Rule").values()
        if any("BatchParameters" in target for target in rule["Targets"])
    }
    assert started == {f"fornix-batch-{lab}" for lab in labs}
    # and start another one while they go on waiting
    for lab in labs:
        (alarm,) = (
            each
            for each in of_type(hardened, "AWS::CloudWatch::Alarm").values()
            if each["AlarmName"] == f"fornix-batch-{lab}"
        )
        assert WAITING in {one.get("Expression") for one in alarm["Metrics"]}


def test_a_job_of_aws_batch_can_run_every_task_without_a_graphics_card() -> None:
    tasks = [task for task in BUILT_IN.values() if not task.gpu]
    assert max(task.cpu for task in tasks) <= VCPUS
    # the system takes a part of what is booked
    assert max(task.ram for task in tasks) <= 0.9 * MEMORY_GB


def _work_queues(template_: Template) -> set[str]:
    return {
        queue["QueueName"]
        for queue in of_type(template_, "AWS::SQS::Queue").values()
        if queue["QueueName"].startswith("fornix-work-")
        and not queue["QueueName"].endswith("-dead")
    }


def test_a_keeper_and_a_lock_are_settings(hardened: Template) -> None:
    kept = bucket_denials(hardened)["ValidIsKept"]
    keeper = "arn:aws:iam::123456789012:role/keeper"
    assert kept["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": keeper}}
    locked = [
        bucket["ObjectLockConfiguration"]
        for bucket in of_type(hardened, "AWS::S3::Bucket").values()
        if "ObjectLockConfiguration" in bucket
    ]
    (lock,) = locked
    assert lock["Rule"]["DefaultRetention"] == {"Days": 90, "Mode": "GOVERNANCE"}
