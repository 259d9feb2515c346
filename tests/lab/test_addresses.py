import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from farshore.lab import addresses as module
from farshore.lab.addresses import Addresses
from farshore.lab.ports import OUTSIDE

HOME, STANDBY = "us-east-1", "us-west-2"


@pytest.fixture(autouse=True)
def own_range(monkeypatch):
    """Labs that come and go beside this test run must not change what is free first."""
    block = f"127.{130 + os.getpid() % 100}"
    monkeypatch.setattr(module, "_candidates", lambda: (f"{block}.{third}" for third in range(1, 255)))
    for base, service in enumerate(("POSTGRES", "GATEWAY", "DNS", "RUNTIME")):
        monkeypatch.setattr(module, f"{service}_PORT", 20_000 + base * 2000 + os.getpid() % 1000)


@pytest.fixture
def addresses(tmp_path):
    claimed = Addresses.claim(tmp_path)
    yield claimed
    claimed.release()


def listener(host, port):
    return socket.create_server((host, port))


def test_hosts_follow_the_plan(addresses):
    net = addresses.subnet
    assert [addresses.view(v) for v in (HOME, STANDBY, OUTSIDE)] == [f"{net}.1", f"{net}.2", f"{net}.3"]
    assert addresses.runtime == f"{net}.4"
    assert [addresses.instance(HOME, n) for n in (1, 2)] == [f"{net}.11", f"{net}.12"]
    assert [addresses.instance(STANDBY, n) for n in (1, 2)] == [f"{net}.21", f"{net}.22"]
    assert addresses.restored(1) == f"{net}.31"
    assert addresses.mouth() == f"{net}.100"


def test_ports_are_the_services_own_where_they_are_free(addresses):
    ports = (addresses.pg_port, addresses.gateway_port, addresses.dns_port, addresses.runtime_port)
    assert ports == (module.POSTGRES_PORT, module.GATEWAY_PORT, module.DNS_PORT, module.RUNTIME_PORT)


def test_two_labs_have_nothing_in_common(addresses, tmp_path):
    other = Addresses.claim(tmp_path)
    assert other.subnet != addresses.subnet
    other.release()


def test_mouths_are_fresh_until_given_back(addresses):
    taken = [addresses.mouth() for _ in range(151)]
    assert len(set(taken)) == 151
    with pytest.raises(Exception, match="mouths"):
        addresses.mouth()
    addresses.give_back(taken[7])
    assert addresses.mouth() == taken[7]


def test_a_wildcard_listener_moves_the_ports_only(tmp_path):
    before = Addresses.claim(tmp_path)
    before.release()
    with listener("0.0.0.0", before.pg_port), listener("0.0.0.0", before.gateway_port):
        after = Addresses.claim(tmp_path)
        assert after.pg_port > before.pg_port
        assert after.gateway_port > before.gateway_port
        for host in (after.instance(HOME, 1), after.instance(STANDBY, 2), after.mouth()):
            listener(host, after.pg_port).close()
        after.release()


def test_one_taken_tunnel_mouth_moves_the_database_port(tmp_path):
    before = Addresses.claim(tmp_path)
    before.release()
    with listener(f"{before.subnet}.123", before.pg_port):
        after = Addresses.claim(tmp_path)
        assert (after.subnet, after.pg_port) == (before.subnet, before.pg_port + 1)
        after.release()


def test_a_foreign_lab_on_the_subnet_is_avoided(tmp_path):
    before = Addresses.claim(tmp_path)
    before.release()
    with listener(f"{before.subnet}.1", module.GATEWAY_PORT):
        after = Addresses.claim(tmp_path)
        assert after.subnet != before.subnet
        after.release()


def test_a_udp_listener_moves_the_dns_port(tmp_path):
    before = Addresses.claim(tmp_path)
    before.release()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("0.0.0.0", before.dns_port))
        after = Addresses.claim(tmp_path)
        assert after.dns_port == before.dns_port + 1
        after.release()


def test_the_claim_dies_with_its_lab(tmp_path):
    code = (
        "import pathlib,sys,time\nfrom farshore.lab.addresses import Addresses\n"
        "a=Addresses.claim(pathlib.Path('.'))\nprint(a.subnet,flush=True)\nsys.stdin.read()"
    )
    lab = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    held = lab.stdout.readline().strip()
    assert module._lock(held, tmp_path) is None
    os.kill(lab.pid, signal.SIGKILL)
    lab.wait()
    claim = module._lock(held, tmp_path)
    assert claim is not None
    claim.close()


def test_release_leaves_no_file(addresses, tmp_path):
    second = Addresses.claim(tmp_path)
    claim = Path(second._claim.name)
    assert claim.exists()
    second.release()
    assert not claim.exists()
