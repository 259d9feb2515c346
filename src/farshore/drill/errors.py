"""Errors of a drill that are the caller's to fix."""


class DrillUsageError(Exception):
    """The drill was asked for something it cannot do; one line naming the setting, its value and the fix."""

    exit_code = 2

    def __init__(self, setting: str, value: object, fix: str) -> None:
        super().__init__(f"{setting} is {value}: {fix}")
        self.setting = setting
        self.value = value
        self.fix = fix
