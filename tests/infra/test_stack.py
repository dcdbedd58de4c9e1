"""The synthesized stack: rules of good architecture, least privilege, nothing public."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from infra.local.seed import LABS
from infra.local.template import template
from infra.sources import application, routes
from shared.records.metrics import METRICS
from shared.records.table import TABLE_SCHEMA, TTL_ATTRIBUTE
from tests.infra.conftest import Syntheses
from tests.infra.stack import Template, of_type


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(synthesized: Path) -> None:
    # Only packs with findings report; that they run at all is the next test's matter.
    report = json.loads((synthesized / "validation-report.json").read_text())
    assert [r["pluginName"] for r in report["pluginReports"] if r["conclusion"] != "success"] == []


def test_an_unaccepted_finding_fails_the_synthesis(syntheses: Syntheses) -> None:
    assert syntheses.code != 0
    assert "SQS" in syntheses.said_of_bare


def test_cfn_lint_is_content(synthesized: Path) -> None:
    # W3005 is about dependencies that the CDK states twice.
    done = subprocess.run(
        [
            Path(sys.executable).with_name("cfn-lint"),
            "--ignore-checks", "W3005",
            "--template", synthesized / "fornix.template.json",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_table_is_the_declared_one(stack: Template) -> None:
    (table,) = of_type(stack, "AWS::DynamoDB::Table").values()
    assert table["KeySchema"] == TABLE_SCHEMA["KeySchema"]
    assert {i["IndexName"]: i["Projection"] for i in table["GlobalSecondaryIndexes"]} == {
        i["IndexName"]: i["Projection"] for i in TABLE_SCHEMA["GlobalSecondaryIndexes"]
    }
    assert table["TimeToLiveSpecification"] == {"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert table["DeletionProtectionEnabled"]
    guards = [table["OnDemandThroughput"]] + [
        index["OnDemandThroughput"] for index in table["GlobalSecondaryIndexes"]
    ]
    assert all(guard["MaxWriteRequestUnits"] > 0 for guard in guards)


def test_what_holds_data_outlives_the_stack(stack: Template) -> None:
    holders = [
        resource
        for resource in stack["Resources"].values()
        if resource["Type"] in ("AWS::S3::Bucket", "AWS::DynamoDB::Table")
    ]
    assert len(holders) == 4
    assert {r["DeletionPolicy"] for r in holders} == {"Retain"}


def test_buckets_are_private_encrypted_and_tls_only(stack: Template) -> None:
    buckets = of_type(stack, "AWS::S3::Bucket")
    assert len(buckets) == 3
    for bucket in buckets.values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
    refusals = {
        policy["Bucket"]["Ref"]
        for policy in of_type(stack, "AWS::S3::BucketPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
    }
    assert refusals == set(buckets)


def test_every_queue_has_a_dead_letter_queue_and_alarms(stack: Template) -> None:
    names = {queue["QueueName"] for queue in of_type(stack, "AWS::SQS::Queue").values()}
    mains = {name for name in names if not name.endswith("-dead")}
    assert mains == {
        "fornix-ingest",
        "fornix-dispatch",
        "fornix-analysis",
        "fornix-notices",
        "fornix-work-fimbrialab",
        "fornix-work-septumlab",
    }
    assert names - mains == {f"{name}-dead" for name in mains}
    alarms = {alarm["AlarmName"] for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()}
    assert {f"{name}-dead" for name in mains} | {f"{name}-old" for name in mains} <= alarms


def test_visibility_is_six_times_the_functions_timeout(stack: Template) -> None:
    queues = {q["QueueName"]: q for q in of_type(stack, "AWS::SQS::Queue").values()}
    for function in of_type(stack, "AWS::Lambda::Function").values():
        queue = queues.get(function["FunctionName"])
        if queue:
            assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]


def test_every_route_of_the_application_is_wired_and_no_other(stack: Template) -> None:
    (api,) = of_type(stack, "AWS::ApiGateway::RestApi").values()
    wired = {
        path: sorted(method.upper() for method in operations if method != "options")
        for path, operations in api["Body"]["paths"].items()
    }
    assert wired == routes(application())
    assert "multipart/form-data" in api["Body"]["x-amazon-apigateway-binary-media-types"]
    assert api["BinaryMediaTypes"] == api["Body"]["x-amazon-apigateway-binary-media-types"]


def test_a_refused_download_asks_for_credentials(stack: Template) -> None:
    (api,) = of_type(stack, "AWS::ApiGateway::RestApi").values()
    body = api["Body"]
    # The authorizer is before the files' routes, for every method but the preflight
    guarded = {
        path: sorted(method for method, operation in each.items() if "security" in operation)
        for path, each in body["paths"].items()
        if any("security" in operation for operation in each.values())
    }
    assert guarded == {"/data/{path+}": ["get", "head"], "/uploaded/{path+}": ["get"]}
    (name,) = body["components"]["securitySchemes"]
    assert body["paths"]["/data/{path+}"]["get"]["security"] == [{name: []}]
    # It is the API function, and is asked about each request, with credentials or without
    scheme = body["components"]["securitySchemes"][name]
    integration = body["paths"]["/data/{path+}"]["get"]["x-amazon-apigateway-integration"]
    assert scheme == {
        "type": "apiKey",
        "name": "Unused",
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": integration["uri"],
            "authorizerResultTtlInSeconds": 0,
        },
    }
    may_invoke = [
        json.dumps(permission["SourceArn"])
        for permission in of_type(stack, "AWS::Lambda::Permission").values()
        if permission["Principal"] == "apigateway.amazonaws.com"
    ]
    assert sorted("/authorizers/*" in arn for arn in may_invoke) == [False, True]
    # What it denies is a 401 with a challenge that is API Gateway's own
    denied = body["x-amazon-apigateway-gateway-responses"]["ACCESS_DENIED"]
    assert denied["statusCode"] == "401"
    challenge = denied["responseParameters"]["gatewayresponse.header.WWW-Authenticate"]
    assert re.fullmatch(r"'Basic realm=\"[^\"']+\"'", challenge)


def test_every_refusal_of_the_gateway_is_json_of_one_shape(stack: Template) -> None:
    (api,) = of_type(stack, "AWS::ApiGateway::RestApi").values()
    for kind, response in api["Body"]["x-amazon-apigateway-gateway-responses"].items():
        text = response["responseTemplates"]["application/json"]
        said = json.loads(text.replace("$context.error.messageString", '"what is wrong"'))
        assert sorted(said) == ["detail", "status_code"], kind
        assert said["status_code"] == int(response["statusCode"]), kind
        assert "Access-Control-Allow-Origin" in json.dumps(response["responseParameters"]), kind
        retried = "gatewayresponse.header.Retry-After" in response["responseParameters"]
        assert retried == (response["statusCode"] == "429"), kind


def test_what_was_freed_expires_by_a_rule(stack: Template) -> None:
    (rules,) = (
        found
        for bucket in of_type(stack, "AWS::S3::Bucket").values()
        if "TagFilters" in str(found := bucket.get("LifecycleConfiguration", {}).get("Rules"))
    )
    (rule,) = (rule for rule in rules if rule.get("TagFilters"))
    assert rule["TagFilters"] == [{"Key": "fornix", "Value": "freed"}]
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("data/", 14)
    # Everything else under data/ only moves to cheaper storage
    assert not any(
        "ExpirationInDays" in other
        for other in rules
        if other is not rule and other.get("Prefix", "data/").startswith("data/")
    )


def test_missed_schedules_raise_alarms(stack: Template) -> None:
    rules = {rule["Name"] for rule in of_type(stack, "AWS::Events::Rule").values()}
    kinds = ("reconcile", "sweep", "snapshot", "nightly", "journal", "late", "notices", "changes")
    assert rules == {f"fornix-{kind}" for kind in kinds}
    alarms = {a["AlarmName"]: a for a in of_type(stack, "AWS::CloudWatch::Alarm").values()}
    for rule in rules:
        assert alarms[f"{rule}-missed"]["TreatMissingData"] == "breaching"


def test_what_the_functions_count_is_on_the_dashboard_with_alarms(stack: Template) -> None:
    for function in of_type(stack, "AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"]["FORNIX_METRICS"] == "fornix"
    (board,) = of_type(stack, "AWS::CloudWatch::Dashboard").values()
    text = json.dumps(board).replace('\\"', '"')
    for name in METRICS:
        assert f'"fornix","{name}"' in text, name
    own = {
        alarm["MetricName"]: alarm["Threshold"]
        for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "fornix"
    }
    assert own == {
        "TasksErrored": 10,
        "TasksFailedTwice": 1,
        "LabsSilent": 1,
        "LeasesExpired": 5,
        "UploadsRefused": 5,
        "OldestWaiting": 86_400,
        "MailsFailed": 5,
    }


def test_alarms_reach_the_encrypted_topic(stack: Template) -> None:
    topics = of_type(stack, "AWS::SNS::Topic").values()
    assert {topic["TopicName"] for topic in topics} == {"fornix-alarms", "fornix-mail-fates"}
    assert all(topic["KmsMasterKeyId"] for topic in topics)
    for alarm in of_type(stack, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == alarm["OKActions"] != []
        assert alarm["AlarmDescription"]


def test_each_alarm_and_the_budget_have_a_part_of_the_runbook(stack: Template) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
    headings = re.findall(r"^### `(.+)`$", text, re.MULTILINE)
    patterns = [
        re.sub(r"\b(FUNCTION|QUEUE|OPERATION|SCHEDULE)\b", r"[\\w-]+", h) for h in headings
    ]
    alarms = [a["AlarmName"] for a in of_type(stack, "AWS::CloudWatch::Alarm").values()]
    (budget,) = of_type(stack, "AWS::Budgets::Budget").values()
    names = [*(name.removeprefix("fornix-") for name in alarms), budget["Budget"]["BudgetName"]]
    found = {name: [p for p in patterns if re.fullmatch(p, name)] for name in names}
    assert [name for name, those in found.items() if not those] == []
    used = {pattern for those in found.values() for pattern in those}
    assert sorted(set(patterns) - used) == [], "a part for no alarm"


def test_one_computer_is_not_flooded_with_processes() -> None:
    stack = template(LABS)
    mappings = of_type(stack, "AWS::Lambda::EventSourceMapping").values()
    limits = [m["ScalingConfig"]["MaximumConcurrency"] for m in mappings]
    assert sorted(limits) == [2, 2, 2, 4]


def test_analyses_are_an_image_on_aws(stack: Template) -> None:
    by_name = {f["FunctionName"]: f for f in of_type(stack, "AWS::Lambda::Function").values()}
    assert by_name["fornix-analysis"]["PackageType"] == "Image"
    assert {f["Architectures"][0] for f in by_name.values()} == {"arm64"}
    assert {by_name[f"fornix-{n}"]["Runtime"] for n in ("api", "ingest", "dispatch")} == {
        "python3.13"
    }


def test_the_functions_archive_has_what_they_import() -> None:
    code = """
import sys
from importlib.metadata import packages_distributions, requires
before = set(sys.modules)
import functions.api.app, functions.ingest.handler, functions.dispatch.handler
import functions.journal.handler, functions.notices.handler, functions.api.auth.oidc, jwt, zxcvbn
owners = packages_distributions()
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(",".join(sorted({owners[top][0].lower() for top in tops if top in owners})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    from contextlib import suppress
    from importlib.metadata import PackageNotFoundError, requires

    from infra.bundling import WITHOUT_DEPENDENCIES, ZIP_REQUIREMENTS

    packed, waiting = set(), [*ZIP_REQUIREMENTS, *WITHOUT_DEPENDENCIES]
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name not in packed:
            packed.add(name)
            with suppress(PackageNotFoundError):  # of other platforms
                waiting += [r for r in requires(name) or () if "extra ==" not in r]
    wanted = {name.replace("_", "-") for name in done.stdout.strip().split(",")}
    # botocore takes certifi where it is there
    assert wanted - packed - {"fornix", "certifi"} == set()
