"""The results site: CloudFront in front of the private site bucket."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.settings import Deployment
from infra.storage import Storage

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # plots set style attributes
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self' https: http://127.0.0.1:*",  # the API's host is chosen by its user
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing is fetched from other hosts but what the notebook app asks of the API it is given."""


class Website(Construct):
    """Distribution with security headers; objects say themselves how long they may be cached."""

    def __init__(self, scope: Construct, settings: Deployment, storage: Storage) -> None:
        super().__init__(scope, "Website")
        headers = cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            response_headers_policy_name=f"{settings.name}-site",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                content_security_policy=cloudfront.ResponseHeadersContentSecurityPolicy(
                    content_security_policy=CONTENT_SECURITY_POLICY, override=True
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
                        value="camera=(), geolocation=(), microphone=()",
                        override=True,
                    )
                ]
            ),
        )
        origin = origins.S3BucketOrigin.with_origin_access_control(
            storage.site, origin_access_levels=[cloudfront.AccessLevel.READ]
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
        self.distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{settings.name} results site",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                viewer_protocol_policy=(
                    cloudfront.ViewerProtocolPolicy.ALLOW_ALL
                    if settings.local
                    else cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS
                ),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
                cache_policy=pages,
                response_headers_policy=headers,
                compress=True,
            ),
            default_root_object="index.html",
            error_responses=[
                cloudfront.ErrorResponse(
                    http_status=status,
                    response_http_status=404,
                    response_page_path="/404.html",
                    ttl=Duration.minutes(1),
                )
                for status in (403, 404)
            ],
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
            enable_logging=True,
            log_bucket=storage.logs,
            log_file_prefix="cloudfront/",
        )
        # The state of the incremental analyses lives beside the pages and is nobody's business.
        storage.site.add_to_resource_policy(
            iam.PolicyStatement(
                sid="StateIsNotServed",
                effect=iam.Effect.DENY,
                principals=[iam.ServicePrincipal("cloudfront.amazonaws.com")],
                actions=["s3:GetObject"],
                resources=[storage.site.arn_for_objects("_state/*")],
            )
        )
