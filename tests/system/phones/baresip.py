# SPDX-License-Identifier: Apache-2.0
"""baresip from Debian as a phone over a stream, driven by its ctrl_tcp module."""
import json
import time

from echo import MODULES
from lab import LabError, wait_for
from netns import tcp_connect
from sip import host

CONTROL = ("127.0.0.1", 4444)
NEEDED = ("account", "aubridge", "ctrl_tcp", "g711", "menu", "uuid")
# Media plays into a bridge of its own: no sound device.
CONFIG = """
poll_method epoll
net_interface eth0
{ca}
call_max_calls 4
audio_player aubridge,nil
audio_source aubridge,nil
audio_alert aubridge,nil
audio_level no
rtp_ports 20000-20999
module_path {modules}
module g711.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {control}
"""


def can_baresip():
    return all((MODULES / f"{name}.so").exists() for name in NEEDED)


class Baresip:
    """
    A user registered by one connection; one in each namespace. It answers calls when answer() says
    so. outbound: it asks for RFC 5626; second: and keeps another connection, of this transport.
    """

    def __init__(self, lab, host_name, user, transport="tls", six=False, outbound=False,
                 second=None):
        self.lab, self.user = lab, user
        self.data, self.events = b"", []
        there = lab.host(host_name)
        vip, ports = host(lab.vip6 if six else lab.vip), {"tcp": 5060, "tls": 5061}
        proxies = "".join(f';{name}="sip:{vip}:{ports[way]};transport={way}"' for name, way in
                          (("outbound", transport), ("outbound2", second)) if way)
        directory = lab.dir / f"baresip-{user}"
        directory.mkdir()
        (directory / "config").write_text(CONFIG.format(
            ca=f"sip_cafile {lab.authority.cert}" if lab.authority else "", modules=MODULES, control="%s:%d" % CONTROL))
        (directory / "accounts").write_text(
            f'<sip:{user}@{lab.domain};transport={transport}>;regint=600{proxies}'
            f'{";sipnat=outbound" if outbound else ""}\n')
        (directory / "contacts").write_text("")
        self.process = lab.popen(host_name, "baresip", "-s",
                                 "-f", directory, name=f"baresip-{user}")
        self.process.wait_line("baresip is ready", 15)
        self.socket = tcp_connect(there.namespace, *CONTROL)
        # It may have registered before anybody listened.
        wait_for(lambda: "200 OK" in self.process.log() and "REGISTER" in self.process.log(), 10,
                 f"baresip to register {user}")

    @property
    def aor(self):
        return f"sip:{self.user}@{self.lab.domain}"

    def read(self, deadline):
        """The next JSON object (a netstring each); None at the deadline."""
        while True:
            size, colon, rest = self.data.partition(b":")
            if colon and len(rest) > int(size):
                self.data = rest[int(size) + 1:]
                return json.loads(rest[:int(size)])
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                return None
            if not more:
                raise LabError(f"baresip of {self.user} ended: {self.process.tail()}")
            self.data += more

    def command(self, name, parameters="", timeout=6):
        """Says a command of its menu; what it answers."""
        said = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self.socket.settimeout(timeout)
        self.socket.sendall(b"%d:%b," % (len(said), said))
        deadline = time.monotonic() + timeout
        while (found := self.read(deadline)) is not None:
            if found.get("response"):
                return found.get("data")
            self.events.append(found)
        raise LabError(f"baresip of {self.user} does not answer to {name}")

    def event(self, kind, timeout=10):
        """Waits for an event of this type (CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED…)."""
        deadline = time.monotonic() + timeout
        while True:
            for found in self.events:
                if found.get("type") == kind:
                    self.events.remove(found)
                    return found
            found = self.read(deadline)
            if found is None:
                raise LabError(f"baresip of {self.user}: no {kind}; "
                               f"{[event.get('type') for event in self.events]}\n"
                               f"{self.process.tail(40)}")
            self.events.append(found)

    def dial(self, uri):
        self.command("dial", uri)

    def answer(self):
        self.event("CALL_INCOMING")
        self.command("accept")

    def established(self):
        """Waits; the Call-ID."""
        return self.event("CALL_ESTABLISHED").get("id")

    def hang_up(self):
        self.command("hangup")

    def closed(self):
        return self.event("CALL_CLOSED")

    def stop(self):
        self.socket.close()
        self.process.stop(5)
