"""The synthesized stack: rules of good architecture, least privilege, nothing public."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ministack.core import cloudfront_js

from functions.api.auth.credentials import Password
from infra import website
from infra.local.seed import LABS
from infra.local.template import template
from infra.settings import Deployment
from infra.sources import application, routes
from shared.records.metrics import METRICS
from shared.records.table import TABLE_SCHEMA, TTL_ATTRIBUTE, Record
from tests.infra.conftest import VAULT, Syntheses

Template = dict[str, Any]


def of_type(stack: Template, kind: str) -> dict[str, Any]:
    """Return properties by logical id of a type's resources."""
    return {
        name: resource.get("Properties", {})
        for name, resource in stack["Resources"].items()
        if resource["Type"] == kind
    }


def statements(stack: Template, role: str) -> list[dict[str, Any]]:
    """Return the policy statements attached to the role whose logical id begins so."""
    found = []
    for policy in of_type(stack, "AWS::IAM::Policy").values():
        if any(r["Ref"].startswith(role) for r in policy["Roles"]):
            found += policy["PolicyDocument"]["Statement"]
    assert found, role
    return found


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


def test_functions_have_one_role_each_and_no_managed_policy(stack: Template) -> None:
    functions = of_type(stack, "AWS::Lambda::Function")
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert len(set(roles)) == len(functions) == 6
    for role in of_type(stack, "AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role


def test_no_role_administers_or_uses_a_wildcard_action(stack: Template) -> None:
    for policy in of_type(stack, "AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action
                assert action not in ("dynamodb:DeleteTable", "iam:PassRole")
            if statement["Resource"] == "*":
                assert set(actions) == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_only_who_keeps_the_search_index_may_read_the_whole_table(stack: Template) -> None:
    scanning = [
        name
        for name in ("Api", "Ingest", "Dispatch", "Analysis", "Notices")
        if any(
            statement["Effect"] == "Allow" and "dynamodb:Scan" in statement["Action"]
            for statement in statements(stack, f"Functions{name}Role")
        )
    ]
    assert scanning == ["Api", "Analysis", "Notices"]


def test_only_the_api_reads_credentials(stack: Template) -> None:
    for name in ("Ingest", "Dispatch", "Analysis", "Notices"):
        denied = {
            s["Sid"]: s["Condition"]
            for s in statements(stack, f"Functions{name}Role")
            if s["Effect"] == "Deny"
        }
        keys = denied["NotTheCredentials"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]
        assert {"CRED#*", "TOK#*"} <= set(keys)
        assert ("HOOKKEY#*" in keys) == (name != "Notices")  # it signs with them
        own = {"NotTheAccounts", "AuditIsOnlyAddedTo"} if name != "Analysis" else set()
        assert set(denied) == {"NotTheCredentials", "ScansNameAttributes", "NoPasswords"} | own
        hidden = denied["NoPasswords"]["ForAnyValue:StringEquals"]["dynamodb:Attributes"]
        secret = set(Password.get_attributes()) - set(Record.get_attributes())
        assert set(hidden) == secret | {"sealed"}  # the feed's, for the journal


def test_dispatch_reads_no_object_and_only_marks_what_was_freed(stack: Template) -> None:
    of_bucket = [
        each
        for each in statements(stack, "FunctionsDispatchRole")
        if "s3:" in json.dumps(each["Action"])
    ]
    marks, lists = sorted(of_bucket, key=lambda each: "Condition" not in each)
    assert marks["Action"] == "s3:PutObjectTagging"
    assert "/data/*" in json.dumps(marks["Resource"])
    assert marks["Condition"] == {
        "StringEquals": {"s3:RequestObjectTag/fornix": "freed"},
        "ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["fornix"]},
    }
    assert set(lists["Action"]) == {"s3:ListBucket", "s3:ListBucketMultipartUploads"}
    # Nobody else can let an object expire, whatever a role says
    guard = bucket_denials(stack)["OnlyDispatchLetsExpire"]
    assert set(guard["Action"]) == {"s3:PutObjectTagging", "s3:PutObjectVersionTagging"}
    spared = json.dumps(guard["Condition"]["ArnNotEquals"]["aws:PrincipalArn"])
    names = of_type(stack, "AWS::IAM::Role").values()
    (own,) = (
        json.dumps(each["RoleName"]) for each in names if "dispatch" in str(each["RoleName"])
    )
    assert "role/fornix-dispatch-" in spared
    assert "fornix-dispatch-" in own


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


def test_notices_write_notices_alone_and_send_from_one_address(stack: Template) -> None:
    found = [s for s in statements(stack, "FunctionsNotices") if s["Effect"] == "Allow"]
    (writes,) = [s for s in found if "dynamodb:PutItem" in s["Action"]]
    keys = writes["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert keys == ["DOC#notification#*", "AUD#*", "CHG#*", "HOOK#*", "HOOKS"]
    (mails,) = [s for s in found if "ses:" in str(s["Action"])]
    assert mails["Action"] == "ses:SendEmail"
    assert all("*" not in json.dumps(each) for each in mails["Resource"])
    # What SES says later comes back through a topic of its own
    (told,) = of_type(stack, "AWS::SES::ConfigurationSetEventDestination").values()
    assert told["EventDestination"]["MatchingEventTypes"] == ["bounce", "complaint", "reject"]
    (heard,) = [
        each
        for each in of_type(stack, "AWS::SNS::Subscription").values()
        if each["Protocol"] == "sqs"
    ]
    assert heard["RawMessageDelivery"] is True


def test_without_a_sender_no_e_mail_is_sent() -> None:
    plain = template(LABS)
    assert not of_type(plain, "AWS::SES::ConfigurationSet")
    assert "ses:" not in json.dumps(statements(plain, "FunctionsNotices"))


def test_only_the_api_lends_workers_their_role(stack: Template) -> None:
    workers = {
        role["RoleName"]: role
        for name, role in of_type(stack, "AWS::IAM::Role").items()
        if name.startswith("FunctionsWorker")
    }
    assert set(workers) == {"fornix-worker-fimbrialab", "fornix-worker-septumlab"}
    for role in workers.values():
        (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"]["AWS"]["Fn::GetAtt"][0].startswith("FunctionsApiRole")
        assert role["MaxSessionDuration"] == 3600
    lenders = [
        name
        for name in ("Api", "Ingest", "Dispatch", "Analysis")
        if "sts:AssumeRole" in json.dumps(statements(stack, f"Functions{name}Role"))
    ]
    assert lenders == ["Api"]


def distribution_of(stack: Template) -> dict[str, Any]:
    (found,) = of_type(stack, "AWS::CloudFront::Distribution").values()
    config: dict[str, Any] = found["DistributionConfig"]
    return config


def test_site_is_read_through_cloudfront_only_with_security_headers(stack: Template) -> None:
    policies = of_type(stack, "AWS::CloudFront::ResponseHeadersPolicy").values()
    assert len(policies) == 2
    for headers in policies:
        security = headers["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
        policy = json.dumps(security["ContentSecurityPolicy"]["ContentSecurityPolicy"])
        assert "default-src 'none'" in policy
        assert "'unsafe-eval'" not in policy
        assert "script-src 'self';" in policy
        assert set(security) == {
            "ContentSecurityPolicy",
            "ContentTypeOptions",
            "FrameOptions",
            "ReferrerPolicy",
            "StrictTransportSecurity",
        }
    config = distribution_of(stack)
    assert config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "redirect-to-https"
    pages = [origin for origin in config["Origins"] if "S3OriginConfig" in origin]
    assert pages
    assert all(origin["OriginAccessControlId"] for origin in pages)


def test_pages_of_results_ask_nobody_but_their_own_address(stack: Template) -> None:
    name = distribution_of(stack)["DefaultCacheBehavior"]["ResponseHeadersPolicyId"]["Ref"]
    headers = stack["Resources"][name]["Properties"]["ResponseHeadersPolicyConfig"]
    policy = headers["SecurityHeadersConfig"]["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    assert "connect-src 'self';" in policy
    assert "http" not in policy


def test_the_app_has_a_stricter_policy_that_lets_it_scan(stack: Template) -> None:
    config = distribution_of(stack)
    (of_app,) = [b for b in config["CacheBehaviors"] if b["PathPattern"] == "/app/*"]
    name = of_app["ResponseHeadersPolicyId"]["Ref"]
    headers = stack["Resources"][name]["Properties"]["ResponseHeadersPolicyConfig"]
    policy = json.dumps(headers["SecurityHeadersConfig"]["ContentSecurityPolicy"])

    assert "unsafe-" not in policy
    assert "worker-src 'self'" in policy
    (permissions,) = headers["CustomHeadersConfig"]["Items"]
    assert permissions["Value"].startswith("camera=(self), ")


def test_the_api_is_below_the_sites_own_address(stack: Template) -> None:
    config = distribution_of(stack)
    (behaviour,) = [b for b in config["CacheBehaviors"] if b["PathPattern"] == "/rest/*"]
    (origin,) = [o for o in config["Origins"] if o["Id"] == behaviour["TargetOriginId"]]
    (function,) = [
        each["Properties"]
        for name, each in stack["Resources"].items()
        if each["Type"] == "AWS::CloudFront::Function"
        and name in json.dumps(behaviour["FunctionAssociations"])
    ]

    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    assert set(behaviour["AllowedMethods"]) >= {"GET", "POST", "PUT", "PATCH", "DELETE"}
    # AWS's policies: CachingDisabled, AllViewerExceptHostHeader
    assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert origin["OriginPath"] == "/v1"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert "slice(5)" in function["FunctionCode"]
    # No page of the site stands for a refusal of the API, and none is kept
    errors = {each["ErrorCode"]: each for each in config["CustomErrorResponses"]}
    assert "ResponsePagePath" not in errors[403]
    assert {each["ErrorCachingMinTTL"] for each in errors.values()} == {0}
    # Only the distribution says whose address a request comes from
    (said,) = origin["OriginCustomHeaders"]
    (api,) = [
        f["Environment"]["Variables"]
        for f in of_type(stack, "AWS::Lambda::Function").values()
        if f.get("FunctionName") == "fornix-api"
    ]
    assert (said["HeaderName"], said["HeaderValue"]) == ("X-Fornix-Front", api["FORNIX_FRONT"])


@pytest.mark.parametrize(
    ("script", "uri", "becomes"),
    [
        (website.CUT_PREFIX, "/rest/weighings/1", "/weighings/1"),
        (website.CUT_PREFIX, "/rest/", "/"),
        (website.APP_PAGES, "/app/", "/app/index.html"),
        (website.APP_PAGES, "/app/main-abc.js", "/app/main-abc.js"),
    ],
)
def test_scripts_of_the_distribution_do_what_they_say(script: str, uri: str, becomes: str) -> None:
    if not cloudfront_js.available():
        pytest.skip("node, which runs them as CloudFront does, is not installed")
    asked = {"method": "GET", "uri": uri, "querystring": {}, "headers": {}, "cookies": {}}

    found = cloudfront_js.evaluate(script.encode(), {"version": "1.0", "request": asked})

    assert found == {**asked, "uri": becomes}


def test_the_app_has_one_address() -> None:
    if not cloudfront_js.available():
        pytest.skip("node, which runs them as CloudFront does, is not installed")
    event = {"version": "1.0", "request": {"method": "GET", "uri": "/app", "headers": {}}}

    found = cloudfront_js.evaluate(website.APP_PAGES.encode(), event)

    assert (found["statusCode"], found["headers"]["location"]["value"]) == (301, "/app/")


def test_pages_of_the_site_may_call_the_api_and_get_it_compressed(stack: Template) -> None:
    (stage,) = of_type(stack, "AWS::ApiGateway::Stage").values()
    (api,) = of_type(stack, "AWS::ApiGateway::RestApi").values()
    answer = api["Body"]["paths"]["/health"]["options"]["x-amazon-apigateway-integration"]
    headers = answer["responses"]["default"]["responseParameters"]

    origin = headers["method.response.header.Access-Control-Allow-Origin"]
    assert origin == "stageVariables.site"
    assert "Distribution" in json.dumps(stage["Variables"]["site"])
    assert 0 < api["MinimumCompressionSize"] <= 1_000


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


def test_the_journal_can_be_added_to_and_nothing_else(stack: Template) -> None:
    found = statements(stack, "FunctionsJournal")
    allowed = {
        action
        for each in found
        if each["Effect"] == "Allow"
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
    }
    changes = {a for a in allowed if a.startswith(("dynamodb:", "s3:"))}
    assert changes == {
        *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"),
        *("s3:GetObject", "s3:PutObject", "s3:ListBucket"),
    }
    for role in ("FunctionsApi", "FunctionsIngest", "FunctionsDispatch", "FunctionsAnalysis"):
        assert "journal/" not in json.dumps(statements(stack, role))


def test_ingest_and_dispatch_write_no_account_and_change_no_audit(stack: Template) -> None:
    for name in ("Ingest", "Dispatch", "Notices"):
        denied = {
            s["Sid"]: (set(s["Action"]), s["Condition"]["ForAnyValue:StringLike"])
            for s in statements(stack, f"Functions{name}Role")
            if s["Effect"] == "Deny" and "ForAnyValue:StringLike" in s["Condition"]
        }
        actions, condition = denied["NotTheAccounts"]
        assert {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"} <= actions
        keys = condition["dynamodb:LeadingKeys"]
        for kind in ("user", "lab", "tag", "data-repository"):
            assert {f"DOC#{kind}#*", f"UNIQ#{kind}#*"} <= set(keys)
    for name in ("Api", "Ingest", "Dispatch", "Notices"):
        (audit,) = [
            s
            for s in statements(stack, f"Functions{name}Role")
            if s.get("Sid") == "AuditIsOnlyAddedTo"
        ]
        assert audit["Effect"] == "Deny"
        assert set(audit["Action"]) == {
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
        }
        assert audit["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"] == ["AUD#*"]


def bucket_denials(stack: Template) -> dict[str, dict[str, Any]]:
    """Return what the buckets' own policies deny, by the statements' names."""
    return {
        statement["Sid"]: statement
        for policy in of_type(stack, "AWS::S3::BucketPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and "Sid" in statement
    }


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
