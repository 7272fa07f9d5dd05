# SPDX-License-Identifier: Apache-2.0
"""
The whole path, kernel included: how many messages a second of CPU time sends on, and how late, beside
Kamailio's dispatcher as a stateless, record-routing balancer. perf-burst is all phones and backends, at
one end of a wire (veth) whose other end is Tandem's port or Kamailio's interface. The appliance and all
that the kernel does for it, receiving included, is on the last CPU, perf-burst on the first.
"""
import os
import re
import signal
import time
from pathlib import Path

import machine
import tandem
from lab import Lab
from lab.base import Process, run as execute, wait_for
from rows import at_least, at_most

MESSAGES = 16384
SECONDS = 1.0              # of a burst
FIRST_RATE = 4000
BACKENDS = 3
TARGETS = {"af_xdp": at_least(25), "af_packet": at_least(15)}
LATENCY = at_most(1 / 3)
TEMPLATE = Path(__file__).with_name("burst") / "dispatcher.cfg"
CHILDREN = 1               # on one CPU more of them cost switches


def cpu_busy_seconds(cpu):
    """Of a CPU since boot, interrupts included; stolen time is not."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines()
                if line.startswith(f"cpu{cpu} "))
    ticks = [int(word) for word in line.split()[1:8]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


class Burst:
    """perf-burst in the namespace `field`."""

    DEVICES = {"af_packet": "net_af_packet0,iface=gen0,qdisc_bypass=1,blocksz=4096,framesz=2048,"
                            "framecnt=8192",
               "af_xdp": "net_af_xdp0,iface=gen0,busy_budget=0"}

    def __init__(self, lab, driver, pcap, mac):
        argv = ["ip", "netns", "exec", lab.namespace("field"), lab.bench.build / "perf/perf-burst",
                "--no-huge", "--no-shconf", "-m", "256", "--no-pci", "--no-telemetry",
                "--log-level", "error", "--file-prefix", f"perf-burst-{lab.net.tag}",
                "--lcores", f"0@{machine.service_cpu()}", "--vdev", self.DEVICES[driver],
                "--", pcap, mac]
        log = open(lab.dir / "perf-burst.log", "ab")
        self.child = machine.start_pinned(argv, machine.service_cpu(), stderr=log)
        self.log = lab.dir / "perf-burst.log"
        self.line("ready")

    def line(self, first):
        line = self.child.stdout.readline()
        machine.need(line.split()[:1] == [first],
                     f"perf-burst: {line.strip()} {self.log.read_text()[-500:]}")
        return line

    def run(self, rate, seconds):
        """{word: number} of what it says."""
        self.child.stdin.write(f"run {rate} {seconds}\n")
        self.child.stdin.flush()
        words = self.line("sent").split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def close(self):
        self.child.stdin.close()
        self.child.wait(10)


class Appliance(Lab):
    """A wire between the namespaces appliance (port0) and field (gen0); on it, Tandem or Kamailio."""

    device = "tandem0"

    def __init__(self, bench, driver, pcap, tandem_runs=True):
        super().__init__(driver=driver, backends=0, build=bench.build, config_text="",
                         tandem=tandem_runs)
        self.bench, self.pcap, self.burst = bench, pcap, None
        self.config = tandem.configuration(self.dir, backends=BACKENDS, hugepages="off", ports=[
            {"name": "both", "driver": driver, "device": "port0", "tap": "tandem0", "zone": "both",
             "addresses": [f"{tandem.INSIDE}/16", f"{tandem.VIP}/32"],
             "gateway": tandem.GATEWAY}])
        self.write_config()

    def _default_config(self):
        return None

    def _wire(self):
        for name in ("appliance", "field"):
            self.net.add(name)
        self.net.wire("appliance", "port0", "field", "gen0")
        self.net.shell("field", "echo 1 >/proc/sys/net/ipv6/conf/gen0/disable_ipv6; "
                                "echo 8 >/proc/sys/net/ipv4/conf/gen0/arp_ignore")

    def start(self):
        super().start()
        try:
            self.begin()
            self._place("appliance", "port0", machine.measured_cpu())
            mac = self.net.shell("appliance", "cat /sys/class/net/port0/address").stdout.strip()
            self.burst = Burst(self, self.driver, self.pcap, mac)
            self._place("field", "gen0", machine.service_cpu())
            self._introduce()
            self._settle()
            self.freeze()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def begin(self):
        """Whatever else the appliance needs."""

    def _introduce(self):
        addresses = [tandem.GATEWAY] + [backend["address"]
                                        for backend in self.config["pools"][0]["backends"]]
        tandem.introduce(self.namespace("appliance"), self.device, addresses)

    def _place(self, name, device, cpu):
        """Has the kernel receive a device's frames on one CPU: by RPS, and by a thread of NAPI's
        where there is one, since a program of XDP takes the frames."""
        self.net.shell(name, f"echo {1 << cpu:x} >/sys/class/net/{device}/queues/rx-0/rps_cpus; "
                             f"echo 1 >/sys/class/net/{device}/threaded || true")
        for path in Path("/proc").glob("[0-9]*/comm"):
            try:
                mine = path.read_text().startswith(f"napi/{device}-")
            except OSError:
                continue
            if mine:                   # of the other laboratory's wire too: it is placed alike
                execute("taskset", "-pc", cpu, path.parent.name)

    def _settle(self):
        def settled():
            said = self.burst.run(2000, 0.3)
            return not said["lost"] and not said["corrupted"]
        wait_for(settled, 20, f"{type(self).__name__} to send on every message")

    def processes_of(self):
        return [self.dataplane.process]

    def freeze(self):
        """It polls, and must not when another has its CPU."""
        for process in self.processes_of():
            process.signal(signal.SIGSTOP)

    def thaw(self):
        for process in self.processes_of():
            process.signal(signal.SIGCONT)

    def stop(self):
        if self.burst:
            self.burst.close()
            self.burst = None
        if self.dataplane and self.dataplane.running():
            self.thaw()
        super().stop()

    def load(self, rate):
        """A burst at a rate: what became of it, messages a second, CPU seconds spent."""
        self.thaw()
        busy = cpu_busy_seconds(machine.measured_cpu())
        said = self.burst.run(rate, SECONDS)
        said["busy"] = cpu_busy_seconds(machine.measured_cpu()) - busy
        self.freeze()
        for what in ("doubled", "misrouted", "corrupted"):
            machine.need(not said[what], f"{type(self).__name__}: {said[what]} messages {what}")
        said["rate"] = said["received"] / (said["nanoseconds"] / 1e9)
        return said

    def saturate(self):
        """The offered rate from which on no more comes through."""
        rate, best = FIRST_RATE, 0
        while True:
            said = self.load(rate)
            if said["rate"] < 1.05 * best:
                break
            best, rate, limit = said["rate"], 1.5 * rate, said["lost"] == 0
        if limit:
            self.bench.say(f"{type(self).__name__}: perf-burst is the limit: nothing was lost")
        return 1.1 * best


class Tandem(Appliance):
    pass


class Kamailio(Appliance):
    """In Tandem's place, with its addresses."""

    device = "port0"

    def __init__(self, bench, driver, pcap):
        super().__init__(bench, driver, pcap, tandem_runs=False)
        self.kamailio = None

    def begin(self):
        directory = self.dir / "kamailio"
        directory.mkdir(mode=0o700)
        for address in (f"{tandem.INSIDE}/16", f"{tandem.VIP}/32"):
            self.net.address("appliance", address, "port0")
        self.net.ip("appliance", "route", "add", "default", "via", tandem.GATEWAY)
        self.net.shell("appliance", "echo 0 >/proc/sys/net/ipv4/conf/port0/rp_filter; "
                                    "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter")
        (directory / "dispatcher.list").write_text("".join(
            f"1 sip:{backend['address']}:5060\n"
            for backend in self.config["pools"][0]["backends"]))
        words = {"CHILDREN": CHILDREN, "VIP": tandem.VIP, "DIR": directory}
        (directory / "kamailio.cfg").write_text(
            re.sub(r"@([A-Z]+)@", lambda match: str(words[match[1]]), TEMPLATE.read_text()))
        self.kamailio = Process(
            "kamailio", ["taskset", "-c", machine.measured_cpu(), "kamailio", "-DD", "-E", "-f",
                         directory / "kamailio.cfg", "-Y", directory, "-P", directory / "pid",
                         "-m", "256", "-M", "16", "-w", directory],
            self.dir / "kamailio.log", self.namespace("appliance"), pinned=False).start()
        self.processes.append(self.kamailio)
        wait_for(lambda: (directory / "pid").exists(), 20, "Kamailio to start")

    def processes_of(self):
        return []                      # it waits for messages by itself


def measure(bench, driver):
    pcap = bench.dir / f"{driver}.pcap"
    ours, theirs = Tandem(bench, driver, pcap), Kamailio(bench, driver, pcap)
    tandem.make_messages(bench, ours.config_path, MESSAGES, "INVITE", pcap)
    sides = {"Tandem": [], "Kamailio": []}
    late = {name: {"median-ns": [], "p99-ns": []} for name in sides}
    with ours, theirs:
        labs = {"Tandem": ours, "Kamailio": theirs}
        rates = {name: lab.saturate() for name, lab in labs.items()}
        bench.say(f"{driver}: offered " + ", ".join(
            f"{name} {rate:,.0f}/s" for name, rate in rates.items()))
        for number in range(bench.rounds):
            order = list(labs.items())[::1 if number % 2 == 0 else -1]
            for name, lab in order:
                said = lab.load(rates[name])
                sides[name].append(said["received"] / said["busy"] / 1000)
                half = lab.load(rates["Kamailio"] / 2.2)
                machine.need(half["lost"] < 0.01 * half["sent"], f"{name} loses at half the load")
                for what, times in late[name].items():
                    times.append(half[what] / 1000)
    bench.rows(f"{driver}, INVITE", sides["Tandem"], "k messages/CPU-s",
               against="Kamailio dispatcher", others=sides["Kamailio"], target=TARGETS[driver])
    for what, title in (("median-ns", "median"), ("p99-ns", "p99")):
        bench.rows(f"{driver}, half load, latency, {title}", late["Tandem"][what], "µs",
                   against="Kamailio dispatcher", others=late["Kamailio"][what], target=LATENCY)


def run(bench):
    for driver in TARGETS:
        measure(bench, driver)
