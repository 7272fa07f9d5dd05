# SPDX-License-Identifier: Apache-2.0
"""What every part of the laboratory uses: its error, waiting for events, and child processes."""
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class LabError(Exception):
    """The laboratory, or what runs in it, did not do what was asked."""


def wait_for(condition, timeout, what):
    """
    Calls condition() every 20 ms until it returns something true, which is returned.
    Raises LabError("... what") after timeout seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def no_autogroups():
    """Tasks share CPUs as tasks, by their nice values, and not as sessions. With these, where polling
    workers left no CPU free, the sessions of others got nothing for minutes (Linux 6.18)."""
    setting = Path("/proc/sys/kernel/sched_autogroup_enabled")
    before = setting.read_text() if setting.exists() else None
    try:
        if before is not None:
            setting.write_text("0")
        yield
    finally:
        if before is not None:
            setting.write_text(before)


def run(*argv, check=True, timeout=60, **more):
    """Runs a command to its end; CompletedProcess with text. LabError when it fails and check."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL if "input" not in more else None, **more)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit status {done.returncode}: "
                       f"{(done.stderr or done.stdout).strip()}")
    return done


def service_cpus():
    """The CPU list for everything that is not a worker of the data plane."""
    cpus = sorted(os.sched_getaffinity(0))
    return str(cpus[0]) if len(cpus) > 1 else None


def on_service_cpu(argv):
    """argv, bound to the CPU that the workers do not use (where there are two)."""
    cpus = service_cpus()
    return ["taskset", "-c", cpus, *argv] if cpus else list(argv)


class Process:
    """
    A child in a namespace, the head of a process group of its own, its output in a log file that
    is appended to over restarts.
    """

    def __init__(self, name, argv, log, namespace=None, pinned=True, cwd=None, env=None):
        self.name = name
        self.log_path = Path(log)
        self.argv = [str(word) for word in argv]
        if pinned:
            self.argv = on_service_cpu(self.argv)
        if namespace:
            self.argv = ["ip", "netns", "exec", namespace, *self.argv]
        self.cwd = cwd
        self.env = env
        self.child = None
        self.log_start = 0

    def start(self):
        """Starts it; LabError when it runs already."""
        if self.running():
            raise LabError(f"{self.name} runs already")
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, start_new_session=True, cwd=self.cwd,
                                          env=self.env)
        return self

    @property
    def pid(self):
        return self.child.pid if self.child else None

    @property
    def status(self):
        """Exit status, negative for a signal; None while it runs."""
        return self.child.poll() if self.child else None

    def running(self):
        return self.child is not None and self.child.poll() is None

    def log(self, whole=False):
        """What it wrote since its last start, or all of it."""
        try:
            with open(self.log_path, "rb") as log:
                log.seek(0 if whole else self.log_start)
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def tail(self, lines=15):
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_line(self, pattern, timeout):
        """Waits until a line that it wrote since its start matches; returns the match."""
        regex = re.compile(pattern, re.MULTILINE)

        def found():
            match = regex.search(self.log())
            if not match and not self.running():
                raise LabError(f"{self.name} ended with status {self.status}:\n{self.tail()}")
            return match

        try:
            return wait_for(found, timeout, f"/{pattern}/ from {self.name}")
        except LabError as error:
            raise LabError(f"{error}\n{self.tail()}") from None

    def wait(self, timeout):
        """Waits for its end; returns the exit status. LabError when it still runs then."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {timeout:g} s") from None

    def signal(self, number):
        """A signal to the process alone."""
        if self.running():
            os.kill(self.child.pid, number)

    def _signal_group(self, number):
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, timeout=10):
        """SIGTERM, then SIGKILL to its group after timeout; returns the exit status."""
        if self.child is None:
            return None
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self._signal_group(signal.SIGKILL)
        return self.child.wait()

    def kill9(self):
        """SIGKILL to the whole group, at once."""
        if self.child is not None:
            self._signal_group(signal.SIGKILL)
            self.child.wait()
