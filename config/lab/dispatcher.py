# SPDX-License-Identifier: Apache-2.0
"""
Kamailio's dispatcher in Tandem's place: for comparisons over the same hosts with the same calls. It
has the virtual address, and the CPU that Tandem's workers would have.

    from lab.dispatcher import Dispatcher
    with Lab(tandem=False) as lab:
        dispatcher = Dispatcher(lab).start()
        dispatcher.disable("kam1")
"""
import re
from pathlib import Path

from .base import LabError, Process, wait_for
from .kamailio import rpc

TEMPLATE = Path(__file__).with_name("dispatcher.cfg")
SET = 1                            # the set of destinations that dispatcher.cfg chooses from


class Dispatcher:
    """One Kamailio in the appliance's namespace of a laboratory without Tandem."""

    def __init__(self, lab, children=4):
        self.lab = lab
        self.children = children
        self.dir = lab.dir / "dispatcher"
        self.process = None

    def start(self):
        """Gives the appliance its addresses; returns itself when it takes calls."""
        lab = self.lab
        lab.net.address("appliance", f"{lab.vip}/24", "port0")
        lab.net.address("appliance", f"{lab.inside}/24", "port1" if lab.ports == 2 else "port0")
        self.dir.mkdir(mode=0o700)
        (self.dir / "dispatcher.list").write_text("".join(
            f"{SET} {self._uri(name)}\n" for name in lab.backends))
        words = {"CHILDREN": self.children, "DOMAIN": lab.domain, "VIP": lab.vip, "DIR": self.dir}
        path = self.dir / "kamailio.cfg"
        path.write_text(re.sub(r"@([A-Z]+)@", lambda match: str(words[match[1]]),
                               TEMPLATE.read_text()))
        # 64 MiB were not enough: transactions stay for seconds, and a call has four of them here.
        argv = ["kamailio", "-DD", "-E", "-f", path, "-Y", self.dir, "-P", self.dir / "pid",
                "-m", "512", "-M", "16", "-w", self.dir]
        self.process = Process("dispatcher", ["taskset", "-c", lab.workers[0], *argv],
                               lab.dir / "dispatcher.log", lab.namespace("appliance"), pinned=False)
        lab.processes.append(self.process)
        self.process.start()
        wait_for(self._ready, 20, "the dispatcher to have all destinations active")
        return self

    def _uri(self, name):
        return f"sip:{self.lab.backends[name].address}:5060"

    def _ready(self):
        if not self.process.running():
            raise LabError(f"the dispatcher did not start:\n{self.process.tail(30)}")
        try:
            return set(self.states().values()) == {"AP"}
        except (OSError, LabError):
            return False

    def rpc(self, method, *params):
        return rpc(self.dir, "dispatcher", method, *params)

    def states(self):
        """{backend's name: its flags: AP active, IP inactive, TP on trial, DX disabled}."""
        sets = self.rpc("dispatcher.list")["RECORDS"]
        found = {entry["DEST"]["URI"]: entry["DEST"]["FLAGS"]
                 for record in sets for entry in record["SET"]["TARGETS"]}
        return {name: found[self._uri(name)] for name in self.lab.backends}

    def disable(self, name):
        """No new calls to it; what its calls' Routes say goes on."""
        self.rpc("dispatcher.set_state", "dx", SET, self._uri(name))

    def enable(self, name):
        self.rpc("dispatcher.set_state", "ap", SET, self._uri(name))
