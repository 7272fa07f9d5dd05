# SPDX-License-Identifier: Apache-2.0
"""SIPp as caller and callee: its command line, its statistics."""
import csv
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from .base import LabError, Process, wait_for

SCENARIOS = Path(__file__).with_name("scenarios")


@dataclass
class Result:
    """What SIPp counted when it ended (or so far)."""
    created: int = 0
    successful: int = 0
    failed: int = 0
    retransmissions: int = 0
    current: int = 0
    unexpected: int = 0
    status: int | None = None


class Sipp:
    """
    One SIPp in a namespace. Made by lab.sipp(). A client (calls=N) ends by itself: wait(). A
    server (calls=None) runs until finish().
    """

    def __init__(self, lab, host, scenario, *, calls=None, rate=10, hold_ms=0, port=5060,
                 users=None, target=None, address=None, limit=None, keys=None, extra=(),
                 call_id=None, timeout=None, transport="u1"):
        self.lab = lab
        self.host = host
        self.calls = calls
        self.port = port
        number = lab.next_number()
        path = Path(scenario)
        if path.suffix != ".xml":
            path = SCENARIOS / f"{scenario}.xml"
        self.name = f"sipp-{host.name}-{path.stem}-{number}"
        self.dir = lab.dir
        self.stat_path = lab.dir / f"{self.name}.csv"
        self.errors_path = lab.dir / f"{self.name}.errors"
        self.users = list(users) if users is not None else None
        address = address or host.address
        target = target or (lab.vip6 if ":" in address else lab.vip)
        if target.count(":") > 1 and not target.startswith("["):
            target = f"[{target}]"
        if not target.rpartition("]")[2].count(":"):
            target += ":5060"
        argv = ["sipp", target, "-sf", path, "-i", address, "-p", port, "-t", transport, "-nostdin",
                "-trace_stat", "-stf", self.stat_path, "-fd", "500ms",
                "-trace_err", "-error_file", self.errors_path,
                "-trace_screen", "-screen_file", lab.dir / f"{self.name}.screen",
                "-cid_str", call_id or f"%u-{number}-{os.getpid()}@{host.name}",
                # Late retransmissions of a call that is over are no error for this long.
                "-deadcall_wait", "10000", "-d", hold_ms,
                "-key", "domain", lab.domain,
                # A busy machine is not the product's failure.
                "-watchdog_interval", "0"]
        if transport != "u1":
            argv += ["-max_socket", 1000]         # the default is more than may be opened
        if calls is not None:
            argv += ["-m", calls, "-r", rate, "-l", limit or max(3000, int(40 * rate))]
        if timeout:
            argv += ["-timeout", f"{timeout}s", "-timeout_error"]
        if self.users is not None:
            argv += ["-inf", self._write_users(path.stem.endswith("_auth"))]
        for key, value in (keys or {}).items():
            argv += ["-key", key, value]
        self.process = Process(self.name, [*argv, *extra], lab.dir / f"{self.name}.log",
                               host.namespace, cwd=lab.dir,
                               env={**os.environ, "TERM": "dumb"})
        lab.processes.append(self.process)
        self.process.start()
        if calls is None:
            self._wait_bound()

    def _write_users(self, credentials):
        """For scenarios *_auth one more field: the credentials of the user in the last one."""
        path = self.dir / f"{self.name}.users"
        with open(path, "w", encoding="ascii") as file:
            file.write("SEQUENTIAL\n")
            for user in self.users:
                fields = list(user) if isinstance(user, (tuple, list)) else [user]
                if credentials:
                    fields.append(f"[authentication username={fields[-1]} password=secret]")
                file.write(";".join(str(field) for field in fields) + "\n")
        return path

    def _wait_bound(self):
        """A server is there when its port is: read from /proc/<pid>/net, its namespace's."""
        wanted = f":{self.port:04X} "

        def bound():
            if not self.process.running():
                raise LabError(f"{self.name} ended: {self.errors()}\n{self.process.tail()}")
            for table in ("udp", "udp6", "tcp", "tcp6"):
                try:
                    with open(f"/proc/{self.process.pid}/net/{table}", encoding="ascii") as file:
                        if any(wanted in line[:60] for line in file):
                            return True
                except OSError:
                    pass
            return False

        wait_for(bound, 10, f"{self.name} to listen on {self.port}")

    def result(self):
        """Result from its statistics so far."""
        result = Result(status=self.process.status)
        try:
            with open(self.stat_path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        except FileNotFoundError:
            return result
        if not rows:
            return result
        last = rows[-1]

        def number(field):
            return int(last.get(field) or 0)

        result.created = number("TotalCallCreated")
        result.successful = number("SuccessfulCall(C)")
        result.failed = number("FailedCall(C)")
        result.retransmissions = number("Retransmissions(C)")
        result.current = number("CurrentCall")
        result.unexpected = number("FailedUnexpectedMessage(C)")
        return result

    def errors(self, lines=20):
        """The first lines of what it said about unexpected messages."""
        try:
            text = self.errors_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[:lines])

    def wait(self, timeout=None):
        """Waits for the end of a client; Result. LabError when it takes longer than timeout."""
        try:
            self.process.wait(timeout or 600)
        except LabError as error:
            raise LabError(f"{error} {self.result()}\n{self.errors()}") from None
        return self.result()

    def finish(self, timeout=15):
        """Ends a server once its calls in progress are over (or timeout passes); Result."""
        if self.process.running():
            self.process.signal(signal.SIGUSR1)      # no more calls, end when none is left
            try:
                self.process.wait(timeout)
            except LabError:
                self.process.stop(2)
        return self.result()

    def stop(self):
        """Ends it at once; Result."""
        self.process.stop(2)
        return self.result()
