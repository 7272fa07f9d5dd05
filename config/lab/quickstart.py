# SPDX-License-Identifier: Apache-2.0
"""
The part of config/quickstart that comes after installing and building: a laboratory with
config/examples/quickstart.yaml, real calls, a table.
"""
import argparse
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lab import Lab, LabError                                   # noqa: E402
from lab import report                                          # noqa: E402
from lab.base import ROOT                                       # noqa: E402

EXAMPLE = ROOT / "config/examples/quickstart.yaml"
PYTHON = "/usr/bin/python3"
USERS = 100                    # of each kind of callee
HOLD_MS = 500                  # how long a call lasts once answered
PROBES, PROBE_INTERVAL_MS = 300, 10


def say(text):
    print(f"== {text}", flush=True)


def options():
    parser = argparse.ArgumentParser(
        prog="config/quickstart",
        description="Installs, builds, and places real calls through Tandem to three Kamailios.")
    parser.add_argument("--calls", type=int, default=1000, metavar="N",
                        help="calls to place (%(default)s)")
    parser.add_argument("--rate", type=int, default=100, metavar="CPS",
                        help="calls a second (%(default)s)")
    parser.add_argument("--driver", choices=("af_packet", "af_xdp"), default="af_packet",
                        help="how the data plane reaches its ports (%(default)s)")
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running; says how to look at it and how to stop it")
    chosen = parser.parse_args()
    if chosen.calls < 1 or chosen.rate < 1:
        parser.error("--calls and --rate are at least 1")
    return chosen


def configuration(driver):
    return EXAMPLE.read_text(encoding="utf-8").replace("driver: af_packet", f"driver: {driver}")


def weights(text):
    """Backend → weight, as the example's one-line entries say."""
    return {name: int(weight) for name, weight in
            re.findall(r"\{name: (\w+),[^}]*weight: (\d+)\}", text)}


class Calls:
    """Two kinds of callees, and callers for both: in one half the caller hangs up, in the other
    the callee."""

    def __init__(self, lab, calls, rate):
        self.lab, self.calls, self.rate = lab, calls, rate
        self.clients, self.servers = [], []

    def register(self):
        self.users = {kind: [f"{kind}{number:03}" for number in range(USERS)]
                      for kind in ("alice", "bob")}
        self.lab.register("callee", self.users["alice"], port=5070)
        self.lab.register("callee", self.users["bob"], port=5080)

    def start(self):
        lab = self.lab
        self.servers = [lab.sipp("callee", "uas", port=5070),
                        lab.sipp("callee", "uas_bye", port=5080, hold_ms=HOLD_MS)]
        plan = (("uac", "alice", 5060, self.calls - self.calls // 2),
                ("uac_wait_bye", "bob", 5062, self.calls // 2))
        for scenario, kind, port, share in plan:
            if share:
                # Half of the rate each: `rate` in two seconds.
                self.clients.append(lab.sipp("caller", scenario, calls=share, rate=self.rate,
                                             users=self.users[kind], port=port, hold_ms=HOLD_MS,
                                             extra=["-rp", "2000"]))

    def watch(self):
        """Shows how far it is until the callers have ended."""
        terminal = sys.stdout.isatty()
        deadline = time.monotonic() + self.calls / self.rate + 120
        shown = 0.0
        while any(client.process.running() for client in self.clients):
            if time.monotonic() > deadline:
                raise LabError("the calls do not end")
            time.sleep(0.2)
            if time.monotonic() - shown >= (0.5 if terminal else 2):
                shown = time.monotonic()
                placed, answered, failed = self.totals()
                line = f"   {placed} of {self.calls} placed, {answered} over, {failed} failed"
                print(f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n",
                      flush=True)
        if terminal:
            print("\r\033[K", end="")

    def finish(self):
        for server in self.servers:
            server.finish()

    def totals(self):
        """(placed, answered and ended well, failed at either end)"""
        mine = [client.result() for client in self.clients]
        theirs = [server.result() for server in self.servers]
        failed = max(sum(result.failed for result in mine), sum(result.failed for result in theirs))
        placed = sum(result.created for result in mine)
        return placed, min(placed, sum(result.successful for result in mine)), failed

    def retransmissions(self):
        return sum(phone.result().retransmissions for phone in self.clients + self.servers)

    def errors(self):
        return "\n".join(filter(None, (phone.errors() for phone in self.clients + self.servers)))

    def seen(self):
        """Backend → the set of our calls' Call-IDs in its log."""
        return {name: {call for call in backend.calls_seen() if call.endswith("@caller")}
                for name, backend in self.lab.backends.items()}


def measure_latency(lab):
    """The two probes at once; (through, direct) as latency.py prints them."""
    lab.host("inside", "10.0.0.50", side="inside")
    program = str(Path(__file__).with_name("latency.py"))
    common = (str(PROBES), str(PROBE_INTERVAL_MS), lab.domain)
    direct_to = [backend.address for backend in lab.backends.values()]
    probes = [lab.popen("caller", PYTHON, program, "192.0.2.21", *common, lab.vip),
              lab.popen("inside", PYTHON, program, "10.0.0.50", *common, *direct_to)]
    found = []
    for probe in probes:
        if probe.wait(60) != 0:
            raise LabError(f"latency.py: {probe.tail()}")
        found.append(json.loads(probe.log().splitlines()[-1]))
    return found


def how_to_look(lab):
    ctl = f"build/control/tandemctl --socket {lab.control_socket}"
    return ["It keeps running. To look at it:",
            f"  {ctl} show backends",
            f"  {ctl} show stats",
            f"  {ctl} why CALL-ID",
            f"  ip netns exec {lab.namespace('callee')} tcpdump -ni eth0 udp port 5060",
            f"  ls {lab.dir}",
            f"To stop it and remove all of it:  kill {os.getpid()}"]


def where_next():
    return ["Where to look next",
            "  config/quickstart --keep          the same, left running, and how to look inside",
            "  config/examples/quickstart.yaml   what it ran with; pci.yaml: on a real card",
            "  README.md                         how a message travels, and what can be configured"]


def place_calls(lab, chosen, expected):
    """Everything between the start and the end of the laboratory; returns the exit status."""
    calls = Calls(lab, chosen.calls, chosen.rate)
    say(f"{2 * USERS} phones register through {lab.vip}")
    calls.register()
    say(f"{chosen.calls} calls at {chosen.rate} a second; half are ended by the caller, "
        "half by the callee")
    calls.start()
    calls.watch()
    calls.finish()
    placed, answered, failed = calls.totals()
    failed = max(failed, chosen.calls - answered)
    stats = lab.stats()
    say(f"{2 * PROBES} round trips")
    through, direct = measure_latency(lab)
    by_backend, split = report.calls_by_backend(calls.seen(), expected)
    if failed:
        lab.keep_dir = True
        print(f"\nFirst things the phones complained about (logs are in {lab.dir}):\n"
              f"{calls.errors()}")
    for lines in (by_backend, report.verdicts(stats), report.latency(through, direct),
                  [f"Messages that the phones had to send again: {calls.retransmissions()}"],
                  how_to_look(lab) if chosen.keep else where_next()):
        print("", *lines, sep="\n")
    print(f"\ncalls: {placed} placed, {answered} answered, {failed} failed", flush=True)
    return 0 if failed == 0 and placed == chosen.calls and split == 0 else 1


def run(chosen, done):
    """One quickstart; calls done(status) when the result is known, then keeps it if asked to."""
    text = configuration(chosen.driver)
    say(f"namespaces, {len(weights(text))} Kamailio backends, tandem-dataplane on "
        f"{chosen.driver}, tandem-control")
    status = 1
    try:
        with Lab(driver=chosen.driver, config_text=text) as lab:
            status = place_calls(lab, chosen, weights(text))
            if chosen.keep:
                done(status)
                signal.pause()               # the laboratory makes SIGTERM and SIGINT an exit
    except LabError as error:
        print(f"config/quickstart: {error}", file=sys.stderr, flush=True)
        status = 1
    done(status)


def run_behind(chosen):
    """For --keep: the laboratory in a process of its own, which outlives this one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()

        def done(status):
            """Tells the result, once, and lets go of the terminal."""
            nonlocal writer
            if writer is None:
                return
            os.write(writer, bytes([status]))
            os.close(writer)
            writer = None
            sys.stdout.flush()
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)

        run(chosen, done)
        os._exit(0)
    os.close(writer)

    def leave(number, frame):
        os.kill(child, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    answer = os.read(reader, 1)
    return answer[0] if answer else 1


def main():
    chosen = options()
    if chosen.keep:
        return run_behind(chosen)
    statuses = []
    run(chosen, statuses.append)
    return statuses[-1]


if __name__ == "__main__":
    sys.exit(main())
