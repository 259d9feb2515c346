"""A plain subprocess in place of the lab's spawner, for tests of parts that only need a child."""

import os
import signal
import subprocess


class Child:
    def __init__(self, popen):
        self._popen = popen
        self.pid = popen.pid

    def alive(self):
        return self._popen.poll() is None

    def kill(self):
        self._popen.kill()
        self._popen.wait()

    def signal_tree(self, signum):
        os.kill(self.pid, signal.Signals(signum))

    def wait(self, timeout_s):
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


def spawn(argv, *, env, cwd, log, as_server_user=False):
    with log.open("ab") as out:
        return Child(subprocess.Popen(argv, env=env, cwd=cwd, stdout=out, stderr=subprocess.STDOUT))
