"""The REST API, wired route by route from the Chalice application.

The application's ``routes`` are the only list of routes: each becomes one operation of an OpenAPI
definition with a proxy integration to the API function, and each path gets a preflight answer for
the site's origin. Unknown paths and methods are refused by API Gateway and cost no invocation.
"""

from __future__ import annotations

from typing import Any, cast

from aws_cdk import Aws, RemovalPolicy, Size
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.cors import preflight
from infra.refusals import gateway_responses
from infra.settings import API_ALIAS, STAGE, Deployment
from infra.sources import application, binary_types, challenged, routes


class HttpApi(Construct):
    """Regional REST API with access logs, throttling and tracing."""

    def __init__(self, scope: Construct, settings: Deployment) -> None:
        super().__init__(scope, "HttpApi")
        self.settings = settings
        app = application()
        access_log = logs.LogGroup(
            self,
            "AccessLog",
            log_group_name=f"/aws/apigateway/{settings.name}",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.api = apigateway.SpecRestApi(
            self,
            "Api",
            rest_api_name=settings.name,
            description="Fornix: metadata, uploads, tasks and downloads",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            api_definition=apigateway.ApiDefinition.from_inline(
                definition(routes(app), challenged(), binary_types(app), _integration(settings))
            ),
            cloud_watch_role=False,
            min_compression_size=Size.bytes(SMALLEST_COMPRESSED),
            fail_on_warnings=True,
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=settings.throttle_rate,
                throttling_burst_limit=settings.throttle_burst,
                tracing_enabled=True,
                metrics_enabled=True,
                access_log_destination=apigateway.LogGroupLogDestination(access_log),
                access_log_format=apigateway.AccessLogFormat.custom(ACCESS_LOG_FORMAT),
            ),
        )
        if settings.waf:
            self._firewall(settings)
        # The definition has this too, but the embedded cloud reads only the property.
        resource = cast(apigateway.CfnRestApi, self.api.node.default_child)
        resource.binary_media_types = binary_types(app)

    def serve(self, function: lambda_.IFunction, site_url: str) -> None:
        """Let the API invoke its function, and pages of the site call it.

        The site's distribution refers to the API, and the function's settings refer to the site.
        So the API is created first, from names alone, and connected to both here.
        """
        stage = cast(apigateway.CfnStage, self.api.deployment_stage.node.default_child)
        stage.variables = {SITE_VARIABLE: site_url}
        function.add_permission(
            "RestApi",
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            source_arn=self.api.arn_for_execute_api("*", "/*", STAGE),
        )
        function.add_permission(
            "Authorizer",
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            source_arn=(
                f"arn:{Aws.PARTITION}:execute-api:{Aws.REGION}:{Aws.ACCOUNT_ID}:"
                f"{self.api.rest_api_id}/authorizers/*"
            ),
        )

    def _firewall(self, settings: Deployment) -> None:
        """Put a web firewall before the API's stage."""
        limited = {"limit": settings.waf_rate, "aggregateKeyType": "IP"}
        common = {"vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet"}
        # Bodies of uploads and imports exceed the limit of the rule set
        counted = [{"name": "SizeRestrictions_BODY", "actionToUse": {"count": {}}}]
        wall = waf.CfnWebACL(
            self,
            "Firewall",
            name=settings.name,
            scope="REGIONAL",
            default_action={"allow": {}},
            visibility_config=_counted("firewall"),
            rules=[
                {
                    "name": "rate",
                    "priority": 0,
                    "statement": {"rateBasedStatement": limited},
                    "action": {"block": {"customResponse": {"responseCode": 429}}},
                    "visibilityConfig": _counted("rate"),
                },
                {
                    "name": "common",
                    "priority": 1,
                    "statement": {
                        "managedRuleGroupStatement": {**common, "ruleActionOverrides": counted}
                    },
                    "overrideAction": {"none": {}},
                    "visibilityConfig": _counted("common"),
                },
            ],
        )
        waf.CfnWebACLAssociation(
            self,
            "FirewallBeforeTheApi",
            resource_arn=self.api.deployment_stage.stage_arn,
            web_acl_arn=wall.attr_arn,
        )


def _counted(name: str) -> dict[str, Any]:
    """Return the metric settings of a rule of the firewall."""
    return {"cloudWatchMetricsEnabled": True, "metricName": name, "sampledRequestsEnabled": False}


ACCESS_LOG_FORMAT = (
    '{"time":"$context.requestTime","id":"$context.requestId","ip":"$context.identity.sourceIp",'
    '"method":"$context.httpMethod","route":"$context.resourcePath","status":"$context.status",'
    '"bytes":"$context.responseLength","ms":"$context.responseLatency",'
    '"error":"$context.error.message"}'
)
"""One JSON object per request; the path's values and the query may name people, so only the
route is kept."""


SMALLEST_COMPRESSED = 1_000
"""Smallest answer in bytes that API Gateway compresses for clients that accept it."""

SITE_VARIABLE = "site"
"""Stage variable with the origin of the site's pages."""


def _integration(settings: Deployment) -> str:
    """Return the address at which API Gateway invokes the API's function, made from its name."""
    alias = "" if settings.local else f":{API_ALIAS}"
    function = (
        f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:function:"
        f"{settings.name}-api{alias}"
    )
    return (
        f"arn:{Aws.PARTITION}:apigateway:{Aws.REGION}:lambda:path/2015-03-31/functions/"
        f"{function}/invocations"
    )


AUTHORIZER = "account"
"""Name of the authorizer that asks the function whether a download needs an account."""


def definition(
    paths: dict[str, list[str]],
    challenged: tuple[str, ...],
    binary: list[str],
    integration: str,
) -> dict[str, Any]:
    """Return the OpenAPI definition that API Gateway imports.

    Parameters
    ----------
    paths
        Methods by path, with path parameters as ``{name}``.
    challenged
        Paths whose refusals must ask for Basic credentials (see `infra.refusals`).
    binary
        Media types passed as bytes.
    integration
        Invocation address of the function.
    """
    return {
        "openapi": "3.0.1",
        "info": {"title": "Fornix", "version": STAGE},
        "x-amazon-apigateway-binary-media-types": binary,
        "paths": {
            path: {
                method.lower(): _operation(path, integration, asks=path in challenged)
                for method in methods
            }
            | {"options": _preflight(path, methods)}
            for path, methods in paths.items()
        },
        "components": {"securitySchemes": {AUTHORIZER: _authorizer(integration)}},
        "x-amazon-apigateway-gateway-responses": gateway_responses("*"),
    }


def _authorizer(integration: str) -> dict[str, Any]:
    """Return the authorizer: the API function itself, called for each request.

    It has no identity source (which requires that the cache is off), so it is also called for
    requests without credentials: those for public files must pass.
    """
    return {
        "type": "apiKey",
        "name": "Unused",
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": integration,
            "authorizerResultTtlInSeconds": 0,
        },
    }


def _parameters(path: str) -> list[dict[str, Any]]:
    """Declare a path's parameters, as the import requires."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _operation(path: str, integration: str, *, asks: bool) -> dict[str, Any]:
    """Return one operation, which passes the request unchanged to the function."""
    return {
        "parameters": _parameters(path),
        "responses": {},
        **({"security": [{AUTHORIZER: []}]} if asks else {}),
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": integration,
            "passthroughBehavior": "when_no_match",
        },
    }


def _preflight(path: str, methods: list[str]) -> dict[str, Any]:
    """Return the answer to a browser's preflight, given by API Gateway itself."""
    headers = {name: f"'{value}'" for name, value in preflight(methods, "").items()}
    headers["Access-Control-Allow-Origin"] = f"stageVariables.{SITE_VARIABLE}"
    return {
        "parameters": _parameters(path),
        "responses": {
            "204": {
                "description": "preflight",
                "headers": {name: {"schema": {"type": "string"}} for name in headers},
            }
        },
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "requestTemplates": {"application/json": '{"statusCode": 204}'},
            "responses": {
                "default": {
                    "statusCode": "204",
                    "responseParameters": {
                        f"method.response.header.{name}": value for name, value in headers.items()
                    },
                }
            },
        },
    }
