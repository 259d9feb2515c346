"""One error root; subclasses by what the caller must do."""


class FarshoreError(Exception):
    """Anything farshore reports: what happened, what state things are in, what to do next."""

    exit_code = 1


class UsageError(FarshoreError):
    """The request or its configuration is wrong: name the setting, the value and the fix."""

    exit_code = 2


class RefusedError(FarshoreError):
    """The request is understood and unsafe now; `reason` says why, `next_step` what would help."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(f"{reason} Next: {next_step}")
        self.reason = reason
        self.next_step = next_step


class UnknownOutcomeError(FarshoreError):
    """A request was sent and its reply never came; read the state before sending anything again."""

    exit_code = 3


class MoveRefusedError(FarshoreError):
    """AWS has said no to a request to move the writer, or was never asked: nothing was begun."""


class MoveTooLateError(FarshoreError):
    """The time of a request to move the writer had passed before it left: nothing was sent."""


class InvariantError(FarshoreError):
    """A step would break a promise; nothing was done."""
