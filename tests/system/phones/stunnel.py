# SPDX-License-Identifier: Apache-2.0
"""
TLS for a client that speaks TCP: stunnel from Debian, one session for each of its connections. It
believes the laboratory's authority alone, and asks for the virtual address in the certificate.
"""
from sip import host

PORT = 15061
CONFIG = """
foreground = yes
pid =
debug = notice
[sips]
client = yes
accept = {address}:{port}
connect = {vip}:5061
local = {address}
CAfile = {ca}
verifyChain = yes
checkIP = {name}
"""


class Stunnel:
    """`target` is where clients in its namespace connect to."""

    def __init__(self, lab, host_name, six=False):
        there = lab.host(host_name)
        address, vip = (there.address6, lab.vip6) if six else (there.address, lab.vip)
        self.target = f"{host(address)}:{PORT}"
        path = lab.dir / f"stunnel-{host_name}{6 if six else 4}.conf"
        path.write_text(CONFIG.format(address=address, port=PORT, vip=vip, name=vip,
                                      ca=lab.authority.cert))
        self.process = lab.popen(host_name, "stunnel", path, name=path.stem)
        self.process.wait_line("Configuration successful", 10)

    def stop(self):
        self.process.stop()
