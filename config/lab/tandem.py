# SPDX-License-Identifier: Apache-2.0
"""A node's two daemons and tandemctl, run from a build directory."""
import json
import os
import re
import signal

from .base import LabError, Process, on_service_cpu, run, wait_for

READY = re.compile(r"^ready$", re.MULTILINE)     # control's own word


class Daemon:
    """What node.dataplane and node.control have in common."""

    def __init__(self, node, kind, pinned):
        program = f"tandem-{kind}"
        self.node = node
        self.name = program if node is node.lab else f"{program} of {node.name}"
        self.process = Process(self.name, [node.lab.program(kind), node.config_path],
                               node.dir / f"{program}.log", node.lab.namespace(node.appliance),
                               pinned=pinned)
        node.lab.processes.append(self.process)

    def _wait_started(self):
        raise NotImplementedError

    def start(self, wait=True):
        self.process.start()
        if wait:
            self._wait_started()

    def stop(self, timeout=10):
        """SIGTERM; returns the exit status. It is killed after timeout, which fails a test."""
        return self.process.stop(timeout)

    def kill9(self):
        self.process.kill9()

    def restart(self):
        """stop and start, waiting for both."""
        self.stop()
        self.start()

    def running(self):
        return self.process.running()

    @property
    def pid(self):
        return self.process.pid

    def log(self, whole=False):
        """What it logged since its last start, or since the laboratory's."""
        return self.process.log(whole)


class Dataplane(Daemon):
    """tandem-dataplane in a node's namespace; its workers choose their own CPUs."""

    def __init__(self, node):
        super().__init__(node, "dataplane", False)
        self._old_socket = None

    def _socket(self):
        try:
            found = os.stat(self.node.dataplane_socket)
            return found.st_ino, found.st_ctime_ns
        except FileNotFoundError:
            return None

    def start(self, wait=True):
        """wait: until its socket is there. A socket file that a killed one left is left to it."""
        self._old_socket = self._socket()
        super().start(wait)

    def _wait_started(self):
        def there():
            if not self.process.running():
                raise LabError(f"{self.name} ended with status {self.process.status}:\n"
                               f"{self.process.tail(30)}")
            return self._socket() not in (None, self._old_socket)
        wait_for(there, 30, f"{self.name} to listen on {self.node.dataplane_socket}")


class Control(Daemon):
    """tandem-control in a node's namespace."""

    def __init__(self, node):
        super().__init__(node, "control", True)

    def _wait_started(self):
        self.process.wait_line(r"\bready\b", 30)

    def hangup(self):
        """SIGHUP: reload."""
        self.process.signal(signal.SIGHUP)

    def replace(self, wait=True):
        """SIGUSR2: the program on disk takes its place. wait: until that is ready."""
        before = len(READY.findall(self.log()))
        self.process.signal(signal.SIGUSR2)
        if wait:
            wait_for(lambda: not self.running() or len(READY.findall(self.log())) > before, 30,
                     f"a successor of {self.name} to be ready")

    def check(self, path):
        """--check FILE: CompletedProcess."""
        return run(self.node.lab.build / "control/tandem-control", "--check", path, check=False)


def ctl(node, *args, as_json=False, timeout=30):
    """tandemctl ARGS: (status, stdout, stderr), or with as_json the parsed output of --json."""
    argv = [node.lab.build / "control/tandemctl", "--socket", node.control_socket, *args]
    if as_json:
        argv.append("--json")
    done = run(*on_service_cpu(argv), check=False, timeout=timeout)
    if not as_json:
        return done.returncode, done.stdout, done.stderr
    if done.returncode != 0:
        raise LabError(f"tandemctl {' '.join(args)}: status {done.returncode}: "
                       f"{done.stderr.strip()}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise LabError(f"tandemctl {' '.join(args)}: {error}: {done.stdout[:200]!r}") from None
