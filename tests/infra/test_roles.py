"""What each function's role may do: its own work and no more."""

from __future__ import annotations

import json

from functions.api.auth.credentials import Password
from infra.local.seed import LABS
from infra.local.template import template
from shared.records.table import Record
from tests.infra.stack import Template, bucket_denials, of_type, statements


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
        own = {"NotTheAccounts", "AuditIsOnlyAddedTo"}
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


def test_analysis_writes_no_record_but_those_of_aggregates(stack: Template) -> None:
    allowed = [s for s in statements(stack, "FunctionsAnalysisRole") if s["Effect"] == "Allow"]
    (writes,) = [s for s in allowed if "dynamodb:PutItem" in s["Action"]]
    keys = writes["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert keys == ["AGG#subjects.subject#*", "DSID#*", "AUD#*", "CHG#*"]
    puts = [json.dumps(s["Resource"]) for s in allowed if "s3:PutObject" in s["Action"]]
    assert any("/data/aggregates/*" in place for place in puts)
    assert not any("/data/*" in place for place in puts)


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
    for name in ("Ingest", "Dispatch", "Analysis", "Notices"):
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
    for name in ("Api", "Ingest", "Dispatch", "Analysis", "Notices"):
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
