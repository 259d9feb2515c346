"""What can go wrong with one resource or with the whole program."""

from farshore.core.errors import FarshoreError

FAILED = "the program failed: "
"""How the last thing begins that a failed program's process prints."""


class DeployError(FarshoreError):
    """The program or one of its resources failed; what was created stays, and the next run carries on from there."""
