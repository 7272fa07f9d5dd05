# SPDX-License-Identifier: Apache-2.0
"""
The wires: namespaces, bridges, veth pairs, NAT. Every namespace of a laboratory is named
tandem-<pid>-<n>-<what>, so that laboratories never meet, and one whose process has died without
cleaning up can be told and removed by the next. No interface lives outside these namespaces.
"""
import os
import re
import signal
from ipaddress import ip_address
from pathlib import Path

from .base import LabError, run, wait_for

PREFIX = "tandem"
RESOLVERS = Path("/etc/resolv.conf")
STALE = re.compile(rf"{PREFIX}-(\d+)-\d+-")


def namespaces():
    return [line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line]


def namespace_pids(namespace):
    done = run("ip", "netns", "pids", namespace, check=False)
    return [int(pid) for pid in done.stdout.split()]


def remove_namespace(namespace):
    """Kills by pid what still runs in it, and deletes it."""
    for pid in namespace_pids(namespace):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not namespace_pids(namespace), 5, f"the processes of {namespace} to end")
    run("ip", "netns", "del", namespace, check=False)


def remove_stale():
    """Removes the namespaces of laboratories whose process is gone."""
    for namespace in namespaces():
        match = STALE.match(namespace)
        if match and not os.path.exists(f"/proc/{match[1]}"):
            remove_namespace(namespace)


class Net:
    """The namespaces of one laboratory. Methods take the short name (`kam1`), not the full one."""

    def __init__(self, tag):
        self.tag = tag
        self.names = []

    def full(self, name):
        return f"{PREFIX}-{self.tag}-{name}"

    def ip(self, name, *argv, check=True):
        return run("ip", "-n", self.full(name), *argv, check=check)

    def shell(self, name, script, check=True):
        return run("ip", "netns", "exec", self.full(name), "sh", "-ec", script, check=check)

    def add(self, name):
        """A namespace with its loopback up, no router advertisements, no address detection."""
        if name in self.names:
            raise LabError(f"namespace {name} exists")
        run("ip", "netns", "add", self.full(name))
        self.names.append(name)
        self.ip(name, "link", "set", "lo", "up")
        self.shell(name, """
            for what in all default; do
                echo 0 >/proc/sys/net/ipv6/conf/$what/accept_ra
                echo 0 >/proc/sys/net/ipv6/conf/$what/accept_dad
            done""", check=False)

    def bridge(self, name, bridge):
        """A bridge that floods what it must and filters nothing."""
        self.ip(name, "link", "add", bridge, "type", "bridge", "stp_state", "0",
                "forward_delay", "0", "mcast_snooping", "0")
        self.ip(name, "link", "set", bridge, "up")
        self.shell(name, """
            for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done
            echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6""" % bridge, check=False)

    def wire(self, name, device, other, other_device, queues=1):
        """A veth pair between two namespaces, offloads off and `queues` queues at both ends."""
        many = ["numrxqueues", queues, "numtxqueues", queues]
        self.ip(name, "link", "add", device, "mtu", 1500, *many, "type", "veth",
                "peer", "name", other_device, "mtu", 1500, *many, "netns", self.full(other))
        for end, dev in ((name, device), (other, other_device)):
            self.shell(end, f"ethtool -K {dev} rx off tx off sg off tso off gso off gro off "
                            f">/dev/null 2>&1 || ethtool -K {dev} tx off >/dev/null")
            if queues > 1:
                self.shell(end, f"ethtool -L {dev} rx {queues} tx {queues}")
            self.ip(end, "link", "set", dev, "up")

    def plug(self, name, bridge, device="eth0", queues=1, switch="switch"):
        """A wire from a namespace to a bridge of the switch."""
        port = f"{name}-{device}"[:15]
        self.wire(switch, port, name, device, queues)
        self.ip(switch, "link", "set", port, "master", bridge)
        self.shell(switch, f"echo 1 >/proc/sys/net/ipv6/conf/{port}/disable_ipv6", check=False)
        wait_for(lambda: "LOWER_UP" in self.ip(name, "link", "show", device).stdout, 5,
                 f"carrier on {name}")

    def unplug(self, name, device="eth0", switch="switch"):
        """Takes the wire away; returns when both ends are gone."""
        port = f"{name}-{device}"[:15]
        self.ip(switch, "link", "del", port, check=False)
        wait_for(lambda: self.ip(switch, "link", "show", port, check=False).returncode, 5,
                 f"{port} to vanish")

    def address(self, name, address, device="eth0"):
        nodad = ["nodad"] if ":" in address else []
        self.ip(name, "addr", "add", address, "dev", device, *nodad)

    def no_dns(self, name):
        """What asks this machine's name servers fails at once, instead of waiting in vain."""
        for line in RESOLVERS.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] == ["nameserver"] and not ip_address(words[1]).is_loopback:
                self.ip(name, "route", "add", "unreachable", words[1])

    def masquerade(self, name, device, address, ports="40001-49999"):
        """A Linux NAT: what leaves by `device` gets its address and a random high port."""
        family, forward, begin = ("ip6", "ipv6/conf/all/forwarding", f"[{address}]") \
            if ":" in address else ("ip", "ipv4/ip_forward", address)
        self.shell(name, f"echo 1 >/proc/sys/net/{forward}")
        rules = f"""
            add table {family} nat
            add chain {family} nat postrouting {{ type nat hook postrouting priority 100 ; }}
            add rule {family} nat postrouting oifname "{device}" meta l4proto udp snat to {begin}:{ports} random
            add rule {family} nat postrouting oifname "{device}" meta l4proto != ipv6-icmp snat to {address}
            """
        run("ip", "netns", "exec", self.full(name), "nft", "-f", "-", input=rules)

    def remove(self, name):
        remove_namespace(self.full(name))
        self.names.remove(name)

    def remove_all(self):
        """Everything; also when something of it cannot be removed."""
        failed = []
        for name in reversed(list(self.names)):
            try:
                self.remove(name)
            except (LabError, OSError) as error:
                failed.append(str(error))
        if failed:
            raise LabError("; ".join(failed))
