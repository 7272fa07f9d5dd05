# SPDX-License-Identifier: Apache-2.0
"""
Who serves TLS in perf/run tls: tandem-control, Kamailio and a bare server by OpenSSL, all in one
namespace, by its loopback, on the measured CPU; and their clients, on the other one.
"""
import os
import select
import signal
from pathlib import Path

from lab import Lab
from lab.base import wait_for
from lab.certificates import Authority
from lab.net import namespace_pids

import machine
import tandem

TEMPLATE = Path(__file__).with_name("tls.cfg")
PORTS = {"ecdsa": 5061, "rsa": 5062}
BARE_PORTS = {"ecdsa": 6061, "rsa": 6062}
KAMAILIO_TLS, KAMAILIO_UDP = 7061, 7064
KAMAILIOS = 5              # its processes: main, UDP, timers, TCP's main, TCP
SINKS = 3
SINK_PORTS = {"Tandem": 5060, "Kamailio": 5080}
PHONES = "198.18.0.0/15"
LAST_SECONDS = 0.05        # what a server does yet about clients that hung up
SILENCE_SECONDS = 30


class Client:
    """A program of perf/tls that works while it is told to; by whom it is served it does not know."""

    def __init__(self, lab, name, *words):
        self.name = name
        self.log = lab.dir / f"{name}-{lab.next_number()}.log"
        argv = ["ip", "netns", "exec", lab.namespace("appliance"), lab.build / "perf" / name, *words]
        with open(self.log, "w", encoding="utf-8") as log:
            self.child = machine.start_pinned(argv, machine.service_cpu(), stderr=log)
        self._answer("ready")

    def _answer(self, word):
        ready, _, _ = select.select([self.child.stdout], [], [], SILENCE_SECONDS)
        words = self.child.stdout.readline().split() if ready else []
        machine.need(words[:1] == [word], f"{self.name}: {self.log.read_text()[:4000] or 'silent'}")
        return [int(number) for number in words[1:]]

    def run(self, seconds):
        """The numbers that it says it did."""
        self.child.stdin.write(f"run {seconds}\n")
        self.child.stdin.flush()
        return self._answer("done")

    def close(self):
        self.child.stdin.close()
        self.child.wait(10)


class Serving:
    """One server's processes: what they take of the CPU while a client is served."""

    def __init__(self, name, pids):
        self.name, self.pids = name, pids

    def cpu_seconds(self):
        return sum(machine.cpu_seconds(pid) for pid in self.pids)

    def turn(self, client, seconds):
        """(CPU seconds, the client's numbers)."""
        began = self.cpu_seconds()
        numbers = client.run(seconds)
        machine.sleep_of(LAST_SECONDS)()
        return self.cpu_seconds() - began, numbers


class Edge(Lab):
    """
    Tandem with two listeners of TLS, whose certificates are of P-256 and of RSA-2048; its data plane
    stands still, as nothing here comes by it. Others can be started beside it.
    """

    def __init__(self, bench):
        super().__init__(driver="null", backends=0, build=bench.build, config_text="")
        self.bench = bench
        authority = Authority(self.dir, "root")
        self.certificates = {kind: authority.issue(kind, ["DNS:example.net", f"IP:{tandem.VIP}"],
                                                   kind) for kind in PORTS}
        self.config = tandem.configuration(self.dir, backends=SINKS, ports=[
            {"name": "sink", "driver": "null", "tap": "tandem1", "zone": "inside",
             "addresses": [f"{tandem.INSIDE}/16", f"{tandem.VIP}/32"]}])
        self.config["services"][0]["listen"] += [
            {"transport": "tls", "address": tandem.VIP, "port": port,
             "certificates": [dict(zip(("cert", "key"), map(str, self.certificates[kind])))]}
            for kind, port in PORTS.items()]
        self.config["control"]["streams"] = {"threads": 1}
        self.write_config()

    def _default_config(self):
        return None

    def _wire(self):
        """Phones and backends are addresses of its loopback."""
        net = self.net
        net.add("appliance")
        net.ip("appliance", "route", "add", "local", PHONES, "dev", "lo")
        for number in range(SINKS):
            net.address("appliance", f"{tandem.backend_address(number)}/32", "lo")

    def start(self):
        super().start()
        self.dataplane.process.signal(signal.SIGSTOP)
        wait_for(lambda: self._listens(PORTS["rsa"]), 20, "control to listen")
        pin(self.control.pid)
        return self

    def stop(self):
        if self.dataplane and self.dataplane.running():
            self.dataplane.process.signal(signal.SIGCONT)
        super().stop()

    def _listens(self, port):
        listening = self.net.shell("appliance", "cat /proc/net/tcp").stdout
        return f":{port:04X} 00000000:0000 0A" in listening

    def serving(self):
        return Serving("Tandem", [self.control.pid])

    def start_bare(self, kind):
        process = self.popen("appliance", "taskset", "-c", machine.measured_cpu(),
                             self.build / "perf/perf-tls-bare", tandem.VIP, BARE_PORTS[kind],
                             *self.certificates[kind], name=f"bare-{kind}")
        wait_for(lambda: self._listens(BARE_PORTS[kind]), 10, "the bare server to listen")
        return Serving("bare", [process.pid])

    def start_kamailio(self):
        (self.dir / "dispatcher.list").write_text("".join(
            f"1 sip:{sink}\n" for sink in self.sinks("Kamailio")))
        path, text = self.dir / "kamailio.cfg", TEMPLATE.read_text()
        certificate, key = self.certificates["ecdsa"]
        for word, value in (("VIP", tandem.VIP), ("INSIDE", tandem.INSIDE), ("DIR", self.dir),
                            ("TLS_PORT", KAMAILIO_TLS), ("UDP_PORT", KAMAILIO_UDP),
                            ("CERTIFICATE", certificate), ("KEY", key)):
            text = text.replace(f"@{word}@", str(value))
        path.write_text(text)
        self.popen("appliance", "taskset", "-c", machine.measured_cpu(), "kamailio", "-DD", "-E",
                   "-f", path, "-Y", self.dir, "-P", self.dir / "pid", "-w", self.dir,
                   name="kamailio")
        wait_for(lambda: self._listens(KAMAILIO_TLS) and len(self._kamailios()) >= KAMAILIOS, 20,
                 "Kamailio to listen")
        return Serving("Kamailio", self._kamailios())

    def _kamailios(self):
        return [pid for pid in namespace_pids(self.namespace("appliance"))
                if Path(f"/proc/{pid}/comm").read_text().strip() == "kamailio"]

    @staticmethod
    def sinks(name):
        """Where the backends of a server answer."""
        return [f"{tandem.backend_address(number)}:{SINK_PORTS[name]}" for number in range(SINKS)]

    def counted(self):
        """What control counted of its streams: {name: number}."""
        return self.ctl("show", "connections", json=True)["counters"]


def pin(pid):
    """All threads of a process on the measured CPU."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {machine.measured_cpu()})
