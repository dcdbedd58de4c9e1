"""Objects expire by their tags, as in S3: the embedded cloud only keeps the rules."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

log = logging.getLogger(__name__)

Tags = Mapping[str, str]


def put_rules(s3: Any, bucket: str, template: Mapping[str, Any]) -> None:
    """Give the data bucket the template's rules by tags, which the embedded cloud leaves out.

    Parameters
    ----------
    s3, bucket
        Client with the account's own credentials, and the bucket.
    template
        The stack's template.
    """
    of_buckets = (
        resource["Properties"].get("LifecycleConfiguration", {}).get("Rules", ())
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::S3::Bucket"
    )
    rules = [
        {
            "ID": rule["Id"],
            "Status": rule["Status"],
            "Filter": {"And": {"Prefix": rule["Prefix"], "Tags": rule["TagFilters"]}},
            "Expiration": {"Days": rule["ExpirationInDays"]},
        }
        for rules in of_buckets
        for rule in rules
        if rule.get("TagFilters")
    ]
    if rules:
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": rules}
        )


def expire(s3: Any, bucket: str, now: datetime) -> list[str]:
    """Delete the objects that a rule by tags lets expire; old versions stay, as on AWS.

    Parameters
    ----------
    s3
        Client with the account's own credentials.
    bucket, now
        The bucket, and the present moment.

    Returns
    -------
    list of str
        Their keys.
    """
    gone = []
    for prefix, tags, age in _rules(s3, bucket):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for item in (item for page in pages for item in page.get("Contents", ())):
            if item["LastModified"] + age <= now and _has(s3, bucket, item["Key"], tags):
                s3.delete_object(Bucket=bucket, Key=item["Key"])
                log.info("%s has expired", item["Key"])
                gone.append(item["Key"])
    return gone


def _rules(s3: Any, bucket: str) -> Iterator[tuple[str, Tags, timedelta]]:
    """Yield the rules by tags: prefix, tags and age."""
    try:
        rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError:  # it has no rules
        return
    for rule in rules:
        wanted = rule.get("Filter", {})
        every = wanted.get("And", wanted)
        tags = {tag["Key"]: tag["Value"] for tag in every.get("Tags", ())}
        if one := wanted.get("Tag"):
            tags[one["Key"]] = one["Value"]
        days = rule.get("Expiration", {}).get("Days")
        if tags and days and rule.get("Status") == "Enabled":
            yield every.get("Prefix", ""), tags, timedelta(days=days)


def _has(s3: Any, bucket: str, key: str, tags: Tags) -> bool:
    found = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return tags.items() <= {tag["Key"]: tag["Value"] for tag in found}.items()
