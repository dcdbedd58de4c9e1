"""Reading of a synthesized template."""

from __future__ import annotations

from typing import Any

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


def bucket_denials(stack: Template) -> dict[str, dict[str, Any]]:
    """Return what the buckets' own policies deny, by the statements' names."""
    return {
        statement["Sid"]: statement
        for policy in of_type(stack, "AWS::S3::BucketPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and "Sid" in statement
    }
