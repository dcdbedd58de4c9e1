# The analysis function on AWS: its libraries are larger than a zip function may be.
# Built from the checkout when the stack is deployed; on one computer the function is a zip.
ARG PYTHON_VERSION
FROM public.ecr.aws/lambda/python:${PYTHON_VERSION}
WORKDIR ${LAMBDA_TASK_ROOT}

COPY requirements.lock ./
# The lock covers development too; its versions bind the few packages named here.
RUN sed -e '/--hash/d' -e 's/ *\\$//' requirements.lock > constraints.txt \
    && pip install --no-cache-dir --constraint constraints.txt \
        aws-lambda-powertools botocore jinja2 matplotlib msgspec numpy pandas pyarrow \
        pynamodb scikit-learn scipy zstandard \
    && rm requirements.lock constraints.txt

COPY functions ./functions
COPY shared ./shared
COPY site/results/templates ./site/results/templates
# Lambda's disk keeps nothing: else each start compiles them.
RUN python -m compileall -q --invalidation-mode unchecked-hash functions shared
