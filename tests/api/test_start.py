"""The start of the API function leaves out what it does not need, and breaks nothing by that."""

import subprocess
import sys


def test_boto3_may_come_after_the_function():
    """What was left out of botocore is there when somebody asks."""
    code = (
        "import functions.api.app, boto3, urllib3.http2;"
        "from shared.records import aws; aws.client('s3'); aws.client('dynamodb');"
        "boto3.resource('s3', region_name='us-east-1').Bucket('x');"
        "from botocore.docs import generate_docs;"
        "from botocore.docs.docstring import LazyLoadedDocstring"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
