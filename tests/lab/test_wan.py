import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from farshore.core.errors import FarshoreError
from farshore.lab.addresses import Addresses
from farshore.lab.links import LinkTable
from farshore.lab.ports import OUTSIDE, Address
from farshore.lab.processes import Spawner
from farshore.lab.wan import Tunnels

HOME, STANDBY, WITNESS = "us-east-1", "us-west-2", "us-east-2"
ONE_WAY_S = 0.030


class Server:
    """Accepts on a loopback port and keeps its connections for the test to drive."""

    def __init__(self, host):
        self.listener = socket.create_server((host, 0))
        self.listener.settimeout(5)
        self.address = Address(host, self.listener.getsockname()[1])

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(5)
        return connection

    @contextmanager
    def echoing(self):
        connection = self.accept()

        def echo():
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        thread = threading.Thread(target=echo)
        thread.start()
        yield
        thread.join()


class Wan:
    def __init__(self, stack, root):
        self._stack = stack
        self.addresses = Addresses.claim(root)
        stack.callback(self.addresses.release)
        self.links = LinkTable(jitter_ms=0)
        self.tunnels = stack.enter_context(
            Tunnels(
                spawn=stack.enter_context(Spawner()), root=root, addresses=self.addresses, links=self.links
            )
        )

    def server(self, region=STANDBY):
        server = Server(self.addresses.instance(region, 1))
        self._stack.callback(server.listener.close)
        return server

    def connect(self, mouth, timeout=5):
        client = socket.create_connection((mouth.host, mouth.port), timeout=timeout)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stack.callback(client.close)
        return client

    def pair(self, view=HOME, region=STANDBY):
        """A client in one region connected to a server in another."""
        server = self.server(region)
        client = self.connect(self.tunnels.open(view, region, server.address))
        accepted = server.accept()
        self._stack.callback(accepted.close)
        client.sendall(b"hello")
        assert accepted.recv(5) == b"hello"
        return client, accepted


@pytest.fixture
def wan(tmp_path):
    with ExitStack() as stack:
        yield Wan(stack, tmp_path)


def silent(sock, seconds=0.15):
    """Nothing comes: no byte, no end of stream, no reset."""
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    else:
        return False
    finally:
        sock.settimeout(5)


def was_reset(sock):
    try:
        sock.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_connecting_costs_a_round_trip_before_the_first_byte(wan):
    """The best of five: a busy computer only ever adds."""
    server = wan.server()
    mouth = wan.tunnels.open(HOME, STANDBY, server.address)
    tries = [connected_and_heard(wan, server, mouth) for _ in range(5)]
    assert ONE_WAY_S <= min(arrived for arrived, _ in tries) < 3 * ONE_WAY_S
    assert 3 * ONE_WAY_S <= min(heard for _, heard in tries) < 6 * ONE_WAY_S


def connected_and_heard(wan, server, mouth):
    """Seconds until the connection arrives, and until its first byte does."""
    begin = time.monotonic()
    client = wan.connect(mouth)
    client.sendall(b"x")
    with server.accept() as accepted:
        arrived = time.monotonic() - begin
        assert accepted.recv(1) == b"x"
        return arrived, time.monotonic() - begin


def test_a_round_trip_takes_two_ways_and_little_more(wan):
    server = wan.server()
    client = wan.connect(wan.tunnels.open(HOME, STANDBY, server.address))
    with server.echoing():
        client.sendall(b"w")
        client.recv(1)
        errors = []
        for _ in range(15):
            begin = time.monotonic()
            client.sendall(b"x")
            client.recv(1)
            errors.append((time.monotonic() - begin - 2 * ONE_WAY_S) / 2)
        client.close()
    assert 0 <= min(errors) < 0.01, "the quickest: a busy machine only adds"


def test_outside_is_near(wan):
    server = wan.server()
    client = wan.connect(wan.tunnels.open(OUTSIDE, STANDBY, server.address))
    with server.echoing():
        client.sendall(b"w")
        client.recv(1)
        begin = time.monotonic()
        client.sendall(b"x")
        client.recv(1)
        assert 0.004 <= time.monotonic() - begin < 2 * ONE_WAY_S
        client.close()


def test_order_and_content_survive_jitter(wan):
    wan.links.set_delay(HOME, STANDBY, 10, 10)
    client, accepted = wan.pair()
    sent = b"".join(n.to_bytes(4, "big") for n in range(20_000))
    thread = threading.Thread(
        target=lambda: [client.sendall(sent[n : n + 997]) for n in range(0, len(sent), 997)]
    )
    thread.start()
    received = b""
    while len(received) < len(sent):
        received += accepted.recv(1 << 16)
    thread.join()
    assert received == sent


def test_half_close_passes_and_the_other_half_goes_on(wan):
    client, accepted = wan.pair()
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert accepted.recv(10) == b"last"
    assert accepted.recv(10) == b""
    accepted.sendall(b"answer")
    accepted.close()
    assert client.recv(10) == b"answer"
    assert client.recv(10) == b""
    eventually(lambda: wan.tunnels.stats()["connections"] == 0)


def test_a_reset_passes_after_the_delay(wan):
    client, accepted = wan.pair()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    begin = time.monotonic()
    accepted.close()
    assert was_reset(client)
    assert time.monotonic() - begin >= ONE_WAY_S


def test_a_refused_connection_is_reset_after_a_round_trip(wan):
    server = wan.server()
    server.listener.close()
    begin = time.monotonic()
    client = wan.connect(wan.tunnels.open(HOME, STANDBY, server.address))
    assert was_reset(client)
    assert time.monotonic() - begin >= 2 * ONE_WAY_S


def test_a_lost_region_falls_silent_and_bytes_in_flight_die(wan):
    client, accepted = wan.pair()
    client.sendall(b"in flight")
    assert wan.links.lose(STANDBY) == 1
    assert silent(accepted)
    client.sendall(b"more")
    accepted.close()
    assert silent(client)
    assert wan.tunnels.silenced == 1


def test_a_dying_client_in_a_lost_region_is_not_heard_of(wan):
    client, accepted = wan.pair()
    wan.links.lose(HOME)
    client.close()
    assert silent(accepted)


def test_new_connections_to_a_lost_region_hang_and_work_after_the_heal(wan):
    server = wan.server()
    mouth = wan.tunnels.open(OUTSIDE, STANDBY, server.address)
    wan.links.lose(STANDBY)
    with pytest.raises(TimeoutError):
        wan.connect(mouth, timeout=0.2)
    wan.links.heal(STANDBY)
    client = wan.connect(mouth)
    client.sendall(b"x")
    with server.accept() as accepted:
        assert accepted.recv(1) == b"x"


def test_a_tunnel_opened_to_a_lost_region_hangs_too(wan):
    server = wan.server()
    wan.links.lose(STANDBY)
    mouth = wan.tunnels.open(HOME, STANDBY, server.address)
    with pytest.raises(TimeoutError):
        wan.connect(mouth, timeout=0.2)


def test_healing_resets_the_connections_of_before(wan):
    client, accepted = wan.pair()
    wan.links.lose(STANDBY)
    wan.links.heal(STANDBY)
    assert was_reset(client)
    assert was_reset(accepted)
    assert wan.tunnels.stats()["connections"] == 0


def test_other_links_do_not_notice_a_loss(wan):
    client, accepted = wan.pair(view=OUTSIDE, region=STANDBY)
    assert wan.links.lose(HOME) == 0
    client.sendall(b"still here")
    assert accepted.recv(20) == b"still here"


def test_a_cut_holds_bytes_and_connections_until_the_join(wan):
    client, accepted = wan.pair()
    server = wan.server()
    mouth = wan.tunnels.open(HOME, STANDBY, server.address)
    wan.links.cut(HOME, STANDBY)
    client.sendall(b"held")
    late = wan.connect(mouth)
    late.sendall(b"late")
    assert silent(accepted)
    server.listener.settimeout(0.15)
    with pytest.raises(TimeoutError):
        server.listener.accept()
    server.listener.settimeout(5)
    wan.links.join(HOME, STANDBY)
    assert accepted.recv(10) == b"held"
    with server.accept() as newcomer:
        assert newcomer.recv(10) == b"late"


def test_changes_elsewhere_release_nothing(wan):
    client, accepted = wan.pair()
    wan.links.cut(HOME, STANDBY)
    client.sendall(b"held")
    assert silent(accepted)
    wan.links.set_delay(HOME, WITNESS, 5)
    assert silent(accepted)
    wan.links.join(HOME, STANDBY)
    assert accepted.recv(4) == b"held"
    wan.links.set_delay(HOME, STANDBY, 0)
    wan.links.stall(HOME, STANDBY, 0.3)
    begin = time.monotonic()
    client.sendall(b"more")
    wan.links.set_delay(HOME, WITNESS, 6)
    assert accepted.recv(4) == b"more"
    assert time.monotonic() - begin >= 0.28


def test_a_one_way_cut_loses_only_the_answers(wan):
    client, accepted = wan.pair()
    wan.links.cut(STANDBY, HOME, one_way=True)
    client.sendall(b"question")
    assert accepted.recv(10) == b"question"
    accepted.sendall(b"answer")
    assert silent(client)
    wan.links.join(HOME, STANDBY)
    assert client.recv(10) == b"answer"


def test_a_stall_delays_what_was_already_under_way(wan):
    client, accepted = wan.pair()
    client.sendall(b"stalled")
    begin = time.monotonic()
    wan.links.stall(HOME, STANDBY, 0.3)
    assert accepted.recv(10) == b"stalled"
    assert 0.29 <= time.monotonic() - begin < 2


def test_retarget_moves_new_connections_only(wan):
    first, second = wan.server(), wan.server()
    mouth = wan.tunnels.open(HOME, STANDBY, first.address)
    before = wan.connect(mouth)
    with first.accept() as old:
        wan.tunnels.retarget(mouth, second.address)
        wan.connect(mouth)
        second.accept().close()
        before.sendall(b"x")
        assert old.recv(1) == b"x"


def test_close_resets_and_frees_the_mouth(wan):
    server = wan.server()
    mouth = wan.tunnels.open(HOME, STANDBY, server.address)
    client = wan.connect(mouth)
    with server.accept():
        wan.tunnels.close(mouth)
        assert was_reset(client)
    with pytest.raises(ConnectionRefusedError):
        wan.connect(mouth)


def test_bandwidth_is_a_property_of_the_link(wan):
    client, accepted = wan.pair()
    wan.links.set_delay(HOME, STANDBY, 1, 0, bytes_per_s=1_000_000)
    begin = time.monotonic()
    threading.Thread(target=client.sendall, args=[bytes(300_000)]).start()
    received = 0
    while received < 300_000:
        received += len(accepted.recv(1 << 16))
    assert 0.29 <= time.monotonic() - begin < 3


def test_a_slow_reader_stops_the_sender_and_bulk_is_not_one_chunk_a_delay(wan):
    wan.links.set_delay(HOME, STANDBY, 1)
    client, accepted = wan.pair()
    client.setblocking(False)
    sent, moved_at = 0, time.monotonic()
    while time.monotonic() < moved_at + 0.5:
        try:
            sent += client.send(bytes(1 << 18))
            moved_at = time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
        assert sent < 256 << 20, "the relay keeps what nobody reads"
    begin, received = time.monotonic(), 0
    while received < sent:
        received += len(accepted.recv(1 << 18))
    assert received / (time.monotonic() - begin) > 5e6


def test_a_dead_relay_is_an_error_not_a_hang(wan):
    wan.tunnels._process.kill()
    with pytest.raises(FarshoreError, match="relay"):
        wan.links.lose(HOME)
    wan.links.detach()


def test_a_ctrl_c_is_the_labs_to_handle(wan):
    client, accepted = wan.pair()
    wan.tunnels._process.signal_tree(signal.SIGINT)
    client.sendall(b"on")
    assert accepted.recv(2) == b"on"


def test_the_relay_ends_with_the_lab_and_leaves_no_socket(tmp_path):
    with ExitStack() as stack:
        wan = Wan(stack, tmp_path)
        process = wan.tunnels._process
        assert process.alive()
    assert process.wait(1) == 0
    assert not (tmp_path / "wan.sock").exists()
    assert (tmp_path / "wan.log").read_bytes() == b""


def eventually(holds, timeout=3):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
