"""What the monitors say of endpoints and lag, what could not be seen, and what is merely worth knowing."""

from collections.abc import Iterator

from farshore.core.authority import Authority, Phase
from farshore.core.scene import Finding, Grade, Scene, span


def silent_monitors(scene: Scene) -> Iterator[Finding]:
    for region in scene.regions if scene.answered else ():
        seen = scene.monitors.get(region)
        if seen is None:
            words = f"the monitor of {region} has never written what it sees"
        elif not scene.is_heard(region):
            words = f"the monitor of {region} has written nothing for {span(seen.age_ms)}"
        else:
            continue
        yield Finding(
            Grade.WRONG,
            words,
            f"see whether {region} is lost or its monitor does not run",
            "farshore verify --no-publish",
        )


def silent_endpoints(scene: Scene) -> Iterator[Finding]:
    for by, seen in sorted(scene.monitors.items()):
        if not scene.is_heard(by):
            continue
        for region, ends in sorted(seen.endpoints.items()):
            silent = {"writer": ends.writer_silent_ms, "reader": ends.reader_silent_ms}
            dead = {k: ms for k, ms in silent.items() if ms and ms >= scene.profile.unreachable_after_ms}
            if dead:
                which = " and ".join(f"{name} for {span(ms)}" for name, ms in dead.items())
                yield Finding(
                    Grade.WRONG,
                    f"the monitor of {by} hears nothing from {region}: {which}",
                    f"see the state of the cluster in {region}",
                    f"aws rds describe-db-clusters --region {region} "
                    f"--db-cluster-identifier {scene.clusters.get(region, '')}",
                )


def lag(scene: Scene) -> Iterator[Finding]:
    """A writer that runs alone has no lag to know."""
    if scene.record is None or scene.record.degraded or scene.record.phase is not Phase.HELD:
        return
    for by, seen in sorted(scene.monitors.items()):
        if not scene.is_heard(by) or seen.lag_state in ("", "ok"):
            continue
        if seen.lag_state == "late":
            words = f"replication is {seen.lag_ms} ms behind by the monitor of {by}: {seen.lag_why}"
            next_step = "a failover now would lose that much more; look for a burst of writes or a thin link"
            yield Finding(Grade.WRONG, words, next_step, "farshore watch")
        else:
            words = f"the lag is unknown to the monitor of {by}: {seen.lag_why}"
            next_step = (
                "an automatic failover rests on the last lag known; see which endpoint does not answer"
            )
            yield Finding(Grade.WRONG, words, next_step, "farshore verify --no-publish")


# --- worth knowing ----------------------------------------------------------------------------------------------


def unread(scene: Scene) -> Iterator[Finding]:
    for what in scene.unread:
        next_step = "see it from a place that reaches it; the rest of this answer does not rest on it"
        yield Finding(Grade.UNKNOWN, f"not seen from here: {what}", next_step, None)


def notes(scene: Scene) -> Iterator[Finding]:
    record = scene.record
    if scene.clock_off_ms:
        yield Finding(
            Grade.NOTE,
            f"this computer's clock differs from the controllers' by about {span(scene.clock_off_ms)}",
            "set it: ages above are counted by what changed while this looked",
            "date -u",
        )
    if record is None:
        return
    quiet = record.quiet
    if quiet is not None and quiet.until_ms > scene.now_ms:
        yield Finding(
            Grade.NOTE,
            f"an earlier request to move the writer to {quiet.target} may still arrive, for "
            f"{span(quiet.until_ms - scene.now_ms)}",
            "no move elsewhere begins before; nothing else is held up",
            "farshore watch",
        )
    if _is_away(record, scene):
        yield Finding(
            Grade.NOTE,
            f"{record.holder} writes, {scene.home} is the home region",
            "go back when it suits: nothing is lost by it",
            "farshore failback --dry-run",
        )


def _is_away(record: Authority, scene: Scene) -> bool:
    settled = all(account.settled for account in record.aftermaths)
    return record.holder == scene.standby and not record.degraded and settled and scene.lease_is_valid()
