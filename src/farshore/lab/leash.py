"""Run a command that cannot outlive the lab: `python -I -S leash.py LAB_PID UID GID /COMMAND...`.

Used as a script, by path, so it imports nothing but the standard library. On Linux the kernel delivers SIGKILL
when the lab's spawning thread ends; elsewhere this process stays, and watches its parent.
"""

import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.2


def switch_user(uid: int, gid: int) -> None:
    if uid < 0:
        return
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def leash_to_kernel(lab_pid: int, uid: int, gid: int) -> None:
    # Loaded before the user is switched, who may not be able to read the interpreter's library.
    import ctypes  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    switch_user(uid, gid)
    # The kernel forgets the death signal when credentials change, so it is set after the switch.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != lab_pid:  # the lab died before the signal was armed
        os._exit(1)


def watch_parent(lab_pid: int, argv: list[str]) -> None:
    child = os.fork()
    if child == 0:
        os.execv(argv[0], argv)  # noqa: S606
    while os.getppid() == lab_pid:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        time.sleep(POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os._exit(1)


def main() -> None:
    lab_pid, uid, gid = (int(word) for word in sys.argv[1:4])
    argv = sys.argv[4:]
    if sys.platform.startswith("linux"):
        leash_to_kernel(lab_pid, uid, gid)
        os.execv(argv[0], argv)  # noqa: S606
    switch_user(uid, gid)
    watch_parent(lab_pid, argv)


if __name__ == "__main__":
    main()
