"""Bring a stack up by running its program, and take it down again."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from farshore.core.errors import RefusedError
from farshore.lab.deploy import monitor
from farshore.lab.deploy.checkpoint import Checkpoint, Resource
from farshore.lab.deploy.engine import Engine, Target, Tell
from farshore.lab.deploy.errors import FAILED, DeployError
from farshore.lab.deploy.kinds import Old
from farshore.lab.deploy.values import hide
from farshore.lab.ports import Process, Spawn

ORGANIZATION = "organization"
LOG = "program.log"
SCRATCH = "scratch"
_PROGRAM_TIMEOUT_S = 1800
_SAID_MAX = 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program is told: configuration (`farshore:suffix` and so on) and its process's environment."""

    config: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Summary:
    """URNs, but for `outputs`: what the program exports, by name, without its secrets."""

    created: tuple[str, ...]
    unchanged: tuple[str, ...]
    seconds: float
    outputs: Mapping[str, Any] = field(repr=False)

    @property
    def resources(self) -> int:
        return len(self.created) + len(self.unchanged)


def up(target: Target, settings: Settings, directory: Path, spawn: Spawn, tell: Tell) -> Summary:
    """Run the program until it ends. DeployError names everything that failed and what was skipped for it."""
    started = time.monotonic()
    with Checkpoint.opened(directory) as checkpoint:
        engine, log = Engine(target, checkpoint, tell), monitor.EngineLog(tell)
        _observe(target, checkpoint)
        with monitor.serving(engine, log) as address:
            scratch = directory / SCRATCH
            scratch.mkdir(exist_ok=True)
            program = _launch(target, settings, address, directory / LOG, spawn)
            try:
                code = program.wait(_PROGRAM_TIMEOUT_S)
            finally:
                program.kill()
                shutil.rmtree(scratch, ignore_errors=True)
        _check(engine, checkpoint, code, log.errors, directory / LOG)
        return _summary(engine, time.monotonic() - started)


def destroy(target: Target, directory: Path, tell: Tell) -> list[str]:
    """Delete everything, each resource after all that need it; returns the names in that order.

    RefusedError: something is protected, nothing was deleted. DeployError: some deletions failed; what they need
    stays, everything else is gone.
    """
    with Checkpoint.opened(directory) as checkpoint:
        resources = {resource.urn: resource for resource in checkpoint.all()}
        if protected := sorted(resource.name for resource in resources.values() if resource.protect):
            raise RefusedError(
                f"{', '.join(protected)} is protected; nothing was deleted.",
                "take the protection off in the program.",
            )
        deleted, failed = _Demolition(target, checkpoint, tell).run(resources)
        if failed:
            raise DeployError(_told_failures(failed, "was not deleted", {}))
        return deleted


@dataclass
class _Demolition:
    target: Target
    checkpoint: Checkpoint
    tell: Tell

    def run(self, left: dict[str, Resource]) -> tuple[list[str], dict[str, str]]:
        """Deletes what nothing left needs, as soon as that is so, many at a time."""
        deleted: list[str] = []
        failed: dict[str, str] = {}
        running: dict[Future[None], Resource] = {}
        with ThreadPoolExecutor(monitor.AT_ONCE, thread_name_prefix="destroy") as pool:
            while True:
                needed = {need for resource in left.values() for need in resource.needs}
                busy = {resource.urn for resource in running.values()}
                for urn in left.keys() - needed - busy - failed.keys():
                    running[pool.submit(self._delete, left[urn])] = left[urn]
                if not running:
                    return deleted, failed
                done = next(as_completed(running))
                resource = running.pop(done)
                if error := done.exception():
                    failed[resource.urn] = f"{type(error).__name__}: {error}"
                    self.tell(f"FAILED to delete {resource.type} {resource.name}: {failed[resource.urn]}")
                    continue
                del left[resource.urn]
                self.checkpoint.remove(resource.urn)
                deleted.append(resource.name)
                self.tell(f"deleted {resource.type} {resource.name}, {len(left)} left")

    def _delete(self, resource: Resource) -> None:
        if not resource.retain:
            self.target.kinds[resource.type].delete(Old(resource, self.target.clients))


def _observe(target: Target, checkpoint: Checkpoint) -> None:
    """Before the program runs: what AWS or an operator moved since, so that the run judges the truth."""
    for resource in checkpoint.all():
        kind = target.kinds.get(resource.type)
        if kind is None or kind.observe is None:
            continue
        try:
            checkpoint.observe(resource.urn, kind.observe(Old(resource, target.clients)))
        except (BotoCoreError, ClientError) as error:
            raise DeployError(f"{resource.type} {resource.name} cannot be looked at: {error}") from error


def _launch(target: Target, settings: Settings, address: str, log: Path, spawn: Spawn) -> Process:
    log.unlink(missing_ok=True)
    environ = {
        "PATH": os.defpath,
        "HOME": str(log.parent),
        "LANG": "C.UTF-8",
        # The launcher ends without tidying up, and the lab's directory goes with the lab however it dies.
        "TMPDIR": str(log.parent / SCRATCH),
        **settings.environ,
        "PULUMI_PROJECT": target.project,
        "PULUMI_STACK": target.stack,
        "PULUMI_ORGANIZATION": ORGANIZATION,
        "PULUMI_MONITOR": address,
        "PULUMI_ENGINE": address,
        "PULUMI_PARALLEL": str(monitor.AT_ONCE),
        "PULUMI_CONFIG": json.dumps(dict(settings.config)),
        "PULUMI_CONFIG_SECRET_KEYS": "[]",
    }
    command = [sys.executable, "-m", "farshore.lab.deploy.launch"]
    return spawn(command, env=environ, cwd=target.root, log=log)


def _check(engine: Engine, checkpoint: Checkpoint, code: int | None, said: list[str], log: Path) -> None:
    """DeployError for whatever went wrong, the resources' failures first: they explain the rest."""
    progress = engine.progress
    if progress.failed:
        raise DeployError(_told_failures(progress.failed, "failed", progress.skipped))
    if code != 0:
        secrets = [resource.inputs.get(name) for resource in checkpoint.all() for name in resource.secret]
        printed = log.read_text(errors="replace")
        _, failed, why = printed.rpartition(f"\n{FAILED}")
        words = "\n".join(said) or (why if failed else printed)[-_SAID_MAX:]
        ended = "did not end in time" if code is None else f"ended with code {code}"
        raise DeployError(f"the program {ended}: {hide(words.strip(), secrets)}")
    gone = {resource.urn for resource in checkpoint.all()} - {*progress.created, *progress.unchanged}
    if gone:
        names = ", ".join(sorted(urn.split("::", 3)[3] for urn in gone))
        raise DeployError(
            f"the program no longer asks for {names}; the lab's deployer deletes nothing alone: start a new lab."
        )


def _told_failures(failed: Mapping[str, str], what: str, skipped: Mapping[str, str]) -> str:
    lines = []
    for urn, reason in sorted(failed.items()):
        _, _, chain, name = urn.split("::", 3)
        lines.append(f"{chain.rpartition('$')[2]} {name} {what}: {reason}")
        stopped = sorted(other.split("::", 3)[3] for other, cause in skipped.items() if cause == urn)
        if stopped:
            lines.append(f"  stopped because of it: {', '.join(stopped)}")
    return "\n".join(lines)


def _summary(engine: Engine, seconds: float) -> Summary:
    hidden = engine.secret_outputs
    return Summary(
        created=tuple(engine.progress.created),
        unchanged=tuple(engine.progress.unchanged),
        seconds=round(seconds, 2),
        outputs={name: value for name, value in engine.outputs.items() if name not in hidden},
    )
