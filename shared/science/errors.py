"""Errors of raw data that cannot be turned into trials or wheel."""

from __future__ import annotations

from shared.model.errors import Explained


class ExtractionError(Explained):
    """Raw data cannot be turned into trials or wheel; the message says what, where and why."""

    code = "extraction_failed"


class RawFileMissing(ExtractionError):
    """A raw file is missing."""

    code = "raw_file_missing"


class RawFileInvalid(ExtractionError):
    """A raw file is empty, truncated or not in a rig's format."""

    code = "raw_file_invalid"


class TaskUnsupported(ExtractionError):
    """The raw data of this task cannot be turned into trials."""

    code = "task_unsupported"


class TrialInvalid(ExtractionError):
    """A trial breaks the rules of the task: no outcome, or several."""

    code = "trial_invalid"


class WheelUnsynchronised(ExtractionError):
    """The clocks of the rotary encoder and the state machine cannot be matched."""

    code = "wheel_unsynchronised"


class SyncFailed(ExtractionError):
    """The pulses that two devices share are missing, or do not match."""

    code = "sync_failed"
