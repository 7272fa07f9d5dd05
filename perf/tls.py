# SPDX-License-Identifier: Apache-2.0
"""
What does TLS cost in control? Handshakes beside what `openssl speed` says of the operations in them,
and beside a bare server by OpenSSL; messages between phones by TLS and a peer by UDP beside Kamailio.
"""
from dataclasses import dataclass, field

import machine
from lab.base import run as execute
from rows import at_least
from tls_sides import BARE_PORTS, KAMAILIO_TLS, PORTS, Client, Edge

import tandem

TURN_SECONDS = 0.5
FLOOR_SECONDS = 0.2
SHARE, TIMES = at_least(0.7), at_least(5)
LEAST = 30                 # handshakes or calls in a turn: what is left of it on a busy machine
MESSAGES_OF_CALL = 8       # REGISTER, 200, INVITE, 180, 200, ACK, BYE, 200
LIMITS = {"sign_ecdsa": "ecdsap256", "sign_rsa": "rsa2048", "x25519": "ecdhx25519"}


def speeds():
    """Seconds an operation: {sign_ecdsa, sign_rsa, x25519}, by `openssl speed`'s CPU time."""
    done = execute("taskset", "-c", machine.measured_cpu(), "openssl", "speed", "-seconds", 1, "-mr",
                   *LIMITS.values())
    found = {}
    for line in done.stdout.splitlines():
        kind, *rest = line.split(":")
        if kind == "+F2" and rest[1] == "2048":
            found["sign_rsa"] = 1 / float(rest[2])
        elif kind == "+F4" and rest[1] == "256":
            found["sign_ecdsa"] = 1 / float(rest[2])
        elif kind == "+F5" and rest[1] == "253":
            found["x25519"] = 1 / float(rest[2])
    machine.need(set(found) == set(LIMITS), f"openssl speed says {done.stdout}")
    return found


@dataclass
class Kind:
    """A kind of handshake; operations: those of openssl speed that a server cannot do without."""
    name: str
    version: str
    way: str
    key: str
    operations: tuple
    clients: dict = field(default_factory=dict)    # {server: Client}
    rates: dict = field(default_factory=dict)      # {server: handshakes a CPU-second, by round}
    limits: list = field(default_factory=list)
    floors: list = field(default_factory=list)     # OpenSSL's in memory

    def limit(self, speed):
        return 1 / sum(speed[operation] for operation in self.operations) if self.operations else None


# A server makes a key and derives a secret: X25519 twice. It signs unless there is a ticket; by one of
# TLS 1.2 it does neither.
KINDS = [
    Kind("P-256, full", "1.3", "full", "ecdsa", ("sign_ecdsa", "x25519", "x25519")),
    Kind("RSA-2048, full", "1.3", "full", "rsa", ("sign_rsa", "x25519", "x25519")),
    Kind("resumed, TLS 1.3", "1.3", "resumed", "ecdsa", ("x25519", "x25519")),
    Kind("resumed, TLS 1.2", "1.2", "resumed", "ecdsa", ()),
]


def floor(bench, edge, kind):
    """Handshakes a CPU-second of OpenSSL's server in memory."""
    done = execute("taskset", "-c", machine.measured_cpu(), bench.build / "perf/perf-tls-memory",
                   *edge.certificates[kind.key], kind.version, kind.way, FLOOR_SECONDS)
    return float(done.stdout)


def shake(edge, servers, kind, name):
    """A turn of a server at one kind of handshake; control's counters must say the same."""
    before = edge.counted()
    cpu, (n,) = servers[name].turn(kind.clients[name], TURN_SECONDS)
    after = edge.counted()
    changed = {key: after[key] - before[key] for key in after if key.startswith("tls_")}
    wanted = n if name == "Tandem" else 0
    machine.need(n > LEAST and changed[f"tls_{kind.way}"] == wanted and
                 sum(number for key, number in changed.items() if key.startswith("tls_failed")) == 0,
                 f"{name}: {n} handshakes, control counted {changed}")
    kind.rates.setdefault(name, []).append(n / cpu)


def handshakes(bench, edge):
    servers = {"Tandem": edge.serving()}
    bare = {key: edge.start_bare(key) for key in PORTS}
    for kind in KINDS:
        kind.clients = {name: Client(edge, "perf-tls-shake", tandem.VIP, ports[kind.key],
                                     kind.version, kind.way, kind.key)
                        for name, ports in (("Tandem", PORTS), ("bare", BARE_PORTS))}
    for number in range(bench.rounds):
        speed = speeds()
        for kind in KINDS:
            kind.limits.append(kind.limit(speed))
            kind.floors.append(floor(bench, edge, kind))
            for name in ("Tandem", "bare")[::1 if number % 2 == 0 else -1]:
                shake(edge, {**servers, "bare": bare[kind.key]}, kind, name)
    for kind in KINDS:
        for client in kind.clients.values():
            client.close()


def report_handshakes(bench):
    for kind in KINDS:
        ours, bare = kind.rates["Tandem"], kind.rates["bare"]
        if kind.operations:
            bench.rows(f"{kind.name}: handshakes", ours, "1/CPU-s", against="openssl speed",
                       others=kind.limits, target=SHARE)
            bench.rows(f"{kind.name}: OpenSSL in memory", kind.floors, "1/CPU-s",
                       against="openssl speed", others=kind.limits)
        bench.rows(f"{kind.name}: handshakes", ours, "1/CPU-s", against="OpenSSL in memory",
                   others=kind.floors)
        bench.rows(f"{kind.name}: handshakes", ours, "1/CPU-s", against="a bare server", others=bare)


def talk(name, server, client):
    """A turn of messages: how many a CPU-second."""
    cpu, (calls, arrived) = server.turn(client, TURN_SECONDS)
    machine.need(calls > LEAST and arrived == calls * MESSAGES_OF_CALL,
                 f"{name}: {arrived} messages of {calls} calls")
    return arrived / cpu


def messages(bench, edge):
    """{server: messages a CPU-second, by round}."""
    servers = {"Tandem": edge.serving(), "Kamailio": edge.start_kamailio()}
    ports = {"Tandem": PORTS["ecdsa"], "Kamailio": KAMAILIO_TLS}
    clients = {name: Client(edge, "perf-tls-talk", tandem.VIP, ports[name], *edge.sinks(name))
               for name in servers}
    rates = {name: [] for name in servers}
    for number in range(bench.rounds):
        for name in list(servers)[::1 if number % 2 == 0 else -1]:
            rates[name].append(talk(name, servers[name], clients[name]))
    for client in clients.values():
        client.close()
    return rates


def run(bench):
    with Edge(bench) as edge:
        handshakes(bench, edge)
        rates = messages(bench, edge)
    report_handshakes(bench)
    bench.rows("messages by TLS, both ways", rates["Tandem"], "1/CPU-s",
               against=f"Kamailio {machine.package_version('kamailio').split('-')[0]} tls",
               others=rates["Kamailio"], target=TIMES)
