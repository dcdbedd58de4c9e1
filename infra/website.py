"""The site's address: CloudFront before the results pages, the notebook app and the API.

The pages of both are in the private site bucket. The API is below ``/rest``, so that the app calls
it without preflights and the session's cookie never leaves this address.
"""

from __future__ import annotations

from aws_cdk import Aws, Duration, Fn
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.settings import API_PREFIX, APP, STAGE, Deployment
from infra.storage import Storage

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # plots set style attributes
        "img-src 'self' data: blob:",
        "media-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",  # the API is below this address, too
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Content security policy of the results pages. Nothing is fetched from other hosts."""

APP_PAGES = """\
function handler(event) {
  var request = event.request;
  if (request.uri === "%(app)s") {
    return {
      statusCode: 301,
      statusDescription: "Moved Permanently",
      headers: { location: { value: "%(app)s/" } },
    };
  }
  if (request.uri === "%(app)s/") request.uri = "%(app)s/index.html";
  return request;
}
""" % {"app": APP}  # noqa: UP031 - braces are the script's

CUT_PREFIX = """\
function handler(event) {
  var request = event.request;
  request.uri = request.uri.slice(%(length)d) || "/";
  return request;
}
""" % {"length": len(API_PREFIX)}  # noqa: UP031

FRONT_HEADER = "X-Fornix-Front"
"""Header by which the API recognises the site's distribution, and then trusts the client address
that it passes on."""


def front_secret() -> str:
    """Return the distribution's secret for the API: the stack's id, which nobody else knows."""
    return Fn.select(2, Fn.split("/", Aws.STACK_ID))


def app_policy(data: str) -> str:
    """Return the content security policy of the app, which uploads files to a bucket."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data: {data}",
            "font-src 'self'",
            f"connect-src 'self' {data}",
            "manifest-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class Website(Construct):
    """Distribution with security headers; each object has its own cache lifetime.

    Parameters
    ----------
    scope, settings, storage
    api_id
        Id of the REST API that is served below ``/rest``.
    """

    def __init__(
        self, scope: Construct, settings: Deployment, storage: Storage, api_id: str
    ) -> None:
        super().__init__(scope, "Website")
        self.settings = settings
        origin = origins.S3BucketOrigin.with_origin_access_control(
            storage.site,
            # For a missing object S3 answers 404 to roles that may list the bucket, else 403
            origin_access_levels=[cloudfront.AccessLevel.READ, cloudfront.AccessLevel.LIST],
        )
        pages = cloudfront.CachePolicy(
            self,
            "Pages",
            cache_policy_name=f"{settings.name}-pages",
            default_ttl=Duration.minutes(1),
            min_ttl=Duration.seconds(0),
            max_ttl=Duration.days(1),
            enable_accept_encoding_gzip=True,
            enable_accept_encoding_brotli=True,
        )

        def behaviour(
            headers: cloudfront.ResponseHeadersPolicy, script: cloudfront.Function | None = None
        ) -> dict[str, object]:
            return {
                "origin": origin,
                "viewer_protocol_policy": self._protocol(),
                "allowed_methods": cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
                "cache_policy": pages,
                "response_headers_policy": headers,
                "function_associations": _on_request(script),
                "compress": True,
            }

        results = self._headers("Headers", "site", CONTENT_SECURITY_POLICY, "camera=()")
        app = self._headers("AppHeaders", "app", app_policy(self._data(storage)), "camera=(self)")
        # Locally `infra.local.front.SiteFront` replaces the scripts of CloudFront
        app_pages = None if settings.local else self._script("AppPages", "app-pages", APP_PAGES)
        more = {
            path: cloudfront.BehaviorOptions(**behaviour(app, app_pages))
            for path in (APP, f"{APP}/*")
        }
        if not settings.local:
            more[f"{API_PREFIX}/*"] = self._api(api_id)
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{settings.name} results site",
            default_behavior=cloudfront.BehaviorOptions(**behaviour(results)),
            additional_behaviors=more,
            default_root_object="index.html",
            # This applies to the API's answers too, so refusals (403) have no page, and nothing is
            # cached: a missing page may exist a moment later
            error_responses=[
                cloudfront.ErrorResponse(
                    http_status=404,
                    response_http_status=404,
                    response_page_path="/404.html",
                    ttl=Duration.seconds(0),
                ),
                cloudfront.ErrorResponse(http_status=403, ttl=Duration.seconds(0)),
            ],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
            enable_logging=True,
            log_bucket=storage.logs,
            log_file_prefix="cloudfront/",
        )
        # The state of the incremental analyses is stored beside the pages and is private.
        storage.site.add_to_resource_policy(
            iam.PolicyStatement(
                sid="StateIsNotServed",
                effect=iam.Effect.DENY,
                principals=[iam.ServicePrincipal("cloudfront.amazonaws.com")],
                actions=["s3:GetObject"],
                resources=[storage.site.arn_for_objects("_state/*")],
            )
        )

    def _protocol(self) -> cloudfront.ViewerProtocolPolicy:
        if self.settings.local:
            return cloudfront.ViewerProtocolPolicy.ALLOW_ALL
        return cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS

    def _data(self, storage: Storage) -> str:
        """Return the origins where the app's pages put and get files."""
        if self.settings.local:
            return "http://127.0.0.1:*"
        bucket = storage.data_name
        return f"https://{bucket}.s3.{Aws.REGION}.amazonaws.com https://{bucket}.s3.amazonaws.com"

    def _headers(
        self, construct_id: str, name: str, policy: str, camera: str
    ) -> cloudfront.ResponseHeadersPolicy:
        """Return the headers of pages with a content security policy."""
        return cloudfront.ResponseHeadersPolicy(
            self,
            construct_id,
            response_headers_policy_name=f"{self.settings.name}-{name}",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=policy, override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365),
                    include_subdomains=True,
                    override=True,
                ),
            ),
            custom_headers_behavior=cloudfront.ResponseCustomHeadersBehavior(
                custom_headers=[
                    cloudfront.ResponseCustomHeader(
                        header="Permissions-Policy",
                        value=f"{camera}, geolocation=(), microphone=()",
                        override=True,
                    )
                ]
            ),
        )

    def _script(self, construct_id: str, name: str, code: str) -> cloudfront.Function:
        """Return a function that CloudFront runs on requests."""
        return cloudfront.Function(
            self,
            construct_id,
            function_name=f"{self.settings.name}-{name}",
            code=cloudfront.FunctionCode.from_inline(code),
            runtime=cloudfront.FunctionRuntime.JS_2_0,
        )

    def _api(self, api_id: str) -> cloudfront.BehaviorOptions:
        """Return the behaviour of requests to the API: only prefix and host are changed."""
        return cloudfront.BehaviorOptions(
            origin=origins.HttpOrigin(
                f"{api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}",
                origin_path=f"/{STAGE}",
                protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                custom_headers={FRONT_HEADER: front_secret()},
            ),
            viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
            allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
            cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
            origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            function_associations=_on_request(self._script("CutPrefix", "rest", CUT_PREFIX)),
            compress=False,  # the API compresses its answers itself
        )


def _on_request(script: cloudfront.Function | None) -> list[cloudfront.FunctionAssociation]:
    if script is None:
        return []
    event = cloudfront.FunctionEventType.VIEWER_REQUEST
    return [cloudfront.FunctionAssociation(function=script, event_type=event)]
