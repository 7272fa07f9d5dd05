# SPDX-License-Identifier: Apache-2.0
"""
One node: an appliance in a namespace of its own, its configuration, its two daemons and what
tandemctl says of them. It knows the laboratory around it by its options and addresses.
"""
import re
import shutil

from . import tandem, yaml
from .base import LabError, wait_for

OUTSIDE, OUTSIDE6 = "192.0.2.{}", "2001:db8:1::{}"
INSIDE, INSIDE6 = "10.0.0.{}", "fd00:10::{}"
CONTROL_USER = "daemon"                # any that a bare system has, neither root nor the data plane's
STREAM_PORTS = {"tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}


class Node:
    """
    Attributes: lab, number (the first is 1), name (`node:` of the configuration), dir (logs,
    configuration, sockets), config (a dict, written to config_path by start and reload), dataplane,
    control, inside and inside6 (its own addresses; of several nodes also outside and outside6).
    """

    def __init__(self, lab, number, directory):
        self.lab, self.number, self.dir = lab, number, directory
        self.appliance = "appliance" if number == 1 else f"node{number}"
        self.name = "lab" if number == 1 else f"lab{number}"
        self.inside, self.inside6 = INSIDE.format(number), INSIDE6.format(number)
        self.outside, self.outside6 = OUTSIDE.format(number), OUTSIDE6.format(number)
        self.config_path = directory / "tandem.yaml"
        self.dataplane_socket = directory / "dataplane.sock"
        self.control_socket = directory / "control.sock"
        self.config = self.config_text = self.dataplane = self.control = None

    def start_daemons(self):
        """Returns when the node takes calls."""
        self.write_config()
        self._give_to_control()
        self.dataplane = tandem.Dataplane(self)
        self.control = tandem.Control(self)
        if self.lab.tandem:
            self.dataplane.start()
            self.control.start()
            self.wait_acknowledged()

    # Configuration.

    def _default_config(self):
        lab = self.lab
        listen = [{"transport": "udp", "address": address, "port": 5060} for address in self._vips()]
        return {
            "node": self.name,
            **self._addresses("node_address"),
            **self._cluster(),
            "dataplane": {"workers": lab.workers, "memory": "256MiB",
                          "hugepages": lab.hugepages, "call_table": 100000,
                          "socket": str(self.dataplane_socket), "control_user": CONTROL_USER,
                          "ports": self._ports()},
            "secret_file": str(lab.dir / "secret"),
            "services": [{"name": "calls", "mode": "proxy", "pool": "proxies",
                          "listen": listen + self._streams(), "domains": [lab.domain]}],
            "pools": [{"name": "proxies", "key": "call-id", "backends": self._backends()}],
            "control": {"socket": str(self.control_socket), "state_dir": str(self.dir / "state")},
        }

    def _vips(self):
        return (self.lab.vip, *([self.lab.vip6] if self.lab.ipv6 else []))

    def _addresses(self, key):
        """The node's own; of IPv6 only where streams may need it."""
        six = self.lab.streams and self.lab.ipv6
        return {key: self.inside, **({f"{key}6": self.inside6} if six else {})}

    def _cluster(self):
        others = [{"name": node.name, **node._addresses("address")}
                  for node in self.lab.nodes if node is not self]
        return {"cluster": {"nodes": others}} if others else {}

    def _backends(self):
        inside = INSIDE6 if self.lab.backends6 else INSIDE
        return [self._entry(f"kam{number}", inside.format(10 + number))
                for number in range(1, self.lab.n_backends + 1)]

    def _streams(self):
        """The listeners of `streams`; those with TLS show a certificate for domain and addresses."""
        shown = {}
        if self.lab.certificate:
            cert, key = self.lab.certificate
            shown = {"certificates": [{"cert": str(cert), "key": str(key)}]}
        return [{"transport": transport, "address": address, "port": STREAM_PORTS[transport],
                 **(shown if transport in ("tls", "wss") else {})}
                for transport in self.lab.streams for address in self._vips()]

    def _ports(self):
        lab = self.lab
        outside, inside = [f"{lab.vip}/24"], [f"{self.inside}/24"]
        if len(lab.nodes) > 1:         # it is theirs together, and what each is reached by its own
            outside = [f"{self.outside}/24", f"{lab.vip}/32"]
        if lab.ipv6:
            outside += [f"{lab.vip6}/64"] if len(lab.nodes) == 1 else [f"{self.outside6}/64",
                                                                       f"{lab.vip6}/128"]
            inside += [f"{self.inside6}/64"]
        if lab.ports == 1:
            return [self._port(0, "both", "both", outside + inside)]
        return [self._port(0, "outside", "outside", outside),
                self._port(1, "inside", "inside", inside)]

    def _port(self, number, name, zone, addresses):
        return {"name": name, "driver": self.lab.driver, "device": f"port{number}",
                "tap": f"tandem{number}", "zone": zone, "addresses": addresses}

    @staticmethod
    def _entry(name, address):
        return {"name": name, "address": address, "port": 5060, "weight": 100}

    def backend_entry(self, name):
        """What a pool's `backends` list says about a backend of this laboratory."""
        backend = self.lab.backends[name]
        return self._entry(name, backend.address6 if self.lab.backends6 else backend.address)

    def pool(self):
        """The list of backends of the (first) pool in config, to be changed by tests."""
        return self.config["pools"][0]["backends"]

    def write_config(self, text=None):
        """Writes `text`, or the configuration, to config_path. Nobody is told."""
        if text is None and self.config_text:
            text = self.config_text
            for directory in ("/run/tandem", "/var/lib/tandem"):
                text = text.replace(f"{directory}/", f"{self.dir}/").replace(
                    f"{directory}\n", f"{self.dir}/state\n")
        temporary = self.config_path.with_suffix(".new")
        temporary.write_text(text if text is not None else yaml.emit(self.config))
        temporary.rename(self.config_path)

    def _give_to_control(self):
        """The directory is its user's, if the configuration names one: it makes its files there."""
        user = re.search(r"\bcontrol_user\W+(\w+)", self.config_path.read_text())
        if user:
            shutil.chown(self.dir, user[1])

    def reload(self, text=None, check=True):
        """
        Writes the configuration (or `text`) and `tandemctl reload`: (status, stdout, stderr). With
        check a refusal raises LabError, and the data plane's acknowledgement is waited for.
        """
        self.write_config(text)
        status, out, err = self.ctl("reload")
        if check:
            if status != 0:
                raise LabError(f"reload refused: {err.strip() or out.strip()}")
            self.wait_acknowledged()
        return status, out, err

    # Looking at Tandem.

    def ctl(self, *args, json=False, timeout=30):
        """tandemctl ARGS → (status, stdout, stderr); json=True: --json, parsed, or LabError."""
        return tandem.ctl(self, *args, as_json=json, timeout=timeout)

    def stats(self):
        """tandemctl show stats --json, parsed."""
        return self.ctl("show", "stats", json=True)

    def generation(self):
        """tandemctl show generation --json: {"generation", "acknowledged", "dataplane"}."""
        return self.ctl("show", "generation", json=True)

    def wait_acknowledged(self, timeout=15):
        """Until the data plane is connected and all its workers use control's newest snapshot."""
        def same():
            try:
                now = self.generation()
            except LabError:
                return False
            newest = now["generation"]
            return (now["dataplane"] == "connected" and newest > 0
                    and now["acknowledged"] == newest
                    and now.get("used_by_workers", newest) == newest)
        wait_for(same, timeout, "the data plane to acknowledge the newest snapshot")
