"""The engine against real Pulumi programs, in front of a cloud that is a dictionary."""

import contextlib
import contextvars
import json
import shutil
import textwrap
import threading
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from farshore.core.errors import RefusedError
from farshore.lab.deploy import launch, run
from farshore.lab.deploy.checkpoint import FILE, Checkpoint
from farshore.lab.deploy.engine import Target
from farshore.lab.deploy.errors import DeployError
from farshore.lab.deploy.kinds import Clients, Kind, Made
from farshore.lab.deploy.provisioners import local
from farshore.lab.processes import Spawner

PRELUDE = """
import pulumi
from pulumi import Output, ResourceOptions as Opts

class Thing(pulumi.CustomResource):
    def __init__(self, name, opts=None, kind="lab:index:Thing", **given):
        super().__init__(kind, name, {"arn": None, "port": None, "never": None, **given}, opts)
"""
KEYS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
}


@dataclass
class Cloud:
    """What exists, and in which order things happened; `broken` names things that cannot be made."""

    things: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    broken: set = field(default_factory=set)
    drifted: dict = field(default_factory=dict)
    meet: threading.Barrier | None = None

    def create(self, call):
        if self.meet:
            self.meet.wait(10)
        if call.name in self.broken:
            raise RuntimeError(f"the cloud refuses {call.name} with {call.inputs.get('password')}")
        self.things[call.name] = dict(call.inputs)
        self.log.append(f"+{call.name}")
        return Made(f"id-{call.name}", {"arn": f"arn:{call.name}", "port": 5432})

    def delete(self, old):
        if old.resource.name in self.broken:
            raise RuntimeError("it will not go")
        del self.things[old.resource.name]
        self.log.append(f"-{old.resource.name}")

    def observe(self, old):
        return self.drifted.get(old.resource.name, {})


class Stack:
    def __init__(self, directory: Path, spawn):
        self.cloud = Cloud()
        self.root = directory / "program"
        self.root.mkdir()
        self.directory = directory / "stack"
        self.spawn = spawn
        self.said = []
        thing = Kind("size tags password token tokenWo tokenWoVersion peers nested code", *self._hands())
        kinds = {"lab:index:Thing": thing, **local.KINDS}
        self.target = Target("farshore", "t", self.root, Clients(KEYS), kinds, {})

    def _hands(self):
        return self.cloud.create, self.cloud.delete, self.cloud.observe

    def write(self, source):
        # Python takes a program of the same second and size for the one it compiled before.
        shutil.rmtree(self.root / "__pycache__", ignore_errors=True)
        (self.root / "__main__.py").write_text(PRELUDE + textwrap.dedent(source))

    def up(self, source=None):
        if source is not None:
            self.write(source)
        settings = run.Settings({"farshore:size": "7"}, {"ENVIRONMENT_SUFFIX": "t"})
        return run.up(self.target, settings, self.directory, self.spawn, self.said.append)

    def destroy(self):
        return run.destroy(self.target, self.directory, self.said.append)


class Thread:
    """A program run beside the test: as the process does it, without starting an interpreter."""

    def __init__(self, _argv, *, env, cwd, log):
        self._code = futures.Future()
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, env, cwd, log)).start()

    def _run(self, env, cwd, log):
        with log.open("w") as output, contextlib.redirect_stderr(output):
            code = launch.run(env, cwd)
        self._code.set_result(code)

    def wait(self, timeout_s):
        return self._code.result(timeout_s)

    def kill(self):
        pass


@pytest.fixture
def spawn():
    return Thread


@pytest.fixture
def stack(tmp_path, spawn):
    return Stack(tmp_path, spawn)


CHAIN = """
a = Thing("a", size=1)
b = Thing("b", size=a.port)
c = Thing("c", peers=[a.arn, b.arn], nested={"deep": {"of": b.id}})
Thing("apart")
pulumi.export("where", c.arn)
pulumi.export("size", pulumi.Config("farshore").require_int("size"))
"""


def test_outputs_of_one_resource_are_inputs_of_the_next(stack):
    summary = stack.up(CHAIN)

    assert stack.cloud.things["b"] == {"size": 5432}
    assert stack.cloud.things["c"] == {
        "peers": ["arn:a", "arn:b"],
        "nested": {"deep": {"of": "id-b"}},
    }
    assert summary.outputs == {"where": "arn:c", "size": 7}
    assert [urn.rpartition("::")[2] for urn in summary.created if "apart" not in urn] == ["a", "b", "c"]
    assert "created lab:index:Thing c, 4 of 4 asked for so far" in stack.said


def test_the_program_has_a_process_and_an_environment_of_its_own(stack):
    with Spawner() as spawner:
        stack.spawn = spawner
        summary = stack.up(
            "import os, tempfile; pulumi.export('env', sorted(os.environ)); print('told'); "
            "pulumi.export('scratch', tempfile.mkdtemp())"
        )

    own = ("PULUMI_", "GRPC_", "PWD", "LC_CTYPE")
    told = {name for name in summary.outputs["env"] if not name.startswith(own)}
    assert told == {"ENVIRONMENT_SUFFIX", "HOME", "LANG", "PATH", "TMPDIR"}
    assert summary.outputs["scratch"].startswith(str(stack.directory / run.SCRATCH))
    assert not (stack.directory / run.SCRATCH).exists()
    assert (stack.directory / run.LOG).read_text() == "told\n"


def test_a_second_run_changes_nothing_and_gives_the_same_outputs(stack):
    first = stack.up(CHAIN)
    before = list(stack.cloud.log)
    second = stack.up()

    assert (len(second.created), len(second.unchanged)) == (0, 4)
    assert second.outputs == first.outputs
    assert stack.cloud.log == before


def test_independent_resources_are_created_at_the_same_time(stack):
    stack.cloud.meet = threading.Barrier(8)
    stack.up("for number in range(8): Thing(f't{number}')")

    assert len(stack.cloud.things) == 8


def test_a_failure_stops_what_depends_on_it_and_nothing_else(stack):
    stack.cloud.broken = {"b"}
    with pytest.raises(DeployError) as failed:
        stack.up(CHAIN)

    assert set(stack.cloud.things) == {"a", "apart"}
    assert "lab:index:Thing b failed: RuntimeError: the cloud refuses b" in str(failed.value)
    assert "stopped because of it: c" in str(failed.value)
    assert "stopped: lab:index:Thing c, because b failed" in stack.said

    stack.cloud.broken.clear()
    summary = stack.up()
    assert [urn.rpartition("::")[2] for urn in summary.created] == ["b", "c"]
    assert len(summary.unchanged) == 2


def test_depends_on_alone_is_enough_to_stop(stack):
    stack.cloud.broken = {"a"}
    with pytest.raises(DeployError, match="stopped because of it: b"):
        stack.up('Thing("b", opts=Opts(depends_on=[Thing("a")]))')

    assert not stack.cloud.things


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ('Thing("a"); Thing("a")', "lab:index:Thing a failed: its name is taken"),
        ('Thing("a", kind="lab:index:Other")', "lab:index:Other a failed: .* no provisioner"),
        ('Thing("b", size=Thing("a").never)', "Thing b failed: size cannot be known: .* lab:index:Thing a"),
        ('Thing("a", colour="red")', "Thing a failed: its provisioner does not pass on colour"),
        ('pulumi.export("x", Thing("a").never)', "the program exports x, made of an output"),
        (
            'Thing("a"); raise ValueError("no such thing")',
            "the program ended with code 32: ValueError: no such thing",
        ),
        (
            'import pulumi_aws as aws; pulumi.export("x", aws.get_caller_identity().account_id)',
            "getCallerIdentity, which the lab's deployer does not have",
        ),
        ('Thing("a", code=pulumi.FileArchive("./nowhere"))', "Thing a failed: .*No such file.*nowhere"),
        ('Thing("a", opts=Opts(import_="x"))', "Thing a failed: .* imports are for the real engine"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(stack, source, complaint):
    with pytest.raises(DeployError, match=f"(?s){complaint}"):
        stack.up(source)


def test_what_exists_is_never_changed(stack):
    stack.up('Thing("a", size=1, nested={"x": 1})')
    with pytest.raises(DeployError, match="Thing a failed: nested, size changed since it was created"):
        stack.up('Thing("a", size=2, nested={"x": 2})')
    with pytest.raises(DeployError, match="no longer asks for a"):
        stack.up('Thing("b")')

    assert stack.cloud.things["a"] == {"size": 1, "nested": {"x": 1}}


def test_ignored_properties_may_drift(stack):
    program = 'Thing("a", size=1, nested={"x": 1, "y": 1}, peers=["p"], opts=Opts(ignore_changes=[%s]))'
    stack.up(program % '"size", "nested.x", "peers[0]", "token"')
    stack.cloud.drifted["a"] = {"size": 2, "nested": {"x": 3, "y": 1}, "peers": ["q"], "token": "new"}

    assert len(stack.up().unchanged) == 1
    with pytest.raises(DeployError, match="nested, peers, size, token changed"):
        stack.up(program % "")


def test_ignored_changes_give_the_program_the_old_value_back(stack):
    program = """
    import secrets
    kept = Thing("kept", password=Output.secret(secrets.token_hex()), opts=Opts(ignore_changes=["password"]))
    Thing("user", token=kept.password)
    """
    stack.up(program)
    assert stack.cloud.things["user"]["token"] == stack.cloud.things["kept"]["password"]
    assert len(stack.up().unchanged) == 2


def test_a_property_that_aws_unset_counts_as_drift(stack):
    stack.up('Thing("a", token="x")')
    stack.cloud.drifted["a"] = {"token": None}

    with pytest.raises(DeployError, match="token changed"):
        stack.up()
    assert len(stack.up('Thing("a", token="x", opts=Opts(ignore_changes=["token"]))').unchanged) == 1


def test_destroy_goes_backwards(stack):
    stack.up(CHAIN)
    stack.cloud.log.clear()

    assert set(stack.destroy()) == {"a", "b", "c", "apart"}
    assert [entry for entry in stack.cloud.log if entry != "-apart"] == ["-c", "-b", "-a"]
    assert stack.destroy() == []


def test_a_failed_deletion_keeps_what_it_needs(stack):
    stack.up(CHAIN)
    stack.cloud.broken = {"b"}
    with pytest.raises(DeployError, match="Thing b was not deleted: RuntimeError: it will not go"):
        stack.destroy()
    assert set(stack.cloud.things) == {"a", "b"}

    stack.cloud.broken.clear()
    assert stack.destroy() == ["b", "a"]


def test_protected_resources_refuse_destruction_until_the_program_takes_it_off(stack):
    stack.up('Thing("a", opts=Opts(protect=True)); Thing("b")')
    with pytest.raises(RefusedError, match="a is protected; nothing was deleted"):
        stack.destroy()
    assert set(stack.cloud.things) == {"a", "b"}

    assert stack.up('Thing("a"); Thing("b")').created == ()
    assert set(stack.destroy()) == {"a", "b"}


def test_retained_resources_survive_destruction(stack):
    stack.up('Thing("a", opts=Opts(retain_on_delete=True)); Thing("b")')
    stack.destroy()
    assert set(stack.cloud.things) == {"a"}


SECRETS = """
password = Output.secret("hunter2-hunter2")
Thing("a", password=password, token=Output.concat("x", password), nested={"in": {"deep": password}})
Thing("b", tokenWo=password, tokenWoVersion=1)
pulumi.export("password", password)
"""


def test_secrets_reach_the_cloud_and_nothing_else(stack):
    summary = stack.up(SECRETS)
    shown = repr(summary) + str(summary.outputs) + "".join(stack.said)
    kept = (stack.directory / FILE).read_text()

    assert stack.cloud.things["a"]["token"] == "xhunter2-hunter2"
    assert stack.cloud.things["b"]["tokenWo"] == "hunter2-hunter2"
    assert "hunter2" not in shown
    assert "hunter2" not in kept
    assert "password" not in summary.outputs
    assert (stack.directory / FILE).stat().st_mode & 0o077 == 0
    assert len(stack.up().unchanged) == 2


def test_secrets_are_compared_too(stack):
    stack.up(SECRETS)
    with pytest.raises(DeployError, match="Thing a failed: nested, password, token changed") as failed:
        stack.up(SECRETS.replace("hunter2-hunter2", "swordfish"))
    assert "hunter2" not in str(failed.value)
    assert "swordfish" not in str(failed.value)


def test_a_failure_does_not_tell_the_password(stack):
    stack.cloud.broken = {"a"}
    with pytest.raises(DeployError) as failed:
        stack.up('Thing("a", password=Output.secret("hunter2-hunter2"))')

    assert "refuses a with [secret]" in str(failed.value)
    assert "hunter2" not in "".join(stack.said)


def test_of_write_only_values_only_the_version_counts(stack):
    program = 'Thing("a", tokenWo=Output.secret("%s"), tokenWoVersion=%d)'
    stack.up(program % ("one", 1))
    assert len(stack.up(program % ("another", 1)).unchanged) == 1
    with pytest.raises(DeployError, match="tokenWoVersion changed"):
        stack.up(program % ("another", 2))


def test_components_give_their_children_a_place(stack):
    program = """
    class Part(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("lab:parts:Part", name, None, opts)
            Thing("same", opts=Opts(parent=self))
            self.register_outputs({})
    class Other(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("lab:parts:Other", name, None, opts)
            Thing("same", opts=Opts(parent=self, depends_on=[Part("inner", Opts(parent=self))]))
    Part("part")
    Other("other")
    """
    with pytest.raises(DeployError, match="its name is taken"):
        stack.up(program + '\n    Part("again")\n')
    summary = stack.up(program)
    types = {urn.split("::")[2] for urn in (*summary.created, *summary.unchanged)}
    assert types == {
        "lab:parts:Part$lab:index:Thing",
        "lab:parts:Other$lab:index:Thing",
        "lab:parts:Other$lab:parts:Part$lab:index:Thing",
    }


def test_files_are_compared_by_content(stack, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "b.py").write_text("b = 1")
    program = f"""
    where = {str(tmp_path / "lib")!r}
    files = {{"a.py": pulumi.StringAsset("a = 1"), "lib": pulumi.FileArchive(where)}}
    Thing("a", code=pulumi.AssetArchive(files))
    """
    stack.up(program)
    assert len(stack.up().unchanged) == 1
    (tmp_path / "lib" / "b.py").write_text("b = 2")
    with pytest.raises(DeployError, match="code changed"):
        stack.up()


def test_one_deployment_at_a_time(stack):
    stack.write('Thing("a")')
    with Checkpoint.opened(stack.directory), pytest.raises(RefusedError, match="another deployment"):
        stack.up()


def test_a_torn_last_line_is_forgotten(stack):
    stack.up('Thing("a")')
    with (stack.directory / FILE).open("a") as journal:
        journal.write('{"urn": "half a li')
    stack.up('Thing("a"); Thing("b")')

    lines = (stack.directory / FILE).read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "b"]


def test_default_tags_lie_under_the_resources_own(stack):
    seen = {}
    kinds = dict(stack.target.kinds)

    def create(call):
        seen[call.name] = (call.region, call.tags)
        return Made("x")

    kinds["aws:a:T"] = Kind("size", create)
    stack.target = Target("farshore", "t", stack.root, stack.target.clients, kinds, {})
    stack.up(
        """
        class Provider(pulumi.ProviderResource):
            def __init__(self, name, **given):
                super().__init__("aws", name, given)
        home = Provider("home", region="us-east-1", defaultTags=pulumi.Output.json_dumps(
            {"tags": {"Team": "ledger", "DR-Role": "primary"}}))
        Thing("a", kind="aws:a:T", tags={"DR-Role": "witness"}, opts=Opts(provider=home))
        Thing("b", kind="aws:a:T", opts=Opts(provider=home), region="us-east-2")
        """
    )
    assert seen == {
        "a": ("us-east-1", {"Team": "ledger", "DR-Role": "witness"}),
        "b": ("us-east-2", {"Team": "ledger", "DR-Role": "primary"}),
    }


def test_without_an_endpoint_nothing_is_ever_called():
    with pytest.raises(Exception, match="AWS_ENDPOINT_URL is not set"):
        Clients({"AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "keys"})
