"""A batch of queue messages, handled one by one: only those that fail come again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)


def handled(
    event: dict[str, Any], handle: Callable[[dict[str, Any]], None], context: Any, logger: Logger
) -> dict[str, Any]:
    """Handle each message of an SQS event; return the failed ones in the form Lambda expects.

    Parameters
    ----------
    event
        The event; its messages are ``Records``.
    handle
        Handles one message. Its exceptions are logged, and only that message comes again.
    context
        Lambda context of the invocation.
    logger
        The function's logger.
    """
    processor = BatchProcessor(
        EventType.SQS,
        raise_on_entire_batch_failure=False,
        logger=logger,  # type: ignore[arg-type]  # it has the methods of logging.Logger
    )
    return dict(
        process_partial_response(
            event=event, record_handler=handle, processor=processor, context=context
        )
    )
