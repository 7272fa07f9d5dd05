# SPDX-License-Identifier: Apache-2.0
"""
One laboratory: the topology, and everything that runs in it.

    callers .21   callees .22   host(…)          kam1 .11   kam2 .12   kam3 .13
         └────────────┴───────────┘                  └───────────┴──────────┘
         bridge "outside" 192.0.2.0/24               bridge "inside" 10.0.0.0/24
                   2001:db8:1::/64                             fd00:10::/64
                        └── port0 ── appliance ── port1 ──┘
                     tandem0 192.0.2.10          tandem1 10.0.0.1

With ports=1 there is only the outside bridge: the backends are plugged into it with the same
addresses, and port0 has both of the appliance's (its zone is `both`). The appliance's kernel does
not forward: a message that goes around Tandem is lost.

With nodes=2 there is another appliance on the same bridges. Node N has 192.0.2.N and 10.0.0.N, and
each has the virtual address, to which every host has a route by one of them: see Lab.lead.
"""
import atexit
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from .base import LabError, Process, ROOT, on_service_cpu, run, wait_for
from .certificates import Authority
from .kamailio import Backend
from .net import Net, remove_stale
from .node import CONTROL_USER, INSIDE, INSIDE6, Node, OUTSIDE, OUTSIDE6
from .sipp import Sipp

_labs = itertools.count(1)


@dataclass
class Host:
    """A namespace with one interface, eth0 (a NAT's phone: see Lab.nat)."""
    name: str
    namespace: str                 # its full name, for `ip netns exec`
    address: str
    address6: str | None
    public_address: str | None = None    # where others see it, when a NAT stands before it
    public_address6: str | None = None
    side: str = "outside"                # or inside


class Lab(Node):
    """
    A laboratory is its own first node, too: most have no other.

    driver      af_packet | af_xdp
    workers     CPU numbers of the data plane's workers; [1, 1] makes ports of two queues
    ports       2: outside and inside; 1: one port for both
    ipv6        give every interface an IPv6 address, the service an IPv6 listener
    backends    how many Kamailios to begin with
    backends6   the configuration names them by their IPv6 addresses
    tandem      False: namespaces and backends only
    hugepages   auto | on | off, as in the configuration
    build       the build directory; default: $TANDEM_BUILD or build/ at the root
    presence    the backends are presence servers (Debian's kamailio-presence-modules)
    outbound    the backends are registrars of phones with several flows (RFC 5626)
    advertise   the backends name the virtual address as their own in Via and Record-Route
    streams     the service's listeners besides UDP: any of tcp, tls, ws, wss, at their usual ports
    nodes       how many appliances share the virtual address and the secret
    config_text a whole configuration instead of lab.config; /run/tandem and /var/lib/tandem in
                it are replaced by the laboratory's directory

    Attributes besides a Node's: nodes (itself, then the others), backends (name → Backend), hosts
    (name → Host), vip, vip6, domain, net, certificate (that of TLS listeners, and its key) and
    authority (who signed it). Its dir is a temporary directory, with those of the other nodes in it.
    """

    vip, vip6 = OUTSIDE.format(10), OUTSIDE6.format(10)
    domain = "example.net"

    def __init__(self, driver="af_packet", workers=(1,), ports=2, ipv6=True, backends=3,
                 tandem=True, hugepages="auto", build=None, config_text=None, keep_dir=False,
                 presence=False, outbound=False, advertise=False, backends6=False, streams=(),
                 nodes=1):
        if os.geteuid() != 0:
            raise LabError("the laboratory needs root (network namespaces)")
        cpus = max(os.sched_getaffinity(0)) + 1
        self.driver, self.ports, self.ipv6 = driver, ports, ipv6
        self.workers = [min(cpu, cpus - 1) for cpu in workers]
        self.n_backends, self.tandem, self.hugepages = backends, tandem, hugepages
        self.presence, self.outbound = presence, outbound
        self.advertise, self.backends6 = advertise, backends6
        self.build = Path(build or os.environ.get("TANDEM_BUILD") or ROOT / "build")
        self.net = Net(f"{os.getpid()}-{next(_labs)}")
        directory = Path(tempfile.mkdtemp(prefix="tandem-"))
        directory.chmod(0o755)
        super().__init__(self, 1, directory)
        self.keep_dir = keep_dir
        self.streams = streams
        self.authority = Authority(self.dir, CONTROL_USER) if {"tls", "wss"} & set(streams) \
            else None
        self.certificate = self.authority and self.authority.issue(
            "server", [f"DNS:{self.domain}", f"IP:{self.vip}", f"IP:{self.vip6}"])
        self.processes, self.hosts, self.backends = [], {}, {}
        self._numbers = itertools.count(1)
        self._handlers = {}
        self._contacts = set()         # (user, host, port) that register() put there
        self._stopped = False
        self.nodes = [self]
        for number in range(2, nodes + 1):
            directory = self.dir / f"node{number}"
            directory.mkdir()
            self.nodes.append(Node(self, number, directory))
        self.config_text = config_text
        for node in self.nodes if not config_text else ():
            node.config = node._default_config()

    # Start and end.

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        """Logs stay when something failed in it."""
        if kind is not None and issubclass(kind, Exception):
            self.keep_dir = True
            print(f"logs of the laboratory: {self.dir}", file=sys.stderr, flush=True)
        self.stop()

    def start(self):
        """Makes the namespaces, starts backends and daemons, returns when calls can be placed."""
        self._catch_signals()
        atexit.register(self.stop)
        try:
            remove_stale()
            self._wire()
            for number in range(1, self.n_backends + 1):
                self.add_backend(f"kam{number}", start=False)
            for backend in self.backends.values():
                backend.start(wait=False)
            for backend in self.backends.values():
                backend.wait_ready()
            for node in self.nodes:
                node.start_daemons()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def stop(self):
        """Ends every process by its pid, removes namespaces and files. Harmless when repeated."""
        if self._stopped:
            return
        self._stopped = True
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        try:
            running = [process for process in reversed(self.processes) if process.running()]
            for process in running:
                process.signal(signal.SIGTERM)
            for process in running:
                process.stop(5)
            self.net.remove_all()
        finally:
            if not self.keep_dir:
                shutil.rmtree(self.dir, ignore_errors=True)
            atexit.unregister(self.stop)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _catch_signals(self):
        if threading.current_thread() is not threading.main_thread():
            return

        def leave(number, frame):
            raise SystemExit(128 + number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, leave)

    # Topology.

    def _wire(self):
        net = self.net
        net.add("switch")
        bridges = ("outside", "inside")[:self.ports]
        for bridge in bridges:
            net.bridge("switch", bridge)
        for node in self.nodes:
            net.add(node.appliance)
            for number, bridge in enumerate(bridges):
                net.plug(node.appliance, bridge, f"port{number}", len(self.workers))
        self.host("caller", OUTSIDE.format(21))
        self.host("callee", OUTSIDE.format(22))

    def _bridge(self, side):
        return side if self.ports == 2 else "outside"

    def _address6(self, address, side):
        if not self.ipv6:
            return None
        return (OUTSIDE6 if side == "outside" else INSIDE6).format(address.rpartition(".")[2])

    def host(self, name, address=None, side="outside"):
        """
        The Host of this name; made when there is none yet: a namespace on the bridge `side`, with
        `address` (192.0.2.N outside, 10.0.0.N inside) and the IPv6 address that ends in N.
        """
        if name in self.hosts:
            return self.hosts[name]
        if address is None:
            raise LabError(f"no host {name}")
        net = self.net
        net.add(name)
        net.plug(name, self._bridge(side))
        net.address(name, f"{address}/24")
        address6 = self._address6(address, side)
        if address6:
            net.address(name, f"{address6}/64")
        if side == "inside":
            net.ip(name, "route", "add", "default", "via", self.inside)
            if address6:
                net.ip(name, "-6", "route", "add", "default", "via", self.inside6)
        self.hosts[name] = Host(name, net.full(name), address, address6, side=side)
        if len(self.nodes) > 1:
            self.lead(name, self)
        return self.hosts[name]

    def lead(self, name, node):
        """
        The virtual addresses lead a host to this node from now on, as they may when a node joins or
        leaves (the host is then the router behind which phones or backends are).
        """
        inside = self.hosts[name].side == "inside"
        self.net.ip(name, "route", "replace", self.vip, "via", node.inside if inside else node.outside)
        if self.ipv6:
            self.net.ip(name, "-6", "route", "replace", self.vip6, "via",
                        node.inside6 if inside else node.outside6)

    def remove_host(self, name):
        """Ends what runs in it and takes it off the bridge."""
        host = self.hosts.pop(name)
        for process in self.processes:
            if process.running() and host.namespace in process.argv:
                process.stop(2)
        self.net.unplug(name)
        self.net.remove(name)

    def nat(self, name="phone", public="192.0.2.30", private="192.168.77.2",
            private6="fd00:77::2"):
        """
        A phone behind a Linux NAT: Host `name` has only the private addresses, and is seen at
        `public`, or the IPv6 address that ends alike, from a random high port. Tables are the
        kernel's (nftables).
        """
        net, router = self.net, f"{name}nat"
        self.host(router, public)
        net.add(name)
        net.wire(router, "lan", name, "eth0")
        gateway = private.rpartition(".")[0] + ".1"
        net.address(router, f"{gateway}/24", "lan")
        net.address(name, f"{private}/24")
        net.ip(name, "route", "add", "default", "via", gateway)
        net.masquerade(router, "eth0", public)
        public6 = self.hosts[router].address6
        if public6:
            gateway6 = private6.rpartition(":")[0] + ":1"
            net.address(router, f"{gateway6}/64", "lan")
            net.address(name, f"{private6}/64")
            net.ip(name, "-6", "route", "add", "default", "via", gateway6)
            net.masquerade(router, "eth0", public6)
        self.hosts[name] = Host(name, net.full(name), private, private6 if public6 else None,
                                public, public6)
        return self.hosts[name]

    def add_backend(self, name, address=None, start=True):
        """
        Another Kamailio on the inside (kamN: 10.0.0.10+N). It gets no calls before the
        configuration names it: append lab.backend_entry(name) to the pool and reload.
        """
        if address is None:
            address = INSIDE.format(10 + int(name.removeprefix("kam")))
        backend = self.backends[name] = Backend(self, self.host(name, address, "inside"))
        self.net.no_dns(name)
        if start:
            backend.start()
        return backend

    def change_mac(self, name, mac="02:00:5e:10:20:30"):
        """Gives a host another MAC address without telling anybody."""
        self.net.ip(name, "link", "set", "eth0", "address", mac)

    def program(self, kind):
        """
        The path of a daemon. Control's user may not come below /root, and must where control has the
        file that it was begun from take its place: from there a copy is run.
        """
        built = self.build / kind / f"tandem-{kind}"
        if all(parent.stat().st_mode & 1 for parent in built.resolve().parents):
            return built
        copied = self.dir / built.name
        if not copied.exists():
            shutil.copy(built, copied)
        return copied

    # Doing things in the namespaces.

    def namespace(self, host):
        """The full name of a namespace by Host or name (`appliance`, `switch`, `kam1`, …)."""
        if isinstance(host, (Host, Backend)):
            host = host.name
        if host not in self.net.names:
            raise LabError(f"no namespace {host}")
        return self.net.full(host)

    def exec(self, host, *argv, check=True, timeout=60):
        """Runs a command in a namespace to its end; subprocess.CompletedProcess with text."""
        return run("ip", "netns", "exec", self.namespace(host),
                   *on_service_cpu([str(word) for word in argv]), check=check, timeout=timeout)

    def popen(self, host, *argv, name=None):
        """Starts a command in a namespace; Process (stop, kill9, wait, wait_line, log)."""
        name = name or f"{Path(str(argv[0])).name}-{self.next_number()}"
        process = Process(name, argv, self.dir / f"{name}.log", self.namespace(host))
        self.processes.append(process)
        return process.start()

    def next_number(self):
        return next(self._numbers)

    # Phones.

    def sipp(self, host, scenario, **options):
        """
        Starts SIPp in a namespace; Sipp with wait(), finish(), stop(), result(), errors().

        scenario  a name in config/lab/scenarios (register, register_auth, uac, uac_wait_bye,
                  uac_auth, uac_cancel, uac_busy, uac_retransmit, uac_modify, uac_prack, uas,
                  uas_bye, uas_cancel, uas_busy, uas_modify, uas_prack) or the path of a .xml
        calls     how many calls a client makes; None (default): a server, until finish()
        rate      calls a second (10)        hold_ms  length of its <pause/>s, in ms (0)
        port      local port (5060)          users    a list, or list of tuples, used in turn as
                                                      [field0], [field1]…
        target    "address[:port]" instead of the virtual address (of the family of `address`)
        address   local address instead of the host's IPv4 one
        limit     calls at once              keys     dict for -key
        extra     more arguments of SIPp     timeout  whole run in s, an error when exceeded
        call_id   SIPp's -cid_str (%u: the number of the call)
        transport u1; t1, tn: TCP, one connection or one for each call
        """
        if not isinstance(host, Host):
            host = self.host(host)
        return Sipp(self, host, scenario, **options)

    def register(self, host, users, port=5060, rate=200, wait=True, **options):
        """
        Registers users from a host's port through the virtual address, so that a server which
        takes this port next is where they are. wait: until every running backend knows them.
        """
        client = self.sipp(host, options.pop("scenario", "register"), calls=len(users),
                           users=users, rate=rate, port=port, **options)
        result = client.wait(60 + len(users) / rate)
        if result.failed or result.successful != len(users):
            raise LabError(f"registration failed: {result}\n{client.errors()}")
        name = host if isinstance(host, str) else host.name
        self._contacts |= {(user, name, port) for user in users}
        for backend in self.backends.values():
            if wait and backend.running():
                wait_for(lambda: backend.registered() >= len(self._contacts), 15,
                         f"{backend.name} to learn {len(self._contacts)} contacts")
        return result
