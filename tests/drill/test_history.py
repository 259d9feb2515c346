"""What a client wrote is there after SIGKILL, and is read while it grows."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from farshore.drill.events import Invoke, Meta, Return
from farshore.drill.history import SUFFIX, HistoryTail, HistoryWriter, read_histories
from farshore.drill.ledger import Transfer

META = Meta("w1", "aware", "us-west-2", 1, 7)
TRANSFER = Transfer("11111111-1111-4111-8111-111111111111", 3, 4, 250)


def test_what_is_written_is_read_back(tmp_path):
    with HistoryWriter(tmp_path, META) as writer:
        writer.invoke(TRANSFER)
        writer.returned(TRANSFER.key, "ok", "confirmed", attempt=1, region="us-east-1", epoch=4)
    (history,) = read_histories(tmp_path)
    assert (history.name, history.meta, history.damage, history.torn) == ("w1", META, (), False)
    invoke, returned = history.events
    assert (invoke.op, invoke.source, invoke.target, invoke.amount) == (TRANSFER.key, 3, 4, 250)
    assert (returned.outcome, returned.tag, returned.region, returned.epoch) == (
        "ok",
        "confirmed",
        "us-east-1",
        4,
    )
    assert invoke.t <= returned.t
    assert abs(history.clocks[0].unix_ns - history.clocks[0].t) > 0


def test_a_client_never_overwrites_a_history(tmp_path):
    with HistoryWriter(tmp_path, META), pytest.raises(FileExistsError):
        HistoryWriter(tmp_path, META)


def test_sigkill_loses_no_line_that_was_written(tmp_path):
    program = textwrap.dedent(f"""
        import itertools, pathlib, sys
        from farshore.drill.history import HistoryWriter
        from farshore.drill.events import Meta
        from farshore.drill.ledger import Transfer
        with HistoryWriter(pathlib.Path({str(tmp_path)!r}), Meta("w1", "plain", "x", 1, 1)) as writer:
            for number in itertools.count(1):
                writer.returned(str(number), "ok", "bare", attempt=1, region="x")
                sys.stdout.write(f"{{number}}\\n"); sys.stdout.flush()
    """)
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    for _ in range(200):
        child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    told = 200 + len([line for line in child.stdout.read().split("\n") if line])
    child.wait()
    (history,) = read_histories(tmp_path)
    assert history.damage == ()
    assert told - 1 <= len(history.events)
    assert [int(event.op) for event in history.events] == list(range(1, len(history.events) + 1))


def test_a_tail_gives_each_record_once_and_waits_for_whole_lines(tmp_path):
    path = tmp_path / f"w1{SUFFIX}"
    with HistoryWriter(tmp_path, META) as writer:
        tail = HistoryTail(path)
        assert tail.poll() == []
        assert tail.meta == META
        writer.invoke(TRANSFER)
        (event,) = tail.poll()
        assert isinstance(event, Invoke)
        assert tail.poll() == []
        writer.returned(TRANSFER.key, "failed", "confirmed", attempt=1, error="25006")
    with path.open("ab") as file:
        file.write(b'{"type":"return","op":"torn')
    (event,) = tail.poll()
    assert isinstance(event, Return)
    assert tail.poll() == []
