# SPDX-License-Identifier: Apache-2.0
"""
Tandem as it is measured: its configuration, and the messages that perf-messages makes for it (under
the secret that lies beside the configuration, so that their signatures verify).
"""
from dataclasses import dataclass

from lab import yaml
from lab.base import run

VIP, INSIDE = "192.0.2.10", "10.0.0.1"
GATEWAY = "10.0.0.2"       # behind which all phones are
SEED = 1


def backend_address(number):
    """Of backend number 0 and on."""
    number += 256
    return f"10.0.{number // 256}.{number % 256}"


@dataclass
class Config:
    path: object
    secret: object
    plain: dict


def write_config(bench, backends=3, ports=None, name="tandem", **dataplane):
    """A configuration in bench.dir, with a secret of its own."""
    plain = {
        "node": "perf",
        "node_address": INSIDE,
        "dataplane": {"workers": [1], "memory": "256MiB", "hugepages": "auto",
                      "call_table": 1000000, "socket": str(bench.dir / "dataplane.sock"),
                      "ports": ports or [{"name": "inside", "driver": "null", "zone": "inside",
                                          "addresses": [f"{INSIDE}/16", f"{VIP}/32"]}],
                      **dataplane},
        "secret_file": str(bench.dir / "secret"),
        "services": [{"name": "calls", "mode": "proxy", "pool": "proxies",
                      "listen": [{"transport": "udp", "address": VIP, "port": 5060}],
                      "domains": ["example.net"]}],
        "pools": [{"name": "proxies", "key": "call-id",
                   "backends": [{"name": f"backend{number}", "address": backend_address(number),
                                 "port": 5060, "weight": 100} for number in range(backends)]}],
        "control": {"socket": str(bench.dir / "control.sock"),
                    "state_dir": str(bench.dir / "state")},
    }
    path = bench.dir / f"{name}.yaml"
    path.write_text(yaml.emit(plain))
    return Config(path, bench.dir / "secret", plain)


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
    """Writes a file of `count` messages of a kind of perf-messages, or `mix`."""
    done = run(bench.build / "perf/perf-messages", config.path, config.secret, count, SEED, kind,
               pcap)
    lines = (line.split() for line in done.stdout.splitlines())
    return Made({words[0]: tuple(float(word) if number == 2 else int(word)
                                 for number, word in enumerate(words[1:])) for words in lines})
