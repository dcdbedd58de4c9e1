"""Why raw data can not be turned into trials or wheel."""

from __future__ import annotations


class ExtractionError(ValueError):
    """Raw data can not be turned into trials or wheel; the message says what, where and why.

    Parameters
    ----------
    what : str
        File or quantity at fault.
    reason : str
        What is wrong with it.
    fix : str
        What to do about it.
    """

    code = "extraction_failed"

    def __init__(self, what: str, reason: str, fix: str) -> None:
        super().__init__(what, reason, fix)
        self.what, self.reason, self.fix = what, reason, fix

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}. To fix: {self.fix}."


class RawFileMissing(ExtractionError):
    """A raw file is not there."""

    code = "raw_file_missing"


class RawFileInvalid(ExtractionError):
    """A raw file is empty, truncated or not in a rig's format."""

    code = "raw_file_invalid"


class TaskUnsupported(ExtractionError):
    """The task is not one whose raw data this software can turn into trials."""

    code = "task_unsupported"


class TrialInvalid(ExtractionError):
    """A trial breaks the rules of the task: no outcome, or several."""

    code = "trial_invalid"


class WheelUnsynchronised(ExtractionError):
    """The clocks of the rotary encoder and the state machine can not be matched."""

    code = "wheel_unsynchronised"


class SyncFailed(ExtractionError):
    """The pulses that two devices share are not there, or do not match."""

    code = "sync_failed"
