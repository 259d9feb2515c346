"""A team's own workload: what its file must say, what is said of one that does not, and how it is judged."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from ledger_kit import APP_USER, access
from sample import HOME, SMALL_REPORT, WEST, Sample, drill, report_data
from typer.testing import CliRunner

from farshore.cli.app import app
from farshore.drill.checker import judge
from farshore.drill.clients import AwareClient, PlainClient, Watchdog
from farshore.drill.errors import DrillUsageError
from farshore.drill.events import Invoke, Return
from farshore.drill.findings import Doubt, Violation
from farshore.drill.ledger import Holdings, Write
from farshore.drill.promises import checks
from farshore.drill.report import document, write
from farshore.drill.workloads import SHIPPED, load
from farshore.drill.workloads.own import KeyColumn, OwnWorkload, Parts
from farshore.drill.workloads.sqlfile import statements_of

EXAMPLES = Path(__file__).parents[2] / "examples"
SQL, PYTHON = (EXAMPLES / "order_desk.sql").read_text(), (EXAMPLES / "order_desk.py").read_text()


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(DrillUsageError) as refused:
        load(str(path))
    assert refused.value.setting == "--workload"
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    return str(refused.value).partition(f"{path}: ")[2]


# ---- files that are refused before anything starts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("-- farshore: guard", "-- guard", "guard: missing; add a section"),
        ("-- farshore: probe", "-- farshore: prove", "no section is called 'prove'; use guard, setup"),
        ("-- farshore: probe", "-- farshore: write", "write stands there twice"),
        ("desk.orders key id", "desk.orders", "guard: 0 lines name a key; write `schema.table key column`"),
        ("desk.stock\n", "stock\n", "guard: 'stock' is not a table's name with its schema"),
        ("desk.stock\n", "desk.stock, desk.more\n", "guard: 'desk.stock, desk.more': write `schema.table`"),
        ("VALUES (:key", "VALUES (gen_random_uuid()", "write: it does not use :key; insert :key"),
        ("\\set item random(1, 500)", "", "write: :item is not set; add \\set item random(LOW, HIGH)"),
        ("random(1, 9)", "random(9, 1)", "write \\set NAME random(LOW, HIGH)"),
        ("SELECT id FROM desk.orders;", "", "probe: it is empty"),
        ("SELECT id FROM desk.orders;", "SELECT 1; SELECT 2", "probe: 2 statements; write one SELECT"),
        ("WHERE sold <>", "WHERE :item <>", "invariant: :item has no value there"),
    ],
)
def test_an_sql_file_is_refused_with_its_part_and_the_fix(tmp_path, old, new, said):
    assert old in SQL
    assert said in refusal(tmp_path / "desk.sql", SQL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def setup(", "def setup((", "line 18: "),
        ("import psycopg\n", "import psycopgg\n", "it does not load: ModuleNotFoundError"),
        ("def probe(", "def prob(", "probe: missing; define probe(connection)"),
        ("key: str, choose: random.Random", "key: str", "define write(connection, key, choose)"),
        ("GUARDED_TABLES =", "TABLES =", "GUARDED_TABLES: missing"),
        ('GUARDED_TABLES = ("desk.orders", "desk.stock")', "GUARDED_TABLES = ()", "guard: no table is named"),
        ('KEY = ("desk.orders", "id")', 'KEY = "desk.orders"', "KEY: 'desk.orders'; define it as two words"),
        ('KEY = ("desk.orders", "id")', 'KEY = ("desk.lines", "id")', "is one of GUARDED_TABLES"),
    ],
)
def test_a_python_file_is_refused_with_its_part_and_the_fix(tmp_path, old, new, said):
    assert old in PYTHON
    assert said in refusal(tmp_path / "desk.py", PYTHON.replace(old, new, 1))


def test_the_command_refuses_in_one_line_with_exit_code_2(tmp_path):
    for name, said in (("nowhere.sql", "no such file"), ("desk.txt", "use a FILE.py, a FILE.sql or one of")):
        done = CliRunner().invoke(
            app, ["drill", "--workload", str(tmp_path / name), "--report", str(tmp_path / "report")]
        )
        assert done.exit_code == 2
        assert said in done.stderr
        assert "tpcb" in done.stderr


def test_the_documented_examples_are_the_shipped_files():
    told = (EXAMPLES.parent / "docs" / "workloads.md").read_text()
    assert SQL in told
    assert PYTHON in told


# ---- what an SQL file means


def test_parameters_are_found_outside_quotes_comments_and_casts():
    made = statements_of("""
        SELECT ':no', "a:no", $x$ :no; $x$, E'\\':no', :key::uuid, 5 % 2 -- :no; here
        ; /* :no; */ ; UPDATE t SET a = -:delta""")
    assert [sorted(one.names) for one in made] == [["key"], ["delta"]]
    assert "%(key)s::uuid, 5 %% 2" in made[0].text
    assert "$x$ :no; $x$" in made[0].text
    assert made[1].text.endswith("UPDATE t SET a = -%(delta)s")


class Recorder:
    def __init__(self):
        self.values = []

    def execute(self, _text, values):
        self.values.append(values)


def test_a_retry_writes_the_same_and_another_key_something_else():
    own = load("tpcb")

    def drawn(key):
        recorder = Recorder()
        own.write(recorder, Write(key), "c1")
        values = {name: value for each in recorder.values for name, value in each.items()}
        assert values.pop("key") == key
        return values

    assert drawn("a") == drawn("a") != drawn("b")
    assert set(drawn("a")) == {"aid", "bid", "tid", "delta"}


def test_the_stream_depends_on_seed_and_client_alone():
    def first(seed, client):
        return [item.key for item in islice(load("tpcb").writes(seed, client), 20)]

    assert first(1, "a") == first(1, "a") != first(2, "a")
    assert not set(first(1, "a")) & set(first(1, "b"))


# ---- against a server, in a transaction that is rolled back


@pytest.mark.parametrize(
    "name", [*SHIPPED, str(EXAMPLES / "order_desk.sql"), str(EXAMPLES / "order_desk.py")]
)
def test_what_is_shipped_keeps_its_own_invariant(ledger, name):
    own = load(name)
    with ledger.home.admin() as connection, connection.transaction(force_rollback=True):
        own.create(connection, user=APP_USER)
        connection.execute(f"SET LOCAL ROLE {APP_USER}")
        items = list(islice(own.writes(5, "a"), 50))
        for item in items:
            own.write(connection, item, "a")
        assert {str(key) for key in own.parts.probe(connection)} == {item.key for item in items}
        assert list(own.parts.invariant(connection)) == []


REHEARSED = [
    ("desk.stock\n\n", "desk.stocks\n\n", "guard: setup made no table desk.stocks; create it there"),
    ("id uuid PRIMARY KEY", "id uuid", "guard: desk.orders key id: it has no primary key; make it"),
    (
        "id uuid PRIMARY KEY",
        "id uuid, a int PRIMARY KEY DEFAULT 1",
        "guard: desk.orders key id: its primary key is a",
    ),
    ("CREATE SCHEMA desk;", "CREATE SCHEME desk;", 'setup: syntax error at or near "SCHEME"'),
    ("VALUES (:key,", "VALUES (md5(:key)::uuid,", "write: its key is not in desk.orders.id"),
    ("UPDATE desk.stock", "UPDATE desk.shelf", 'write: relation "desk.shelf" does not exist'),
    ("SELECT id FROM desk.orders;", "SELECT item FROM desk.orders;", "probe: it does not find a key"),
    ("pieces + sold <> 1000000", "pieces + sold <> 5", "invariant: broken before the first write (item "),
    ("USING (item)\nWHERE", "USING (items)\nWHERE", 'invariant: column "items" specified in USING'),
]


def rehearse(server, own) -> None:
    """As a drill does it, but in one transaction, so that nothing stays."""
    with server.admin() as connection:
        connection.autocommit = False
        own.create(connection, user=APP_USER)
        own.rehearse(connection)


@pytest.mark.parametrize(("old", "new", "said"), REHEARSED)
def test_a_rehearsal_names_the_part_that_is_wrong(ledger, tmp_path, old, new, said):
    assert old in SQL
    path = tmp_path / "desk.sql"
    path.write_text(SQL.replace(old, new, 1))
    with pytest.raises(DrillUsageError) as refused:
        rehearse(ledger.home, load(str(path)))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_rehearsal_leaves_nothing_behind(ledger):
    rehearse(ledger.home, load(str(EXAMPLES / "order_desk.py")))
    assert ledger.home.sql("SELECT to_regnamespace('desk')") == [(None,)]


def test_a_write_that_ends_its_transaction_is_refused(ledger, tmp_path):
    path = tmp_path / "desk.py"
    path.write_text(
        PYTHON.replace("def write(", "def order(")
        + """

def write(connection, key, choose):
    order(connection, key, choose)
    connection.rollback()
"""
    )
    with pytest.raises(DrillUsageError, match="write: it ended its transaction"):
        rehearse(ledger.home, load(str(path)))


@pytest.mark.parametrize("kind", ["plain", "aware"])
def test_only_the_keys_own_constraint_says_that_a_write_has_landed(ledger, names, kind):
    """Another unique constraint that is violated is a failed attempt, and no acknowledgement."""
    own = OwnWorkload("own", Parts(
        guarded=("ledger.account",),
        key=KeyColumn("ledger.transfer", "id"),
        setup=lambda connection: None,
        write=lambda connection, key, choose: connection.execute("INSERT INTO ledger.account VALUES (1, 0)"),
        probe=lambda connection: [],
        invariant=lambda connection: [],
    ))  # fmt: skip
    where, watchdog = access(ledger, names), Watchdog()
    client = (
        PlainClient("c1", where, watchdog, deadline_s=1.0, workload=own)
        if kind == "plain"
        else AwareClient("c1", where, deadline_s=1.0, attempt_s=0.5, workload=own)
    )
    try:
        assert client.attempt(next(own.writes(1, "c1"))).outcome == "failed"
    finally:
        client.close()
        watchdog.close()


# ---- how it is judged


def own_sample() -> Sample:
    """A sane region loss whose writes' content is not known."""
    sample = drill(SMALL_REPORT)
    sample.events = {
        client: [Invoke(event.op, event.t) if isinstance(event, Invoke) else event for event in events]
        for client, events in sample.events.items()
    }
    sample.survivor = Holdings(WEST, sample.survivor.keys)
    sample.old_volume, sample.workload = Holdings(HOME, sample.old_volume.keys), "desk.sql"
    return sample


def with_keys(sample: Sample, *keys: str) -> None:
    sample.survivor = replace(sample.survivor, keys=keys)


def survivor_lost_one(sample):
    late = [event.op for event in sample.events["w3"] if isinstance(event, Return) and event.outcome == "ok"][
        -1
    ]
    with_keys(sample, *(key for key in sample.survivor.keys if key != late))


def key_stands_twice(sample):
    with_keys(sample, *sample.survivor.keys, sample.survivor.keys[0])


def nobody_asked(sample):
    with_keys(sample, *sample.survivor.keys, "phantom")


def refused_landed(sample):
    last = [event for event in sample.events["w3"] if isinstance(event, Return)][-1]
    refused = replace(last, outcome="failed", region=None, error="25006")
    sample.events["w3"] = [refused if event is last else event for event in sample.events["w3"]]


def invariant_broken(sample):
    sample.survivor = replace(sample.survivor, broken=("item 7: 3 left and 5 ordered, of 9",))


def orphan_left_out(sample):
    missing = next(orphan for orphan in sample.orphans.orphans if orphan.state == "missing")
    sample.orphans = replace(
        sample.orphans, orphans=tuple(one for one in sample.orphans.orphans if one is not missing)
    )


def orphan_that_survived(sample):
    first, *_ = (one for one in sample.orphans.orphans if one.state == "present")
    others = tuple(one for one in sample.orphans.orphans if one is not first)
    sample.orphans = replace(sample.orphans, orphans=(*others, replace(first, state="missing")))


def test_a_sane_drill_of_an_own_workload_is_valid_with_its_orphans_named():
    judged = judge(own_sample().evidence())
    assert (judged.verdict, judged.findings) == ("valid", ())
    assert judged.losses.lost
    assert judged.ledger_balanced is True
    assert all(check.held for check in checks(judged))


@pytest.mark.parametrize(
    ("break_it", "found"),
    [
        (survivor_lost_one, Violation.ACKED_MISSING),
        (key_stands_twice, Violation.KEY_TWICE),
        (nobody_asked, Violation.NEVER_ATTEMPTED),
        (refused_landed, Violation.FAILED_LANDED),
        (invariant_broken, Violation.INVARIANT_BROKEN),
        (orphan_left_out, Violation.ORPHAN_NOT_LISTED),
        (orphan_that_survived, Violation.ORPHAN_PRESENT),
    ],
)
def test_each_breakage_is_found_by_name_and_breaks_one_promise(break_it, found):
    sample = own_sample()
    break_it(sample)
    judged = judge(sample.evidence())
    assert judged.verdict == "invalid"
    assert {finding.kind for finding in judged.findings} == {found}
    assert [check.held for check in checks(judged)].count(False) == 1


def test_an_invariant_that_could_not_be_asked_is_unknown():
    sample = own_sample()
    sample.survivor = None
    judged = judge(sample.evidence())
    assert (judged.verdict, judged.ledger_balanced) == ("unknown", None)
    assert Doubt.DATABASE_MISSING in {finding.kind for finding in judged.findings}


@pytest.mark.parametrize("broken", [False, True])
def test_the_report_names_the_workload_and_says_what_its_invariant_says(tmp_path, broken):
    sample = own_sample()
    if broken:
        invariant_broken(sample)
    data = report_data(SMALL_REPORT, sample)
    made = document(data)
    assert (made["workload"], made["ledger_balanced"]) == ("desk.sql", not broken)
    assert {row["amount_cents"] for row in made["orphans"]} == {None}
    _, html = write(tmp_path, data)
    text = html.read_text()
    assert "Acknowledged writes" in text
    assert "of workload desk.sql" in text
    assert ("item 7: 3 left and 5 ordered, of 9" in text) is broken
    assert "transfer" not in text.partition("<body")[2]
