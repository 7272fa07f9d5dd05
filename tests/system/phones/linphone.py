# SPDX-License-Identifier: Apache-2.0
"""linphone from Debian (linphone-cli's daemon) as a phone over a stream, driven by its own socket."""
import os
import re
import shutil
import socket
import time
from pathlib import Path

from lab import LabError, wait_for

# It trusts the laboratory's authority alone, has no sound device, and asks nobody for STUN.
CONFIG = """
[sip]
root_ca={ca}
verify_server_certs=1
verify_server_cn=1
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
guess_hostname=1
media_encryption=none
lime=0
use_ipv6={six}

[net]
firewall_policy=0
mtu=1400
dns_srv_enabled=0

[rtp]
audio_rtp_port=7078

[video]
enabled=0
capture=0
display=0

[misc]
config_version=1
"""


def can_linphone():
    return shutil.which("linphone-daemon") is not None


class Linphone:
    """A user registered by one connection; its answers are `Name: value` lines."""

    def __init__(self, lab, host_name, user, transport="tls", six=False):
        self.lab, self.user = lab, user
        directory = lab.dir / f"linphone-{user}"
        (directory / ".local/share/linphone").mkdir(parents=True)
        path = directory / "linphonerc"
        path.write_text(CONFIG.format(ca=lab.authority.cert if lab.authority else "", six=int(six)))
        # The daemon puts its socket in /tmp, whatever it is told.
        self.pipe_path = Path(f"/tmp/tandem-{os.getpid()}-{user}")
        # Certificates name the domain, so it must have an address. Mounts are those of `ip netns`.
        hosts = directory / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{lab.vip6 if six else lab.vip} {lab.domain}\n")
        self.process = lab.popen(
            host_name, "sh", "-ec", 'mount --bind "$1" /etc/hosts; shift; exec "$@"', "sh", hosts,
            "env", f"HOME={directory}", "linphone-daemon", "--pipe", self.pipe_path.name,
            "--config", path, "--log", directory / "log", name=f"linphone-{user}")
        self.log_path = directory / "log"
        self.socket = wait_for(self.connect, 15, f"linphone of {user} to listen")
        self.command(f"register {self.aor} sip:{lab.domain};transport={transport}")
        wait_for(lambda: self.command("register-status ALL").get("State") ==
                 "LinphoneRegistrationOk", 15, f"linphone to register {user}\n{self.log()}")

    @property
    def aor(self):
        return f"sip:{self.user}@{self.lab.domain}"

    def log(self, lines=30):
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return self.process.tail(lines)

    def connect(self):
        """It takes one client, for good."""
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(self.pipe_path))
            return made
        except OSError:
            made.close()
            return None

    def command(self, line, timeout=6):
        """A command's answer, {name: value}; LabError when it is refused."""
        said, deadline = "", time.monotonic() + timeout
        self.socket.sendall(f"{line}\n".encode())
        # An answer has no end but that no more comes.
        while time.monotonic() < deadline:
            self.socket.settimeout(0.05 if "Status: " in said else timeout)
            try:
                more = self.socket.recv(65536).decode(errors="replace")
            except TimeoutError:
                break
            if not more:
                break
            said += more
        found = dict(re.findall(r"^([A-Za-z-]+): ?(.*)$", said, re.MULTILINE))
        if found.get("Status") != "Ok":
            raise LabError(f"linphone of {self.user}, {line}: {said}\n{self.log()}")
        return found

    def in_call(self, state):
        """Waits until its call is in this state."""
        def there():
            try:
                return self.command("call-status").get("State", "").strip() == state
            except LabError:                     # there is none
                return False
        wait_for(there, 10, f"linphone of {self.user} to be in {state}")
        return self

    def dial(self, uri):
        self.command(f"call {uri}")

    def answer(self):
        self.in_call("LinphoneCallIncomingReceived").command("answer")

    def established(self):
        self.in_call("LinphoneCallStreamsRunning")

    def hang_up(self):
        self.command("terminate")

    def closed(self):
        """Waits until there is no call."""
        def none():
            try:
                return not self.command("call-status")
            except LabError as error:
                return "No current call" in str(error)
        wait_for(none, 10, f"the call of {self.user} to end")

    def stop(self):
        self.socket.close()
        self.process.stop(5)
        self.pipe_path.unlink(missing_ok=True)
