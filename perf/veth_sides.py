# SPDX-License-Identifier: Apache-2.0
"""
Balancers between two wires, and a burst generator (perf/burst) at the other ends of both:

    generator                          appliance
      gen0 (phones)   ──── veth ────   port0   192.0.2.10
      gen1 (backends) ──── veth ────   port1   10.0.0.1

Each side of a comparison has namespaces, a generator and wires of its own, and is at work only in
its turns. Where CPU time is counted the kernel is steered: what it does for the generator's
interfaces is done on the first CPU, what it does for the balancer's on the last one: by threads of
the kernel's (threaded NAPI), which are pinned there, or, where the balancer's frames do not go that
way, by RPS.
"""
import os
import signal
from pathlib import Path

import machine
import tandem
import xdp
from lab import Lab
from lab.base import wait_for
from lab.net import namespace_pids

MESSAGES = 8192
TEMPLATE = Path(__file__).with_name("veth.cfg")
# Cheaper here than AF_XDP, whose work for received frames is done in a thread besides.
GENERATOR = "net_af_packet,blocksz=4096,framesz=2048,framecnt=4096,qdisc_bypass=1"
OUTSIDE_GATEWAY = "192.0.2.1"
DISPATCHER_CHILDREN = 1
LAST_WAIT_SECONDS = 30


def kernel_threads(prefix):
    """Process ids of the kernel's threads whose names begin so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith(prefix):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


class Side(Lab):
    """What Tandem and Kamailio have in common."""

    mode = ""              # of the generator's checks
    window = 0             # messages on their way at once when it is saturated

    def __init__(self, bench, driver, with_tandem):
        super().__init__(driver=driver, backends=0, build=bench.build, config_text="",
                         tandem=with_tandem, workers=[machine.measured_cpu()])
        self.bench, self.generator = bench, None
        self.pcap = self.dir / "mix.pcap"
        self.config = tandem.configuration(self.dir, ports=self._ports())
        self.counted = []  # kernel threads that work for it
        self.dropped = {}  # in its last turn, by the names of its counters, if it has some
        self.write_config()

    @property
    def label(self):
        raise NotImplementedError

    def _ports(self):
        size = {"frame_size": 4096} if self.driver == "af_packet" else {}
        return [{"name": "outside", "driver": self.driver, "device": "port0", "tap": "tandem0",
                 "zone": "outside", "addresses": [f"{tandem.VIP}/24"],
                 "gateway": OUTSIDE_GATEWAY, **size},
                {"name": "inside", "driver": self.driver, "device": "port1", "tap": "tandem1",
                 "zone": "inside", "addresses": [f"{tandem.INSIDE}/16"], **size}]

    def _default_config(self):
        return None

    def _wire(self):
        self.net.add("generator")
        self.net.add("appliance")
        for number in range(2):
            self.net.wire("generator", f"gen{number}", "appliance", f"port{number}")
            self.net.shell("generator",
                           f"echo 1 >/proc/sys/net/ipv6/conf/gen{number}/disable_ipv6")

    def _set(self, namespace, device, name, text):
        """Of both devices of a kind, a file in /sys."""
        for number in range(2):
            self.net.shell(namespace, f"echo {text} >/sys/class/net/{device}{number}/{name}")

    def steer(self, on):
        """Says on which CPU the kernel works for whom; off: it is left to the kernel."""
        if on:
            self._set_gro("on")
        self._thread("generator", "gen", machine.service_cpu(), on)
        if not on:
            self._set_gro("off")
        self._set("appliance", "port", "queues/rx-0/rps_cpus",
                  f"{1 << machine.measured_cpu() if on else 0:x}")

    def _set_gro(self, word):
        """With it a veth without XDP has NAPIs; there is nothing in UDP that it would merge."""
        for number in range(2):
            self.net.shell("generator", f"ethtool -K gen{number} gro {word}")

    def _thread(self, namespace, device, cpu, on):
        """Has the NAPIs of both devices of a kind done by threads on a CPU. {pid}: those that came
        or went."""
        before = set(kernel_threads(f"napi/{device}"))
        self._set(namespace, device, "threaded", int(on))
        after = set(kernel_threads(f"napi/{device}"))
        machine.need(len(before ^ after) == 2, "the kernel made, or ended, no threads for NAPI")
        for pid in after - before:
            os.sched_setaffinity(pid, {cpu})
            # As a softirq does: at once, not when the time slice of whoever runs is over.
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
        return before ^ after

    def _introduce(self, outside, inside):
        """Tells the balancer's kernel everybody's MAC address: nobody's, so that the generator's
        kernel passes over such frames."""
        namespace = self.namespace("appliance")
        tandem.introduce(namespace, outside, [OUTSIDE_GATEWAY])
        tandem.introduce(namespace, inside, [backend["address"] for backend in
                                             self.config["pools"][0]["backends"]])

    def start(self):
        self.made = tandem.make_messages(self.bench, self.config_path, MESSAGES, "mix", self.pcap)
        super().start()
        try:
            self._prepare()
            self.counted = kernel_threads(f"ksoftirqd/{machine.measured_cpu()}")
            self._start_generator()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def _prepare(self):
        """What has to be done when the namespaces are there, and Tandem."""

    def _start_generator(self):
        macs = [self.net.shell("appliance", f"cat /sys/class/net/port{number}/address")
                .stdout.strip() for number in range(2)]
        argv = ["ip", "netns", "exec", self.namespace("generator"),
                self.build / "perf/perf-burst", self.config_path,
                self.config_path.with_name("secret"), self.pcap, self.mode,
                machine.service_cpu(), GENERATOR, "gen0", "gen1", *macs]
        with open(self.dir / "perf-burst.log", "w", encoding="utf-8") as log:
            self.generator = machine.start_pinned(argv, machine.service_cpu(), stderr=log)
        machine.need(self.generator.stdout.readline().split() == ["ready", str(MESSAGES)],
                     f"{self.label}: the generator does not start: {log.name}")

    def stop(self):
        if self.generator:
            self.generator.stdin.close()
            self.generator.wait(LAST_WAIT_SECONDS)
            self.generator = None
        super().stop()

    def pids(self):
        """Those of the processes that are measured."""
        raise NotImplementedError

    def cpu_seconds(self):
        return sum(machine.cpu_seconds(pid) for pid in [*self.pids(), *self.counted])

    def turn(self, seconds, window, rate):
        """{word: number} that the generator tells of a round, and `cpu`."""
        began = self.cpu_seconds()
        self.generator.stdin.write(f"run {seconds} {window} {rate}\n")
        self.generator.stdin.flush()
        words = self.generator.stdout.readline().split()
        ended = self.cpu_seconds()
        machine.need(words[:1] == ["done"], f"{self.label}: the generator: {' '.join(words)}")
        return {**dict(zip(words[1::2], map(float, words[2::2]))), "cpu": ended - began}


class Tandem(Side):
    """Its worker polls: it stands still (SIGSTOP) but in its turns."""

    mode = "exact"
    window = 1024          # few turns of its worker are without work

    def __init__(self, bench, driver):
        super().__init__(bench, driver, True)

    @property
    def label(self):
        return f"Tandem by {self.driver}"

    def _prepare(self):
        self._introduce("tandem0", "tandem1")
        self._signal(signal.SIGSTOP, "T")

    def steer(self, on):
        super().steer(on)
        if self.driver == "af_xdp":    # RPS does not see what XDP takes
            threads = self._thread("appliance", "port", machine.measured_cpu(), on)
            self.counted = sorted(threads ^ set(self.counted))

    def _state(self):
        return Path(f"/proc/{self.dataplane.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def _signal(self, number, state):
        self.dataplane.process.signal(number)
        wait_for(lambda: self._state() in state, 5, "the data plane to obey")

    def pids(self):
        return [self.dataplane.pid]

    def _drops(self):
        """What it, and the kernel of its sockets, dropped until now: {counter's name: number}."""
        drops = {name: number for name, number in self.stats()["counters"].items()
                 if "drop" in name or name in tandem.LOST}
        return {**drops, **(xdp.losses(self.dataplane.pid) if self.driver == "af_xdp" else {})}

    def turn(self, seconds, window, rate):
        drops = self._drops()
        self._signal(signal.SIGCONT, "RS")
        before = self._busy()
        try:
            told = super().turn(seconds, window, rate)
        finally:
            after = self._busy()
            self._signal(signal.SIGSTOP, "T")
        self.dropped = {name: number - drops[name] for name, number in self._drops().items()
                        if number != drops[name]}
        cycles, busy = (now - then for now, then in zip(after, before))
        return {**told, "polled": 1 - busy / cycles}

    def _busy(self):
        """Cycles, and those with work: while it runs, since a worker takes the time in which it is
        stopped for idle, or busy."""
        counters = self.stats()["counters"]
        return counters["cycles"], counters["busy_cycles"]

    def stop(self):
        if self.dataplane and self.dataplane.running():
            self.dataplane.process.signal(signal.SIGCONT)
        super().stop()


class Kamailio(Side):
    """Its dispatcher, stateless (veth.cfg)."""

    mode = "like"
    window = 128           # what its socket's buffer holds

    def __init__(self, bench):
        super().__init__(bench, "af_packet", False)

    @property
    def label(self):
        return f"Kamailio {machine.package_version('kamailio').split('-')[0]} dispatcher"

    def _prepare(self):
        net = self.net
        net.shell("appliance", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done")
        net.address("appliance", f"{tandem.VIP}/24", "port0")
        net.address("appliance", f"{tandem.INSIDE}/16", "port1")
        net.ip("appliance", "route", "add", "default", "via", OUTSIDE_GATEWAY)
        self._introduce("port0", "port1")
        (self.dir / "dispatcher.list").write_text("".join(
            f"1 sip:{backend['address']}:{backend['port']}\n"
            for backend in self.config["pools"][0]["backends"]))
        path, text = self.dir / "kamailio.cfg", TEMPLATE.read_text()
        for word, value in (("CHILDREN", DISPATCHER_CHILDREN), ("VIP", tandem.VIP),
                            ("DIR", self.dir)):
            text = text.replace(f"@{word}@", str(value))
        path.write_text(text)
        self.popen("appliance", "taskset", "-c", machine.measured_cpu(), "kamailio", "-DD", "-E",
                   "-f", path, "-Y", self.dir, "-P", self.dir / "pid", "-w", self.dir,
                   name="kamailio")
        wait_for(lambda: ":13C4 " in self.net.shell("appliance", "cat /proc/net/udp").stdout, 20,
                 "Kamailio to listen")

    def pids(self):
        return namespace_pids(self.namespace("appliance"))
