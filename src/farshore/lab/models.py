"""One reader of AWS's service models for the whole process.

moto makes a botocore session wherever it wants a list of regions, and each session would parse EC2's model, of some
megabytes, once more. Sessions only read what a loader holds.
"""

import functools

import botocore.session


def share() -> None:
    """From now on all sessions with the same search path have one loader; before moto is imported."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
