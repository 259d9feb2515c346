"""A stand-in for the product's command: two servers, a name server, a failover after half a second, planned moves.

It speaks the same words as `farshore`, so that a drill can be tested by itself, also against a product that
misbehaves: STANDIN_FAULTS names what it gets wrong. State is kept in STANDIN_DIR.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path

LAB = Path(__file__).with_name("standin_lab.py")
STATE = Path(os.environ["STANDIN_DIR"])
WRONG = os.environ.get("STANDIN_FAULTS", "").split(",")
JOURNAL, ORPHANS, PORT = STATE / "journal.jsonl", STATE / "orphans.json", STATE / "port"


def ask(order: list) -> dict:
    with socket.create_connection(("127.0.0.1", int(PORT.read_text()))) as line:
        line.sendall(json.dumps(order).encode() + b"\n")
        return json.loads(line.makefile().read())


def follow() -> None:
    with JOURNAL.open() as file:
        while True:
            line = file.readline()
            if line:
                print(line, end="", flush=True)
            else:
                time.sleep(0.05)


def main(words: list[str]) -> None:
    match words:
        case ["lab", "run", "--json", "--until-eof", *options]:
            os.execv(sys.executable, [sys.executable, str(LAB), *options])
        case ["lab", "exec", region, "--lab", _, "--", *command]:
            ask(["resident", region, os.getpid()])
            os.execvp(command[0], command)
        case ["history", *_]:
            follow()
        case ["orphans", "--json"]:
            if "no orphan list" in WRONG:
                sys.exit("farshore: the old volume cannot be read.")
            print(ORPHANS.read_text())
        case ["guard", "install", *tables, "--json"]:
            print(json.dumps(ask(["guard", "install", *tables])))
        case _:
            answer = ask(words)
            if "refused" in answer:
                sys.exit(f"farshore: {answer['refused']}")
            print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
