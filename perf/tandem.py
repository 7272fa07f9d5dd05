# SPDX-License-Identifier: Apache-2.0
"""
Tandem as it is measured: its configuration, the messages that perf-messages makes for it (under the
secret that lies beside the configuration, so that their signatures verify), and its daemons in a
namespace of their own, whose data plane plays a file of messages against a sink.
"""
import signal
from dataclasses import dataclass
from pathlib import Path

from lab import Lab, yaml
from lab.base import LabError, run, wait_for

import machine

VIP, INSIDE = "192.0.2.10", "10.0.0.1"
GATEWAY = "10.0.255.254"   # behind which all phones are
SEED = 1


def backend_address(number):
    """Of backend number 0 and on, up to 10,000."""
    number += 256
    return f"10.0.{number // 256}.{number % 256}"


def configuration(directory, backends=3, ports=None, **dataplane):
    """A configuration as a dict; all its files are in the directory."""
    return {
        "node": "perf",
        "node_address": INSIDE,
        "dataplane": {"workers": [machine.measured_cpu()], "memory": "256MiB",
                      "hugepages": "auto", "call_table": 1000000,
                      "socket": str(directory / "dataplane.sock"),
                      "ports": ports or [{"name": "sink", "driver": "null", "zone": "inside",
                                          "addresses": [f"{INSIDE}/16", f"{VIP}/32"]}],
                      **dataplane},
        "secret_file": str(directory / "secret"),
        "services": [{"name": "calls", "mode": "proxy", "pool": "proxies",
                      "listen": [{"transport": "udp", "address": VIP, "port": 5060}],
                      "domains": ["example.net"]}],
        "pools": [{"name": "proxies", "key": "call-id",
                   "backends": [{"name": f"backend{number}", "address": backend_address(number),
                                 "port": 5060, "weight": 100} for number in range(backends)]}],
        "control": {"socket": str(directory / "control.sock"),
                    "state_dir": str(directory / "state")},
    }


def write_config(directory, **more):
    """A configuration as a file; its path. The secret will be beside it."""
    path = directory / "tandem.yaml"
    path.write_text(yaml.emit(configuration(directory, **more)))
    return path


@dataclass
class Made:
    """What perf-messages made: {kind: (count, shortest, mean, longest)}."""
    kinds: dict

    @property
    def count(self):
        return sum(kind[0] for kind in self.kinds.values())

    @property
    def mean_bytes(self):
        return sum(kind[0] * kind[2] for kind in self.kinds.values()) / self.count

    def describe(self):
        shortest = min(kind[1] for kind in self.kinds.values())
        longest = max(kind[3] for kind in self.kinds.values())
        return f"{self.count:,} distinct messages of {shortest} to {longest:,} bytes"


def make_messages(bench, config, count, kind, pcap):
    """Writes a file of `count` messages of a kind of perf-messages, or `mix`, for a configuration
    file."""
    done = run(bench.build / "perf/perf-messages", config, config.with_name("secret"), count, SEED,
               kind, pcap)
    lines = (line.split() for line in done.stdout.splitlines())
    made = Made({words[0]: tuple(float(word) if number == 2 else int(word)
                                 for number, word in enumerate(words[1:])) for words in lines})
    machine.need(made.count == count, f"perf-messages made {made.count} messages of {count}")
    return made


# What becomes of a message besides being sent on; none of these may change while it is measured.
LOST = ("replied", "dropped", "punted", "sip_tx_drop", "sip_mtu_drop", "sip_no_route", "sip_held")
SETTLED = 200000          # messages without a loss: several laps
IN_FLIGHT = 128            # messages between two counters when a worker is stopped anywhere


def introduce(namespace, device, addresses):
    """Tells a namespace's kernel the MAC addresses of who is behind a device, another one each. Not as
    permanent ones: a question of the data plane's that is under way (NTF_USE) would undo that."""
    run("ip", "-n", namespace, "-batch", "-", input="".join(
        f"neigh replace {address} lladdr 02:00:00:00:{at // 256:02x}:{at % 256:02x} "
        f"dev {device} nud noarp\n" for at, address in enumerate(addresses, 1)))


@dataclass
class Laps:
    """So many messages are a lap; after so many laps the Call-IDs begin anew."""
    bench: object
    messages: int
    laps: int

    def environment(self):
        return {"LD_PRELOAD": self.bench.build / "perf/libperf-laps.so",
                "PERF_LAP_MESSAGES": self.messages, "PERF_LAPS": self.laps}


class Played(Lab):
    """
    Tandem alone in a namespace; with `laps` (Laps) Call-IDs change. One port plays `pcap` again and again, where the frames of phones
    and backends come from; the other is a sink, through which its routes lead. Everybody's MAC
    address is known. stop() of a turn freezes the data plane, so that somebody else can have its
    CPU and counters stand still.
    """

    def __init__(self, bench, pcap, memory="1280MiB", laps=None, **more):
        super().__init__(driver="pcap", backends=0, build=bench.build, config_text="")
        self.bench, self.pcap, self.laps = bench, pcap, laps
        self.config = configuration(self.dir, memory=memory, ports=self._ports(), **more)
        self.write_config()

    def _ports(self):
        return [
            {"name": "players", "driver": "pcap", "device": f"{self.pcap},infinite_rx=1",
             "zone": "inside"},
            {"name": "sink", "driver": "null", "tap": "tandem1", "zone": "inside",
             "addresses": [f"{INSIDE}/16", f"{VIP}/32"], "gateway": GATEWAY}]

    def _default_config(self):
        return None

    def _wire(self):
        self.net.add("appliance")

    def make_messages(self, count, kind="mix"):
        return make_messages(self.bench, self.config_path, count, kind, self.pcap)

    def start(self):
        if self.laps:
            self.build = self._with_laps()
        super().start()
        self._introduce()
        self._wait_forwarding()
        self.freeze()
        return self

    def _with_laps(self):
        """A build directory whose data plane changes Call-IDs in each lap (perf/laps)."""
        build = self.dir / "build"
        (build / "dataplane").mkdir(parents=True)
        (build / "control").symlink_to(self.bench.build / "control")
        program = build / "dataplane/tandem-dataplane"
        words = " ".join(f"{key}={value}" for key, value in self.laps.environment().items())
        program.write_text(f'#!/bin/sh\nexec env {words} '
                           f'{self.bench.build}/dataplane/tandem-dataplane "$@"\n')
        program.chmod(0o755)
        return build

    def read(self):
        """The counters; they stand still while the data plane does."""
        return self.stats()["counters"]

    def _introduce(self):
        """Tells the kernel everybody's MAC address."""
        addresses = [GATEWAY] + [backend["address"] for pool in self.config["pools"]
                                 for backend in pool["backends"]]
        introduce(self.namespace("appliance"), "tandem1", addresses)

    def _wait_forwarding(self):
        """Until nothing else happened for a while than that messages were forwarded."""
        before = self.read()

        def settled():
            nonlocal before
            now = self.read()
            if self._lost(before, now):
                before = now
            return now["sip_tx"] - before["sip_tx"] > SETTLED
        try:
            wait_for(settled, 20, "Tandem to forward every message")
        except LabError as error:
            now = self.read()
            raise LabError(f"{error}: {({k: v for k, v in now.items() if v})}") from None

    @staticmethod
    def _lost(before, after):
        changed = {name: after[name] - before[name] for name in LOST}
        changed.update({name: after[name] - before[name] for name in after
                        if name.startswith(("drop_frame_", "drop_fragment_"))})
        return {name: number for name, number in changed.items() if number}

    def _state(self):
        return Path(f"/proc/{self.dataplane.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def freeze(self):
        self.dataplane.process.signal(signal.SIGSTOP)
        wait_for(lambda: self._state() == "T", 5, "the data plane to stand still")

    def thaw(self):
        self.dataplane.process.signal(signal.SIGCONT)

    def stop(self):
        if self.dataplane and self.dataplane.running():
            self.thaw()
        super().stop()

    def count_stages(self, on):
        """Whether its workers count the cycles of each stage."""
        self.thaw()
        self.ctl("stages", "on" if on else "off", json=True)
        self.freeze()

    def cpu_seconds(self):
        """The CPU time that a turn is measured by."""
        return machine.cpu_seconds(self.dataplane.pid)

    def turn(self, sleep):
        """Lets it run while sleep() does; nanoseconds of CPU a message. Every message must have
        been forwarded."""
        before, began = self.read(), self.cpu_seconds()
        self.thaw()
        sleep()
        self.freeze()
        after, ended = self.read(), self.cpu_seconds()
        changed = {name: after[name] - before[name] for name in after}
        machine.need(not self._lost(before, after), f"not forwarded: {self._lost(before, after)}")
        machine.need(changed["messages"] > 1000 and abs(
            changed["rx_frames"] - changed["sip_tx"]) <= IN_FLIGHT,
            f"{changed['rx_frames']} frames came, {changed['sip_tx']} messages left")
        self.last = changed
        return (ended - began) * 1e9 / changed["sip_tx"]
