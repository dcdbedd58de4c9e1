"""The site's distribution: who is asked for what, and by which policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ministack.core import cloudfront_js

from infra import website
from tests.infra.stack import Template, of_type


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
