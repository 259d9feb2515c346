"""What the WAN relay adds and what it carries: `python benchmarks/relay.py`."""

import socket
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from farshore.lab.addresses import Addresses
from farshore.lab.links import LinkTable
from farshore.lab.ports import Address
from farshore.lab.processes import Spawner
from farshore.lab.wan import Tunnels

HOME, STANDBY = "us-east-1", "us-west-2"
ONE_WAY_S = 0.030
MESSAGE = b"x" * 200


def serve(listener: socket.socket, answer: bool) -> None:
    """Echo, or only swallow and acknowledge the end."""

    def converse(connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(1 << 20):
                if answer:
                    connection.sendall(data)
            connection.sendall(b"e")

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def ping(mouth: Address, rounds: int, errors_ms: list[float]) -> None:
    with socket.create_connection((mouth.host, mouth.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(MESSAGE)
        client.recv(1000)
        for _ in range(rounds):
            begin = time.monotonic()
            client.sendall(MESSAGE)
            client.recv(1000)
            errors_ms.append((time.monotonic() - begin - 2 * ONE_WAY_S) / 2 * 1000)


def latency(mouth: Address, relay: psutil.Process, clients: int) -> None:
    errors_ms: list[float] = []
    cpu, begin = sum(relay.cpu_times()[:2]), time.monotonic()
    threads = [threading.Thread(target=ping, args=(mouth, 60, errors_ms)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.monotonic() - begin, sum(relay.cpu_times()[:2]) - cpu
    worst = sorted(errors_ms)[int(len(errors_ms) * 0.99)]
    print(
        f"{clients} clients: added per way, median {statistics.median(errors_ms):.2f} ms, p99 {worst:.2f} ms; "
        f"{len(errors_ms) / seconds:.0f} round trips/s; relay {cpu / seconds:.1%} of a core"
    )


def throughput(mouth: Address, megabytes: int) -> float:
    block = bytes(1 << 20)
    with socket.create_connection((mouth.host, mouth.port)) as client:
        begin = time.monotonic()
        for _ in range(megabytes):
            client.sendall(block)
        client.shutdown(socket.SHUT_WR)
        client.recv(1)
        return megabytes * len(block) / (time.monotonic() - begin) / 1e6


def main() -> None:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = Addresses.claim(root)
        stack.callback(addresses.release)
        links = LinkTable(jitter_ms=0)
        spawn = stack.enter_context(Spawner())
        tunnels = stack.enter_context(Tunnels(spawn=spawn, root=root, addresses=addresses, links=links))
        relay = psutil.Process(tunnels.pid)
        mouths = []
        for number, answer in ((1, True), (2, False)):
            listener = stack.enter_context(socket.create_server((addresses.instance(STANDBY, number), 0)))
            serve(listener, answer)
            mouths.append(tunnels.open(HOME, STANDBY, Address(*listener.getsockname())))
        for clients in (1, 8):
            latency(mouths[0], relay, clients)
        print(f"bulk over 30 ms: {throughput(mouths[1], 256):.0f} MB/s")
        links.set_delay(HOME, STANDBY, 0)
        print(f"bulk without delay: {throughput(mouths[1], 1024):.0f} MB/s")
        begin = time.monotonic()
        for _ in range(200):
            links.set_delay(HOME, STANDBY, 0)
        print(f"a change of the links is in force after {(time.monotonic() - begin) / 200 * 1e6:.0f} us")


if __name__ == "__main__":
    main()
