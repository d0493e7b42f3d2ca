"""How a reader says no: with one of the codes of ../README.md, and a reason for people."""


class Refused(Exception):
    """What was read is not taken. `code` is the verdict; the reason is for people alone."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


def malformed(reason: str) -> Refused:
    return Refused("malformed", reason)
