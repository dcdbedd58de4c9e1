"""The three parts of a refusal of data: the fault, the broken rule and the fix."""

from __future__ import annotations

from typing import ClassVar


class Explained(ValueError):
    """Something is wrong with data, and a person can mend it.

    Parameters
    ----------
    fault : str
        The thing at fault: a file, a name, a quantity.
    rule : str
        The rule that it breaks, as a sentence without a full stop.
    fix : str
        The remedy, as a sentence without a full stop.

    Attributes
    ----------
    code
        The kind of error, for programs.
    """

    code: ClassVar[str]

    def __init__(self, fault: str, rule: str, fix: str) -> None:
        super().__init__(fault, rule, fix)
        self.fault, self.rule, self.fix = fault, rule, fix

    def __str__(self) -> str:
        return f"{self.fault}: {self.rule}. To fix: {self.fix}."
