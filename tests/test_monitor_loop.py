"""A monitor's cycle: what it writes, publishes and tells, whatever is slow; with a clock in the test's hand."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from farshore.aws.alerts import LagAlerts
from farshore.aws.lag_metric import LagMetricReader
from farshore.aws.metrics import LAG_UNKNOWN, REPLICATION_LAG, MetricPublisher
from farshore.core.errors import UnknownOutcomeError
from farshore.core.facts import LagReading, Now
from farshore.core.lag import Limits, Metric, Quality, Reading, State, Verdict
from farshore.core.profile import FAST
from farshore.lambdas import loop
from farshore.monitor import UNKNOWN_FOR_MS, Monitor, Outlets
from farshore.ports import Page, Sighting
from farshore.postgres.session import DatabaseUnreachableError, Login

HOME, STANDBY = "us-east-1", "us-west-2"


class Clock:
    def __init__(self):
        self.ms = 1_000_000

    def now(self):
        return Now(wall_ms=60_000_000 + self.ms, mono_ms=self.ms)

    def sleep(self, milliseconds):
        self.ms += milliseconds


class Table:
    """Keeps the sightings; `slow_ms` passes in writing one, `slow_beat_ms` in a loop's beat; `dead` answers nothing."""

    def __init__(self, clock):
        self.clock, self.sightings, self.dead = clock, [], False
        self.slow_ms = self.slow_beat_ms = 0

    def read(self):
        if self.dead:
            raise UnknownOutcomeError("no reply")
        return Page(None, {HOME: self.sightings[-1]} if self.sightings else {}, [])

    def put_sighting(self, sighting):
        self.clock.ms += self.slow_ms
        if self.dead:
            raise UnknownOutcomeError("no reply")
        self.sightings.append(sighting)

    def put_presence(self, presence):
        self.clock.ms += self.slow_beat_ms


class Endpoint:
    """Answers what `said` says: (writes, replicas), or silence."""

    def __init__(self, said):
        self.said = said

    def row(self, statement, values, timeout_ms):
        if self.said is None:
            raise DatabaseUnreachableError("silence")
        return self.said

    def close(self):
        pass


class Place:
    """A monitor in the home region whose probers turn when the test says so."""

    def __init__(self, monkeypatch, clock=None, table=None):
        monkeypatch.setattr("farshore.prober.Prober.start", lambda _self, _name: None)
        self.clock = clock or Clock()
        self.table = table or Table(self.clock)
        self.writer, self.other = Endpoint((True, [[STANDBY, 40, 100]])), Endpoint((False, None))
        self.published, self.alerts, self.metric = [], [], Metric(answered_ms=1, asked_ms=1)
        self.unknown = []
        self.monitor = Monitor(
            region=HOME,
            process="p",
            sessions={HOME: (self.writer, Endpoint((False, None))), STANDBY: (self.other, self.other)},
            profile=FAST,
            journal=self.table,
            clock=self.clock,
            limits=Limits(),
            outlets=Outlets(
                lambda: self.metric,
                self._publish,
                lambda before, verdict: self.alerts.append((before, verdict.state)),
            ),
        )

    def _publish(self, verdict, at):
        self.published.append((verdict.state, verdict.lag_ms, at))
        self.unknown.append(verdict.unknown)

    def cycle(self, times=1):
        for _ in range(times):
            for pair in self.monitor._probers.values():
                for prober in pair:
                    prober._turn()
            rest_ms = self.monitor.tick()
            self.clock.ms += rest_ms
        return self.table.sightings[-1] if self.table.sightings else None

    def loop(self, seconds):
        until_ms = self.clock.ms + seconds * 1000 + loop.LAST_MS
        loop.run(
            kind="monitor",
            region=HOME,
            process="p",
            context=SimpleNamespace(get_remaining_time_in_millis=lambda: until_ms - self.clock.ms),
            journal=self.table,
            clock=self.clock,
            tick=self.monitor.tick,
        )

    def lag(self, milliseconds):
        self.writer.said = (True, [[STANDBY, milliseconds, 100]])


@pytest.fixture
def place(monkeypatch):
    return Place(monkeypatch)


def test_a_known_lag_is_published_at_the_metrics_pace_and_written_at_the_probes(place):
    place.cycle(4)
    assert [sighting.lag_ms for sighting in place.table.sightings] == [40] * 4
    assert [(state, lag) for state, lag, _ in place.published] == [("ok", 40)] * 2
    first, second = (at for *_, at in place.published)
    assert second - first >= FAST.metric_ms
    assert place.alerts == []


def test_an_unknown_lag_is_shown_with_its_reason_published_as_such_and_told_when_it_lasts(place):
    place.cycle()
    place.writer.said = (True, [])
    sighting = place.cycle()
    assert (sighting.lag_state, sighting.lag_ms) == ("unknown", None)
    assert sighting.lag_why == f"{HOME} writes and reports no secondary"
    assert sighting.lag_doubts == (f"database: {HOME} writes and reports no secondary",)
    assert place.alerts == []
    place.cycle(UNKNOWN_FOR_MS // FAST.probe_ms + 1)
    assert place.alerts == [("ok", "unknown")]
    assert ("unknown", None) in {(state, lag) for state, lag, _ in place.published}


def test_an_observation_carries_what_each_source_was_worth(place):
    sighting = place.cycle()
    assert [(one.source, one.quality, one.lag_ms) for one in sighting.lag_readings] == [
        ("database", "known", 40),
        ("cloudwatch", "absent", None),
    ]
    assert sighting.lag_readings[0].age_ms >= 100, "the writer calculated it 100 ms before it said so"
    place.writer.said, place.metric = (True, []), Metric(40, 20_000, 1, 1, 0)
    assert place.cycle().lag_readings == (
        LagReading("database", "missing"),
        LagReading("cloudwatch", "settling", None, 20_000),
    )


def test_above_five_seconds_people_are_told_once_and_once_when_it_is_over(place):
    place.cycle()
    place.lag(5001)
    place.cycle(20)
    assert place.alerts == [("ok", "late")]
    place.lag(40)
    place.cycle(20)
    assert place.alerts == [("ok", "late"), ("late", "ok")]


def test_one_late_sample_is_no_news(place):
    place.cycle()
    place.lag(6000)
    place.cycle()
    place.lag(40)
    place.cycle(3)
    assert place.alerts == []


def test_the_next_loop_knows_what_the_last_one_told(monkeypatch, place):
    place.lag(6000)
    place.cycle(4)
    assert place.alerts == [("ok", "late")]
    successor = Place(monkeypatch, place.clock, place.table)
    successor.lag(6000)
    successor.cycle(10)
    assert successor.alerts == []
    place.lag(40)
    successor.lag(40)
    for _ in range(6):
        place.cycle()
        successor.cycle()
    told = [*place.alerts[1:], *successor.alerts]
    assert told == [("late", "ok")], (
        "of two loops that overlap one tells, and the other hears it in the table"
    )


def test_a_monitor_that_has_just_started_calls_nothing_unknown(monkeypatch):
    """Else every minute's new loop would publish a doubt, and the alarm would ring for ever."""
    place = Place(monkeypatch)
    place.clock.ms += place.monitor.tick()
    assert (place.table.sightings[0].lag_state, place.published) == ("", [])
    place.cycle()
    assert place.table.sightings[1].lag_state == "ok"


def test_nobody_answers_and_the_start_is_over(monkeypatch):
    place = Place(monkeypatch)
    place.writer.said = place.other.said = None
    place.cycle(8)
    assert place.table.sightings[-1].lag_state == "unknown"
    assert place.published


def test_a_cycle_that_overruns_is_reported(place, capsys):
    place.cycle()
    place.table.slow_ms = 2 * FAST.probe_ms
    place.cycle()
    place.table.slow_ms = 0
    sighting = place.cycle()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["took_ms"] for e in events if e["event"] == "cycle-overran"] == [2 * FAST.probe_ms]
    assert sighting.took_ms == 2 * FAST.probe_ms
    assert place.monitor.counts()["overran"] == 1


def test_a_cycle_that_overruns_in_the_loops_own_beat_is_reported(place):
    place.table.slow_beat_ms = 2 * FAST.probe_ms
    place.loop(seconds=20)
    took = [sighting.took_ms for sighting in place.table.sightings[1:]]
    assert set(took) == {FAST.probe_ms, 2 * FAST.probe_ms}
    assert place.monitor.counts()["overran"] == took.count(2 * FAST.probe_ms)


def test_without_the_table_lag_is_still_published_and_told(place):
    place.cycle()
    place.table.dead = True
    place.lag(6000)
    for _ in range(4):
        with pytest.raises(UnknownOutcomeError):
            place.cycle()
        place.clock.ms += FAST.probe_ms
    assert place.alerts == [("ok", "late")]
    assert place.published[-1][:2] == ("late", 6000)


def test_cloudwatch_is_compared_with_what_the_writer_said_in_that_minute(place):
    place.cycle()
    minute = place.clock.now().wall_ms // 60_000
    place.metric = Metric(7000, 1000, 1, 1, minute)
    place.other.said, place.writer.said = (True, [[HOME, 40, 100]]), (False, None)
    sighting = place.cycle()
    assert sighting.lag_state == "unknown"
    assert sighting.lag_why == "CloudWatch says 7000 ms where the writer said 40 to 40 ms"
    place.metric = Metric(7000, 1000, 1, 1, minute - 3)
    assert place.cycle().lag_state == "ok", "nothing was said in that minute, so nothing is contradicted"


def test_the_value_of_before_a_move_is_no_doubt_and_one_of_after_it_is(monkeypatch, place):
    """The loops of one night: what one has seen of the writer, the next one knows."""
    place.writer.said, place.other.said = (False, None), (True, [[HOME, 40, 100]])
    place.cycle()
    place.clock.ms += 600_000
    place.metric = Metric(40, 20_000, 1, 1, 0)
    place.writer.said, place.other.said = (True, [[STANDBY, 40, 100]]), (False, None)
    moved_at = place.clock.now().wall_ms
    assert place.cycle().lag_doubts == ()
    assert place.table.sightings[-1].lag_writer == (HOME, moved_at)
    place.writer.said = None
    place.cycle()
    successor = Place(monkeypatch, place.clock, place.table)
    successor.metric = place.metric
    assert successor.cycle().lag_writer == (HOME, moved_at)
    place.clock.ms += 100_000
    assert successor.cycle().lag_doubts == ()
    place.clock.ms += 100_000
    (doubt,) = successor.cycle().lag_doubts
    assert "yet has a value" in doubt


def test_a_loop_that_saw_the_move_before_it_could_read_the_table_keeps_the_earlier_word(monkeypatch, place):
    place.cycle()
    since = place.table.sightings[-1].lag_writer
    place.clock.ms += 60_000
    successor = Place(monkeypatch, place.clock, place.table)
    place.table.dead = True
    with pytest.raises(UnknownOutcomeError):
        successor.cycle()
    place.table.dead = False
    assert successor.cycle().lag_writer == since


def known(lag_ms, *qualities):
    readings = tuple(Reading("database", quality, "why", lag_ms) for quality in qualities)
    return Verdict(State.OK if lag_ms is not None else State.UNKNOWN, lag_ms, "why", readings)


def test_metrics_say_how_much_is_unknown_and_never_an_unknown_lag():
    sent, arrived = [], threading.Event()

    def put_metric_data(**request):
        sent.extend((datum["MetricName"], datum["Value"]) for datum in request["MetricData"])
        arrived.set()

    publisher = MetricPublisher(SimpleNamespace(put_metric_data=put_metric_data), "Farshore/t", HOME)
    publisher.lag(known(7, Quality.KNOWN, Quality.PENDING), 0)
    assert arrived.wait(5)
    assert sent == [(REPLICATION_LAG, 7.0)], (
        "a first answer that is still to come is neither known nor unknown"
    )
    sent.clear()
    arrived.clear()
    publisher.lag(known(None, Quality.MISSING, Quality.STALE, Quality.PENDING), 1)
    assert arrived.wait(5)
    assert sent == [(LAG_UNKNOWN, 2.0)]
    sent.clear()
    arrived.clear()
    publisher.lag(known(7, Quality.KNOWN, Quality.ABSENT), 2)
    give_up = time.monotonic() + 5
    while len(sent) < 2 and time.monotonic() < give_up:
        arrived.wait(0.05)
    assert sorted(sent) == [(LAG_UNKNOWN, 0.0), (REPLICATION_LAG, 7.0)]


def test_an_alert_is_sent_until_sns_takes_it(monkeypatch, capsys):
    monkeypatch.setattr("farshore.aws.alerts.RETRY_S", 0.01)
    calls, taken = [], threading.Event()

    def publish(**message):
        calls.append(message)
        if len(calls) < 3:
            raise EndpointConnectionError(endpoint_url="https://sns")
        taken.set()

    alerts = LagAlerts(SimpleNamespace(publish=publish), "arn:aws:sns:us-east-1:1:topic", HOME, "t")
    alerts.lag(State.OK, known(6200, Quality.KNOWN))
    assert taken.wait(5)
    message = calls[-1]
    assert message["Subject"] == "farshore t: replication lag 6200 ms (us-east-1)"
    document = json.loads(message["Message"])
    assert (document["schema"], document["before"], document["lag_ms"]) == ("farshore.lag/1", "ok", 6200)
    assert len(calls) == 3
    assert capsys.readouterr().out.count("alert-not-sent") == 2


def test_a_sighting_of_before_the_verdicts_is_adopted(monkeypatch):
    clock = Clock()
    table = Table(clock)
    table.sightings.append(Sighting(HOME, "old/1", {}, None, 0))
    place = Place(monkeypatch, clock, table)
    place.lag(6000)
    place.cycle(3)
    assert place.alerts == [("ok", "late")]


def test_a_login_shown_in_a_log_shows_no_password():
    """Logs have no filter: whatever prints an object of ours must not print its secret."""
    login = Login("host", 5432, "ledger", "farshore", "s3cret", "ca.pem", lambda _name: None)
    assert "farshore" in f"{login}"
    assert "s3cret" not in f"{login}"


class Blocked:
    """A service that takes every call and answers none until it is released."""

    def __init__(self):
        self.called, self.release = set(), threading.Event()

    def __getattr__(self, operation):
        def call(**_request):
            self.called.add(operation)
            self.release.wait(30)
            raise EndpointConnectionError(endpoint_url="https://blocked")

        return call


def test_services_that_never_answer_delay_no_cycle(monkeypatch):
    """CloudWatch read, CloudWatch written and SNS hang, all three; observations go on, and say what is not known."""
    aws = Blocked()
    place = Place(monkeypatch)
    publisher = MetricPublisher(aws, "Farshore/t", HOME)
    reader = LagMetricReader(aws, "primary", STANDBY, 1000, place.clock).start()
    alerts = LagAlerts(aws, "arn:aws:sns:us-east-1:1:topic", HOME, "t")
    place.monitor._outlets = Outlets(reader.metric, publisher.lag, alerts.lag)
    began = time.monotonic()
    place.lag(6000)
    place.cycle(200)
    took_s = time.monotonic() - began
    give_up = time.monotonic() + 5
    wanted = {"get_metric_data", "put_metric_data", "publish"}
    while not wanted <= aws.called and time.monotonic() < give_up:
        time.sleep(0.01)
    aws.release.set()
    reader.stop()
    assert aws.called == wanted
    assert took_s < 5
    assert len(place.table.sightings) == 200
    last = place.table.sightings[-1]
    assert (last.lag_state, last.lag_ms) == ("late", 6000)
    assert last.lag_doubts == ("cloudwatch: no answer for 60 s",)


def test_no_loop_denies_that_cloudwatch_has_been_silent_since_before_it(monkeypatch):
    """The alarm takes each minute's least, and a loop lasts a minute: one zero in each would silence it for ever."""
    aws, table, clock = Blocked(), None, Clock()
    for _ in range(2):
        place = Place(monkeypatch, clock, table)
        reader = LagMetricReader(aws, "primary", STANDBY, 1000, clock).start()
        place.monitor._outlets = replace(place.monitor._outlets, metric=reader.metric)
        place.cycle(65_000 // FAST.probe_ms)
        reader.stop()
        table = place.table
        assert place.published[0][:2] == ("ok", 40)
        assert set(place.unknown) == {None, 1}
        assert place.unknown[-1] == 1
    aws.release.set()


def metric_answer(**values):
    at = datetime.fromtimestamp(60_960, UTC)
    results = [{"Id": name, "Values": [value], "Timestamps": [at]} for name, value in values.items()]
    return SimpleNamespace(get_metric_data=lambda **_request: {"MetricDataResults": results})


def test_the_metrics_reader_prefers_the_rpo_lag_and_dates_it_by_its_period():
    clock = Clock()
    both = metric_answer(auroraglobaldbreplicationlag=90.0, auroraglobaldbrpolag=7.0)
    reader = LagMetricReader(both, "secondary", HOME, 1000, clock)
    reader.ask()
    clock.ms += 45_000
    assert reader.metric() == Metric(7, 25_000, 45_000, 45_000, 1016)
    reader = LagMetricReader(metric_answer(auroraglobaldbreplicationlag=90.0), "s", HOME, 1000, clock)
    reader.ask()
    assert reader.metric().lag_ms == 90


def test_what_cloudwatch_does_not_answer_grows_old():
    clock, aws = Clock(), Blocked()
    aws.release.set()
    reader = LagMetricReader(metric_answer(auroraglobaldbrpolag=7.0), "s", HOME, 1000, clock)
    reader.ask()
    reader._cloudwatch = aws
    clock.ms += 400_000
    reader.ask()
    metric = reader.metric()
    assert (metric.lag_ms, metric.answered_ms) == (7, 400_000)
