"""What every refusal of data says: what is at fault, which rule it breaks, how to mend it."""

from __future__ import annotations

from typing import ClassVar


class Explained(ValueError):
    """Something is wrong with data, and a person can mend it.

    Parameters
    ----------
    fault : str
        What is at fault: a file, a name, a quantity.
    rule : str
        What is wrong with it, as a sentence without a full stop.
    fix : str
        What to do about it, as a sentence without a full stop.

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
