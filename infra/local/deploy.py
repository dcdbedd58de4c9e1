"""Deploys the synthesized template into the embedded cloud, as the CDK's tool does on AWS."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.local.cloud import CloudError, EmbeddedCloud
from infra.local.expiry import put_rules
from infra.local.home import Home
from infra.local.ministack import REGION
from infra.local.template import template
from infra.refusals import gateway_responses
from infra.settings import ROOT, STAGE
from infra.sources import code_files

ASSETS = "fornix-local-assets"
DEPLOY_SECONDS = 120
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


def client(home: Home, service: str) -> BaseClient:
    """Return a client with the embedded account's root credentials."""
    return _client(service, home.gateway_url, *home.root_credentials())


@functools.lru_cache
def _client(service: str, endpoint: str, key: str, secret: str) -> BaseClient:
    """Make one client per service and address."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            retries={"max_attempts": 3},
            s3={"addressing_style": "path"},
            signature_version="s3v4" if service == "s3" else None,
        ),
    )


def deploy(
    cloud: EmbeddedCloud,
    labs: tuple[str, ...],
    stack: str = "fornix",
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Deploy the present code into the embedded cloud; without changes it takes a moment.

    Parameters
    ----------
    cloud
        A running embedded cloud.
    labs
        Labs that get a queue and a role.
    stack
        The stack's name.
    progress
        Called with each step that takes a while.

    Returns
    -------
    dict
        The stack's outputs.

    Raises
    ------
    CloudError
        If the stack cannot be created or updated, with the resource and the reason.
    """
    home = cloud.home
    body = template(labs, progress)
    archive = code_archive()
    parameters = {
        "CodeBucket": ASSETS,
        "CodeKey": f"{hashlib.sha256(archive).hexdigest()}.zip",
        "ApiUrl": home.api_url,
        "SiteUrl": home.site_url,
    }
    wanted = hashlib.sha256(json.dumps([body, parameters], sort_keys=True).encode()).hexdigest()
    deployed = json.loads(home.deployed.read_text()) if home.deployed.exists() else {}
    if deployed.get("fingerprint") == wanted and _status(home, stack) in COMPLETE:
        return {key: value for key, value in deployed.items() if key != "fingerprint"}

    progress(f"deploying {len(body['Resources'])} resources")
    cloud.control("hold")
    try:
        encoded = json.dumps(body).encode()
        address = _upload(home, f"{wanted}.template.json", encoded)
        _upload(home, parameters["CodeKey"], archive)
        if cloud.binary is not None:
            _create_tables(cloud, body)
        outputs = _apply(home, stack, address, parameters)
        _put_refusals(home, outputs)
        put_rules(client(home, "s3"), outputs["DataBucket"], body)
    finally:
        cloud.control("release")
    home.deployed.write_text(json.dumps(outputs | {"fingerprint": wanted}, indent=2))
    return outputs


def code_archive() -> bytes:
    """Return the functions' code as a zip; equal files give equal bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in code_files():
            entry = zipfile.ZipInfo(str(path.relative_to(ROOT)), date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return target.getvalue()


def _upload(home: Home, key: str, body: bytes) -> str:
    """Store an asset for CloudFormation, and return its address."""
    s3: Any = client(home, "s3")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=ASSETS)
    s3.put_object(Bucket=ASSETS, Key=key, Body=body)
    return f"{home.gateway_url}/{ASSETS}/{key}"


def _create_tables(cloud: EmbeddedCloud, body: dict[str, Any]) -> None:
    """Create in dynoxide the missing tables of the template."""
    dynamodb: Any = _client(
        "dynamodb",
        f"http://127.0.0.1:{cloud.home.ports.dynamodb}",
        *cloud.home.root_credentials(),
    )
    accepted = (
        "TableName",
        "KeySchema",
        "AttributeDefinitions",
        "GlobalSecondaryIndexes",
        "BillingMode",
    )
    for resource in body["Resources"].values():
        if resource["Type"] != "AWS::DynamoDB::Table":
            continue
        properties = resource["Properties"]
        arguments = {key: properties[key] for key in accepted if key in properties}
        for index in arguments.get("GlobalSecondaryIndexes", []):
            index.pop("OnDemandThroughput", None)
        try:
            dynamodb.create_table(**arguments)
        except dynamodb.exceptions.ResourceInUseException:
            continue
        ttl = properties.get("TimeToLiveSpecification")
        if ttl:
            dynamodb.update_time_to_live(
                TableName=properties["TableName"],
                TimeToLiveSpecification={
                    "AttributeName": ttl["AttributeName"],
                    "Enabled": ttl["Enabled"],
                },
            )


def _status(home: Home, stack: str) -> str | None:
    """Return the stack's status, None if there is no such stack."""
    cloudformation: Any = client(home, "cloudformation")
    try:
        status: str = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return status


def _apply(home: Home, stack: str, address: str, parameters: dict[str, str]) -> dict[str, str]:
    """Create or update the stack and wait for it."""
    cloudformation: Any = client(home, "cloudformation")
    arguments = {
        "StackName": stack,
        "TemplateURL": address,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    }
    if _status(home, stack) is None:
        cloudformation.create_stack(**arguments)
    else:
        try:
            cloudformation.update_stack(**arguments)
        except ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
    deadline = time.monotonic() + DEPLOY_SECONDS
    while (status := _status(home, stack)) is not None and status.endswith("_IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise CloudError(f"the stack is still {status} after {DEPLOY_SECONDS} s")
        time.sleep(0.1)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise CloudError(f"the stack ended as {status}: {_reason(cloudformation, stack)}")
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}


def _put_refusals(home: Home, outputs: dict[str, str]) -> None:
    """Add the API's gateway responses: the emulator does not import them from the definition."""
    gateway: Any = client(home, "apigateway")
    for kind, response in gateway_responses(outputs["Site"]).items():
        gateway.put_gateway_response(restApiId=outputs["ApiId"], responseType=kind, **response)
    gateway.create_deployment(restApiId=outputs["ApiId"], stageName=STAGE)


def _reason(cloudformation: Any, stack: str) -> str:
    """Return the first failure among a stack's events."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [e for e in reversed(events) if e["ResourceStatus"].endswith("FAILED")]
    if not failed:
        return "no event says why"
    first = failed[0]
    return f"{first['LogicalResourceId']}: {first.get('ResourceStatusReason', 'no reason given')}"
