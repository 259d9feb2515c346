"""What each kind of trouble does to the world, and how it heals."""

from collections.abc import Callable

from farshore.simulate.cast import Arm, ProcessClock
from farshore.simulate.history import History
from farshore.simulate.people import PEOPLE, console, person
from farshore.simulate.plan import LONG_MS, WALL_MS_MAX, Trouble
from farshore.simulate.ports import Fate
from farshore.simulate.servers import HOME, STANDBY


def begin(history: History, trouble: Trouble) -> None:
    """At its time, or once the record is in the phase that it waits for."""
    record = history.world.record
    if trouble.phase and (record is None or record.phase != trouble.phase):
        history.wait_for_phase(trouble)
    else:
        strike(history, trouble)


def strike(history: History, trouble: Trouble) -> None:
    if history.healing:
        return
    history.stir()
    if _EFFECTS[trouble.kind](history, trouble):
        history.happened(trouble)


def calm(history: History) -> None:
    """Everything that was broken is whole again, but for what was to last longer; what is under way arrives yet."""
    history.healing = True
    cluster, world = history.cluster, history.world
    history.forget_pending()
    cluster.lost &= history.lasting
    cluster.isolated.clear()
    cluster.cuts.clear()
    cluster.dark.clear()
    world.fates.clear()
    cluster.stalled, world.slow_ms, world.aws = False, 0, lambda: "ok"
    for server in cluster.servers.values():
        server.lag_ms = 20
        if not (cluster.move and cluster.move.returning):
            server.away = False
    for process in history.processes.values():
        process.arm = None
    for region in (HOME, STANDBY):
        history.stopped_until_ms[region] = -1
        history.ensure(region)
    history.stir()


def _heal(history: History, trouble: Trouble, work: Callable[[], None]) -> bool:
    def heals() -> None:
        history.stir()
        work()

    history.at(history.now_ms + trouble.for_ms, heals)
    return True


# --- regions, links and services --------------------------------------------------------------------------------


def _region_dies(history: History, trouble: Trouble) -> bool:
    """Its processes end, its servers stop; when it returns they start again, without a lease (H5)."""
    cluster, region = history.cluster, trouble.where
    if region in cluster.lost:
        return False
    cluster.lost.add(region)
    if trouble.for_ms >= LONG_MS:
        history.lasting.add(region)
    for process in history.of(region):
        history.kill(process)
    server = cluster.servers[region]
    server.become(in_recovery=server.in_recovery)

    def returns() -> None:
        cluster.lost.discard(region)
        history.ensure(region)

    return _heal(history, trouble, returns)


def _region_is_isolated(history: History, trouble: Trouble) -> bool:
    """Cut off from everything, and alive: the clients inside go on until the lease ends."""
    cluster, region = history.cluster, trouble.where
    if region in cluster.lost:
        return False
    cluster.lost.add(region)
    cluster.isolated.add(region)

    def returns() -> None:
        if region in cluster.isolated:
            cluster.lost.discard(region)
            cluster.isolated.discard(region)

    return _heal(history, trouble, returns)


def _calls_are_cut(history: History, trouble: Trouble) -> bool:
    cut = (trouble.where, history.world.names.other(trouble.where))
    history.cluster.cuts.add(cut)
    return _heal(history, trouble, lambda: history.cluster.cuts.discard(cut))


def _dark(service: str) -> Callable[[History, Trouble], bool]:
    def strikes(history: History, trouble: Trouble) -> bool:
        key = (service, trouble.where)
        history.cluster.dark.add(key)
        return _heal(history, trouble, lambda: history.cluster.dark.discard(key))

    return strikes


def _replication_stalls(history: History, trouble: Trouble) -> bool:
    cluster = history.cluster
    cluster.stalled = True

    def flows() -> None:
        cluster.stalled = False

    return _heal(history, trouble, flows)


def _lag_unknown(history: History, trouble: Trouble) -> bool:
    server = history.world.servers[trouble.where]
    server.lag_ms = None

    def known() -> None:
        server.lag_ms = 20

    return _heal(history, trouble, known)


def _writer_restarts(history: History, trouble: Trouble) -> bool:
    server = history.world.servers[trouble.where]
    if server.away or history.cluster.move is not None:
        return False
    server.become(in_recovery=server.in_recovery)
    server.away, server.reader_away = True, trouble.how == "both endpoints"

    def back() -> None:
        move = history.cluster.move
        if move is None or not move.returning or move.target == server.region:
            server.away, server.reader_away = False, True

    return _heal(history, trouble, back)


# --- messages and AWS -------------------------------------------------------------------------------------------


def _message(fate: str) -> Callable[[History, Trouble], bool]:
    def strikes(history: History, trouble: Trouble) -> bool:
        waiting = history.world.fates.setdefault((trouble.how, trouble.where), [])
        waiting.append(Fate(fate, trouble.for_ms if fate in ("late", "twice") else 0))
        return False

    return strikes


def _request_waits(history: History, trouble: Trouble) -> bool:
    waiting = history.world.fates.setdefault(("send", trouble.where), [])
    waiting.append(Fate("late", trouble.for_ms))
    return False


def _aws_says(answer: str) -> Callable[[History, Trouble], bool]:
    """To the next request; counted when it says so."""

    def strikes(history: History, trouble: Trouble) -> bool:
        def says() -> str:
            history.world.aws = lambda: "ok"
            history.happened(trouble, trouble.kind)
            return answer

        history.world.aws = says
        return False

    return strikes


def _aws_is_slow(history: History, trouble: Trouble) -> bool:
    history.world.slow_ms = trouble.for_ms
    return True


# --- processes and clocks ---------------------------------------------------------------------------------------


def _armed(history: History, trouble: Trouble) -> bool:
    """It is counted where it strikes."""
    for process in history.of(trouble.where):
        if process.arm is None and not process.asleep:
            process.arm = Arm(trouble.nth, trouble)
            break
    return False


def _twin(history: History, trouble: Trouble) -> bool:
    if trouble.where in history.cluster.lost or len(history.of(trouble.where)) > 1:
        return False
    twin = history.start(trouble.where)
    return _heal(
        history,
        trouble,
        lambda: history.kill(twin) if not twin.dead and history.of(twin.region) != [twin] else None,
    )


def _process_stops(history: History, trouble: Trouble) -> bool:
    """Lambda is late, or throttled."""
    for process in history.of(trouble.where):
        if not process.asleep:
            history._due(process, history.now_ms + trouble.for_ms)  # noqa: SLF001 - the scheduler's own business
    return True


def _monitor_stops(history: History, trouble: Trouble) -> bool:
    history.stopped_until_ms[trouble.where] = history.now_ms + trouble.for_ms
    return True


def _wall_clock_steps(history: History, trouble: Trouble) -> bool:
    """Of each process of the region, within what deadlines on paper allow."""
    for process in history.of(trouble.where):
        clock = process.controller._world.clock  # noqa: SLF001 - the simulation looks inside
        assert isinstance(clock, ProcessClock)
        clock.step(-clock.wall_ms or WALL_MS_MAX // 2)
    return True


def _server_clock_steps(history: History, trouble: Trouble) -> bool:
    """Back by no more than half of the stall margin, and once in a while: a longer one would outlive the wait (H8)."""
    server, profile = history.world.servers[trouble.where], history.world.profile
    if server.slack_ms:
        return False
    server.step_clock(
        3 * profile.stall_margin_ms if trouble.how == "forward" else -profile.stall_margin_ms // 2
    )

    def over() -> None:
        server.slack_ms = 0

    history.at(history.now_ms + 3 * profile.lease_ttl_ms, over)
    return True


_EFFECTS: dict[str, Callable[[History, Trouble], bool]] = {
    "region dies": _region_dies,
    "region is isolated": _region_is_isolated,
    "calls are cut": _calls_are_cut,
    "table dark": _dark("table"),
    "describe dark": _dark("describe"),
    "replication stalls": _replication_stalls,
    "lag unknown": _lag_unknown,
    "writer restarts": _writer_restarts,
    "message lost": _message("lost"),
    "reply lost": _message("reply lost"),
    "message late": _message("late"),
    "message twice": _message("twice"),
    "request waits": _request_waits,
    "AWS refuses": _aws_says("refused"),
    "AWS cancels": _aws_says("cancelled"),
    "AWS throttles": _aws_says("throttled"),
    "AWS is slow": _aws_is_slow,
    "crash": _armed,
    "freeze": _armed,
    "twin": _twin,
    "process stops": _process_stops,
    "monitor stops": _monitor_stops,
    "wall clock steps": _wall_clock_steps,
    "server clock steps": _server_clock_steps,
    "console": console,
    **dict.fromkeys(PEOPLE, person),
}
