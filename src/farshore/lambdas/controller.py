"""Lambda handler: the controller of this function's region."""

import functools
import secrets
from dataclasses import replace
from typing import Any

from farshore.controller import Controller, World
from farshore.lambdas import loop
from farshore.settings import from_environment
from farshore.workshop import Workshop


@functools.cache
def _workshop() -> Workshop:
    return Workshop(from_environment())


@functools.cache
def _world(function_arn: str) -> World:
    workshop = _workshop()
    return replace(workshop.world, teller=workshop.teller(function_arn))


def handler(_event: Any, context: loop.LambdaContext) -> dict[str, object]:
    workshop = _workshop()
    settings, world = workshop.settings, _world(context.invoked_function_arn)
    # Lambda may deliver one event twice, under one request id; each delivery is a process of its own.
    process = f"{settings.region}/controller/{context.aws_request_id[:8]}-{secrets.token_hex(2)}"
    controller = Controller(
        names=settings.names,
        region=settings.region,
        process=process,
        profile=settings.profile,
        mode=settings.mode,
        world=world,
    )
    return loop.run(
        kind="controller",
        region=settings.region,
        process=process,
        context=context,
        journal=world.journal,
        clock=world.clock,
        tick=controller.tick,
    )
