# SPDX-License-Identifier: Apache-2.0
"""
Who answers probe calls: baresip from Debian with its echo, and a phone of our own that sends media
back as it came, and may name another key than the one its media is protected by.
"""
import base64
import os
import re
import select
import threading
from pathlib import Path

from netns import udp_socket
from sip import Message, host

MODULES = Path("/usr/lib/baresip/modules")
# The echo decodes, plays into a bridge of its own and encodes what comes out: no sound device.
CONFIG = """
poll_method epoll
sip_listen {address}:5060
net_interface eth0
call_max_calls 16
audio_player aubridge,nil
audio_source aubridge,nil
audio_alert aubridge,nil
audio_level no
audio_buffer 20-160
jitter_buffer_delay 1-2
rtp_ports 20000-20999
module_path {modules}
module g711.so
module aubridge.so
module srtp.so
module_tmp uuid.so
module_tmp account.so
module_app echo.so
"""


def can_baresip():
    return all((MODULES / f"{name}.so").exists() for name in ("echo", "srtp", "aubridge"))


def start_baresip(lab, host_name):
    """baresip as user `echo` of a host, port 5060; SRTP by SDES when it is offered."""
    there = lab.hosts[host_name]
    directory = lab.dir / f"baresip-{host_name}"
    directory.mkdir()
    (directory / "config").write_text(CONFIG.format(address=there.address, modules=MODULES))
    (directory / "accounts").write_text(f"<sip:echo@{there.address}>;regint=0;mediaenc=srtp\n")
    (directory / "contacts").write_text("")
    process = lab.popen(host_name, "baresip", "-f", directory, name=f"baresip-{host_name}")
    process.wait_line("baresip is ready", 15)
    return process


class Mirror(threading.Thread):
    """
    A user who accepts every call and sends its media back unchanged. Over SRTP it names a key of its
    own, and what it sends is still protected by the caller's: nobody with its key can read it.
    """

    def __init__(self, lab, address, host_name, port=5060):
        super().__init__(name=f"mirror-{host_name}", daemon=True)
        self.address = address
        namespace = lab.namespace(host_name)
        self.sip = udp_socket(namespace, self.address, port)
        self.rtp = udp_socket(namespace, self.address)
        self.seen = []                       # methods, in order
        self.callers = set()                 # addresses that media came from
        self.port = port
        self.ending = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.join()
        self.sip.close()
        self.rtp.close()

    def run(self):
        while not self.ending:
            for ready in select.select([self.sip, self.rtp], [], [], 0.1)[0]:
                data, peer = ready.recvfrom(65535)
                if ready is self.rtp:
                    self.callers.add(peer[0])
                    self.rtp.sendto(data, peer)
                else:
                    self.answer(Message(data), peer)

    def answer(self, request, peer):
        self.seen.append(request.method)
        if request.method not in ("INVITE", "BYE"):
            return
        body = self.sdp(request.body.decode()) if request.method == "INVITE" else ""
        lines = ["SIP/2.0 200 OK"]
        for name in ("via", "record-route", "from", "to", "call-id", "cseq"):
            for value in request.all(name):
                if name == "to" and "tag=" not in value:
                    value += ";tag=mirror"
                lines.append(f"{name}: {value}")
        lines += [f"Contact: <sip:mirror@{host(self.address)}:{self.port}>",
                  "Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body]
        self.sip.sendto("\r\n".join(lines).encode(), peer)

    def sdp(self, offer):
        """The offer with our address, and a key that nobody uses."""
        key = base64.b64encode(os.urandom(30)).decode()
        family = "IP6" if ":" in self.address else "IP4"
        answer = re.sub(r"c=IN .*", f"c=IN {family} {self.address}\r", offer)
        answer = re.sub(r"m=audio \d+", f"m=audio {self.rtp.getsockname()[1]}", answer)
        return re.sub(r"inline:\S+", f"inline:{key}", answer)


def add_user(backend, user, address, port=5060):
    """Makes a user of the backend reachable at an address, without a REGISTER."""
    backend.rpc("ul.add", "location", f"{user}@{backend.lab.domain}",
                f"sip:{user}@{host(address)}:{port}", 3600, "1.0", "0", 0, 0, 0)


__all__ = ["Mirror", "add_user", "can_baresip", "start_baresip"]
