# SPDX-License-Identifier: Apache-2.0
"""A backend: Kamailio from Debian with kamailio.cfg, in a namespace of its own."""
import itertools
import json
import os
import re
import shutil
import socket
from collections import namedtuple
from pathlib import Path

from .base import LabError, Process, wait_for

TEMPLATE = Path(__file__).with_name("kamailio.cfg")
LINE = re.compile(r"MSG (?P<time>\d+\.\d+) (?P<what>\S+) (?P<call_id>\S+) cseq=(?P<cseq>\d+)/"
                  r"(?P<method>\S+) src=(?P<source>\S+) ruri=(?P<ruri>\S+) ftag=(?P<from_tag>\S+) "
                  r"ttag=(?P<to_tag>\S+)")

Message = namedtuple("Message", "time what call_id cseq method source ruri from_tag to_tag")

DMQ = """
modparam("dmq", "server_address", "sip:{address}:5060")
{peers}
modparam("dmq", "num_workers", 1)
modparam("dmq", "ping_interval", 60)
modparam("dmq_usrloc", "enable", 1)
modparam("dmq_usrloc", "sync", 1)
modparam("dmq_usrloc", "batch_size", 2000)
modparam("dmq_usrloc", "replicate_socket_info", 0)
"""
DMQ_ROUTE = """
    if (is_method("KDMQ")) {
        dmq_handle_message();
        exit;
    }
"""
# Presentities and watchers are in the memory of one process's backend: whoever asks another finds
# nothing. The module wants a database all the same: text files.
LOAD_PRESENCE = 'loadmodule "db_text.so"\nloadmodule "presence.so"\nloadmodule "presence_xml.so"'
PRESENCE = """
modparam("presence", "db_url", "text://{directory}/db")
modparam("presence", "subs_db_mode", 0)
modparam("presence", "publ_cache", 2)
modparam("presence", "server_address", "sip:{address}:5060")
modparam("presence", "send_fast_notify", 1)
modparam("presence_xml", "force_active", 1)
modparam("presence_xml", "db_url", "text://{directory}/db")
"""
PRESENCE_ROUTE = """
    if (is_method("PUBLISH")) {
        handle_publish();
    } else {
        handle_subscribe();
    }
    exit;
"""
# A phone's flows are tried one after the other: the next one when the edge says that this one is gone.
OUTBOUND = """
modparam("registrar", "outbound_mode", 1)
modparam("tm", "contacts_avp", "tm_contacts")
modparam("tm", "contact_flows_avp", "tm_contact_flows")
modparam("tm", "restart_fr_on_each_reply", 0)
"""
OUTBOUND_ROUTE = """
    # Of a single contact nothing is loaded, and it stays where it is.
    t_load_contacts();
    t_next_contacts();
    t_on_branch_failure("flow");
"""
OUTBOUND_FAILED = """
event_route[tm:branch-failure:flow] {
    if (t_check_status("430")) {
        unregister("location", "$tu", "$T_reply_ruid");
        if (t_next_contact_flow()) {
            t_on_branch_failure("flow");
            t_relay();
        }
    }
}
"""
LOAD_TLS = """enable_tls=yes
loadmodule "tls.so"
modparam("tls", "config", "{directory}/tls.cfg")"""
# It is a client where the connection that a request came by is gone.
TLS = """
[server:default]
method = TLSv1.2+
certificate = {0}
private_key = {1}
ca_list = {2}
verify_certificate = yes
require_certificate = yes
[client:default]
method = TLSv1.2+
certificate = {0}
private_key = {1}
verify_certificate = no
require_certificate = no
"""
# RFC 5923, of the connections that it makes. It parses no Via where `alias` has a value.
LOAD_ALIAS = 'xavp_via_params="via"\nloadmodule "corex.so"'
ALIAS_ROUTE = """
    $xavp(via=>alias) = "";
    via_add_xavp_params("1");
"""
PRESENCE_TABLES = ("version", "presentity", "active_watchers", "watchers", "xcap")
TABLES = Path("/usr/share/kamailio/dbtext/kamailio")
MODULES = Path("/usr/lib")
_clients = itertools.count(1)


def can_presence():
    """Whether Debian's kamailio-presence-modules is installed, whatever the architecture."""
    return any(MODULES.glob("*/kamailio/modules/presence_xml.so"))


def rpc(directory, name, method, *params):
    """A JSON-RPC to the Kamailio with this name, its socket in this directory; its result."""
    mine = directory / f"client-{os.getpid()}-{next(_clients)}.sock"
    request = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(mine))
        try:
            sock.settimeout(2)
            sock.connect(str(directory / "rpc.sock"))
            sock.send(json.dumps(request).encode())
            reply = json.loads(sock.recv(262144))
        finally:
            mine.unlink()
    if "error" in reply:
        raise LabError(f"{name}: {method}: {reply['error']}")
    return reply["result"]


class Backend:
    """
    One Kamailio; `lab.backends["kam1"]`. Its addresses: .address and .address6, and, if a test says
    so before start(), those of .held: the virtual ones, which it must have somewhere (mode direct).
    It listens on TCP, too, if a test makes .tcp True before start(); on TLS, if it makes .tls the files
    of its certificate, its key, and the CA by which it knows whom it lets in. With .alias True its Via
    says `;alias`.
    """

    def __init__(self, lab, host, children=2):
        self.lab = lab
        self.host = host
        self.name = host.name
        self.address = host.address
        self.address6 = host.address6
        self.children = children
        self.held = ()
        self.tcp = False
        self.alias = False
        self.settings = ""                     # more lines of its core's
        self.tls = None
        self.dir = lab.dir / host.name
        self.log_path = lab.dir / f"{host.name}.log"
        self.process = None

    def _write_config(self):
        peers = [b.address for b in self.lab.backends.values() if b is not self]
        dmq = bool(peers)
        words = {
            "NAME": self.name, "CHILDREN": self.children, "ADDRESS": self.address,
            "LISTEN6": "\n".join(self._more_sockets()), "SETTINGS": self.settings,
            "DOMAIN": self.lab.domain, "VIP": self.lab.vip, "VIP6": self.lab.vip6,
            "DIR": self.dir, "NOTCP": "no" if self.tcp or self.tls else "yes",
            "LOADTLS": self._tls(),
            "LOADALIAS": LOAD_ALIAS if self.alias else "",
            "ALIASROUTE": ALIAS_ROUTE if self.alias else "",
            "LOADDMQ": 'loadmodule "dmq.so"\nloadmodule "dmq_usrloc.so"' if dmq else "",
            "DMQ": DMQ.format(address=self.address, peers="\n".join(
                f'modparam("dmq", "notification_address", "sip:{peer}:5060")'
                for peer in peers)) if dmq else "",
            "DMQROUTE": DMQ_ROUTE if dmq else "",
            "ADVERTISE": f" advertise {self.lab.vip}:5060" if self.lab.advertise else "",
            "OUTBOUND": OUTBOUND if self.lab.outbound else "",
            "OUTBOUNDROUTE": OUTBOUND_ROUTE if self.lab.outbound else "",
            "OUTBOUNDFAILED": OUTBOUND_FAILED if self.lab.outbound else "",
            **self._presence(),
        }
        text = re.sub(r"@([A-Z0-9]+)@", lambda match: str(words[match[1]]), TEMPLATE.read_text())
        path = self.dir / "kamailio.cfg"
        path.write_text(text)
        return path

    def _tls(self):
        if not self.tls:
            return ""
        (self.dir / "tls.cfg").write_text(TLS.format(*self.tls))
        return LOAD_TLS.format(directory=self.dir)

    def _more_sockets(self):
        addresses = [self.address6] if self.lab.ipv6 else []
        for address in (self.address, *(f"[{address}]" for address in addresses)):
            if self.tcp:
                yield f"listen=tcp:{address}:5060"
            if self.tls:
                yield f"listen=tls:{address}:5061"
        for address in (*addresses, *self.held):
            yield "socket_workers=1"
            advertised = f" advertise [{self.lab.vip6}]:5060" \
                if self.lab.advertise and address == self.address6 else ""
            yield f"listen=udp:{f'[{address}]' if ':' in address else address}:5060{advertised}"

    def _presence(self):
        """The words of kamailio.cfg about presence, and its empty tables."""
        if not self.lab.presence:
            return dict.fromkeys(("LOADPRESENCE", "PRESENCE", "PRESENCEROUTE"), "")
        (self.dir / "db").mkdir(exist_ok=True)
        for table in PRESENCE_TABLES:
            shutil.copy(TABLES / table, self.dir / "db")
        return {"LOADPRESENCE": LOAD_PRESENCE, "PRESENCEROUTE": PRESENCE_ROUTE,
                "PRESENCE": PRESENCE.format(directory=self.dir, address=self.address)}

    def start(self, wait=True):
        """Starts it, fresh or again (its locations come back from the other backends)."""
        self.dir.mkdir(mode=0o700, exist_ok=True)
        rpc = self.dir / "rpc.sock"
        if rpc.exists():
            rpc.unlink()
        self.process = Process(
            self.name,
            ["kamailio", "-DD", "-E", "-f", self._write_config(), "-Y", self.dir,
             "-P", self.dir / "pid", "-m", "64", "-M", "8", "-w", self.dir],
            self.log_path, self.host.namespace)
        self.lab.processes.append(self.process)
        self.process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=20):
        """Until it answers on its control socket, all of its workers forked."""
        def ready():
            if not self.process.running():
                raise LabError(f"{self.name} did not start:\n{self.process.tail(30)}")
            try:
                return self.rpc("core.uptime")
            except (OSError, LabError):
                return None
        wait_for(ready, timeout, f"{self.name} to start")

    def stop(self, timeout=10):
        """SIGTERM and wait."""
        if self.process:
            self.process.stop(timeout)

    def kill9(self):
        """Dies without a word, all its processes at once."""
        if self.process:
            self.process.kill9()

    def running(self):
        return bool(self.process and self.process.running())

    def rpc(self, method, *params):
        """A JSON-RPC to this Kamailio (`stats.fetch`, `ul.dump`, `tm.stats`…); its result."""
        return rpc(self.dir, self.name, method, *params)

    def mood(self, mood):
        """
        well | shedding (503 and Retry-After: 5 to OPTIONS and new INVITEs) | deaf (to those INVITEs)
        | full (503 and Retry-After: 5 to those INVITEs only)
        """
        self.rpc("pv.shvSet", "mood", "int", ("well", "shedding", "deaf", "full").index(mood))

    def registered(self):
        """Number of contacts it knows, its own and those shared by the others."""
        return int(self.rpc("stats.fetch", "usrloc.location_contacts")
                   ["usrloc.location_contacts"])

    def messages(self):
        """
        Every SIP message it received, in its log's order, over restarts: Message(time in epoch
        seconds, what: method or status as text, call_id, cseq, method: of the CSeq, source
        "address:port", ruri, from_tag, to_tag: "<null>" when absent).
        """
        found = []
        if self.log_path.exists():
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                for line in log:
                    match = LINE.search(line)
                    if match:
                        found.append(Message(float(match["time"]), *match.groups()[1:]))
        return found

    def calls_seen(self):
        """dict: Call-ID → list of (method or status, time in epoch seconds), oldest first."""
        calls = {}
        for message in self.messages():
            calls.setdefault(message.call_id, []).append((message.what, message.time))
        return calls
