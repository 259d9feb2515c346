import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farshore.lab.dns import Answer, DnsServer, Record
from farshore.lab.ports import Address

SOA = Record("zone.internal", "SOA", 900, ("ns. host. 1 7200 900 1209600 86400",))
BIG = Record("big.zone.internal", "TXT", 5, tuple(f'"{n:03d} {"x" * 200}"' for n in range(20)))


def answers(view, name, rdtype):
    match name, rdtype:
        case "db.zone.internal", "A":
            return Answer(
                records=(
                    Record("db.zone.internal", "CNAME", 1, ("cluster.rds.amazonaws.com",)),
                    Record("cluster.rds.amazonaws.com", "A", 5, ("127.1.2.3",)),
                )
            )
        case "big.zone.internal", "TXT":
            return Answer(records=(BIG,))
        case "boom.zone.internal", _:
            raise RuntimeError("bug")
        case _ if name.endswith("zone.internal"):
            return Answer("NXDOMAIN", soa=SOA)
    return Answer("REFUSED")


@pytest.fixture(scope="module")
def silence():
    return threading.Event()


@pytest.fixture(scope="module")
def server(silence):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.93.1.1", 0))
        port = free.getsockname()[1]
    running = DnsServer(Address("127.93.1.1", port), "us-east-1", answers, silent=silence.is_set)
    yield running
    running.close()


def ask(server, name, rdtype="A", *, over=dns.query.udp, timeout=2, **query):
    question = dns.message.make_query(name, rdtype, **query)
    return over(question, server.address.host, port=server.address.port, timeout=timeout)


@pytest.mark.parametrize("over", [dns.query.udp, dns.query.tcp])
def test_a_chain_of_records_with_their_ttls(server, over):
    response = ask(server, "DB.zone.internal.", over=over)
    assert response.rcode() == dns.rcode.NOERROR
    assert [(r.name.to_text().lower(), r.ttl, r[0].to_text()) for r in response.answer] == [
        ("db.zone.internal.", 1, "cluster.rds.amazonaws.com."),
        ("cluster.rds.amazonaws.com.", 5, "127.1.2.3"),
    ]
    assert response.flags & dns.flags.RA


def test_an_unknown_name_is_nxdomain_with_the_zones_soa(server):
    response = ask(server, "nobody.zone.internal.")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].rdtype == dns.rdatatype.SOA


def test_other_zones_and_classes_are_refused(server):
    assert ask(server, "example.com.").rcode() == dns.rcode.REFUSED
    assert ask(server, "db.zone.internal.", rdclass="CH").rcode() == dns.rcode.REFUSED


def test_other_opcodes_are_not_implemented(server):
    question = dns.message.make_query("db.zone.internal.", "A")
    question.set_opcode(dns.opcode.STATUS)
    assert (
        dns.query.udp(question, server.address.host, port=server.address.port, timeout=2).rcode()
        == dns.rcode.NOTIMP
    )


def test_a_long_answer_is_truncated_on_udp_and_whole_on_tcp(server):
    plain = ask(server, "big.zone.internal.", "TXT", use_edns=False)
    assert plain.flags & dns.flags.TC
    assert len(plain.to_wire()) <= 512
    whole = ask(server, "big.zone.internal.", "TXT", over=dns.query.tcp)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 20


def test_edns_raises_the_limit(server):
    response = ask(server, "db.zone.internal.", payload=4096)
    assert response.edns == 0
    assert not response.flags & dns.flags.TC


def test_several_queries_on_one_tcp_connection(server):
    with socket.create_connection((server.address.host, server.address.port), timeout=2) as tcp:
        for number in (1, 2):
            wire = dns.message.make_query("db.zone.internal.", "A", id=number).to_wire()
            tcp.sendall(struct.pack("!H", len(wire)) + wire)
            (length,) = struct.unpack("!H", tcp.recv(2))
            assert dns.message.from_wire(tcp.recv(length)).id == number


def test_a_failing_answer_is_servfail_and_the_server_goes_on(server):
    assert ask(server, "boom.zone.internal.").rcode() == dns.rcode.SERVFAIL
    assert ask(server, "db.zone.internal.").rcode() == dns.rcode.NOERROR


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=80), over_tcp=st.booleans())
def test_junk_never_ends_the_server(server, junk, over_tcp):
    reply = server._reply(junk, over_tcp=over_tcp)
    if reply is not None:
        assert len(junk) >= 12
        assert reply[:2] == junk[:2]
        assert reply[2] & 0x80


def test_junk_on_the_sockets(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"\0", (server.address.host, server.address.port))
        udp.sendto(b"\xff" * 40, (server.address.host, server.address.port))
    with socket.create_connection((server.address.host, server.address.port)) as tcp:
        tcp.sendall(b"\xff\xffhalf")
    assert ask(server, "db.zone.internal.").rcode() == dns.rcode.NOERROR


def test_a_lost_regions_resolver_is_silent(server, silence):
    silence.set()
    try:
        with pytest.raises(dns.exception.Timeout):
            ask(server, "db.zone.internal.", timeout=0.15)
        with pytest.raises(dns.exception.Timeout):
            ask(server, "db.zone.internal.", over=dns.query.tcp, timeout=0.15)
    finally:
        silence.clear()
    assert ask(server, "db.zone.internal.").answer
    assert server.counts["unanswered"] >= 2


def test_it_counts(server):
    before = server.counts.copy()
    ask(server, "nobody.zone.internal.")
    ask(server, "db.zone.internal.", over=dns.query.tcp)
    gained = server.counts - before
    assert dict(gained) == {"queries": 2, "NXDOMAIN": 1, "NOERROR": 1, "tcp": 1}


def test_an_answer_costs_well_below_a_millisecond(server):
    wire = dns.message.make_query("db.zone.internal.", "A").to_wire()
    begin = time.process_time()
    for _ in range(300):
        server._reply(wire, over_tcp=False)
    assert (time.process_time() - begin) / 300 < 0.001


def test_many_askers_at_once(server):
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: ask(server, "db.zone.internal.", timeout=5), range(80)))
    assert all(len(response.answer) == 2 for response in responses)


def test_closing_frees_the_port(server):
    second = DnsServer(Address("127.93.1.2", server.address.port), "us-west-2", answers)
    second.close()
    third = DnsServer(second.address, "us-west-2", answers)
    third.close()
    assert not third._thread.is_alive()


@pytest.fixture
def moving(server):
    """A resolver of its own, whose answer can be changed."""
    told = {"value": "127.1.1.1"}

    def answer(_view, name, _rdtype):
        return Answer(records=(Record(name, "A", 1, (told["value"],)),))

    running = DnsServer(Address("127.93.1.4", server.address.port), "us-east-1", answer)
    yield running, told
    running.close()


def address(server, name="db.zone.internal."):
    return ask(server, name).answer[0][0].to_text()


def test_a_stale_resolver_answers_what_it_knows_and_counts_what_is_no_longer_true(moving):
    resolver, told = moving
    assert address(resolver) == "127.1.1.1"
    resolver.mode = "stale"
    assert address(resolver) == "127.1.1.1"
    assert resolver.counts["outdated"] == 0, "it is true still"
    told["value"] = "127.2.2.2"
    assert address(resolver) == "127.1.1.1"
    assert resolver.counts["outdated"] == 1
    assert address(resolver, "other.zone.internal.") == "127.2.2.2", "what it never knew it must ask for"
    resolver.mode = "answers"
    assert address(resolver) == "127.2.2.2"


def test_a_black_holed_resolver_counts_what_it_does_not_answer(moving):
    resolver, _ = moving
    resolver.mode = "silent"
    with pytest.raises(dns.exception.Timeout):
        ask(resolver, "db.zone.internal.", timeout=0.1)
    assert resolver.counts["unanswered"] == 1
    resolver.mode = "answers"
    assert address(resolver) == "127.1.1.1"
