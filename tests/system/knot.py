# SPDX-License-Identifier: Apache-2.0
"""A real DNS server, Knot, in a host of its own, whose zone tests change."""

ADDRESS = "192.0.2.53"
HEAD = """
$ORIGIN example.test.
$TTL {ttl}
@        SOA   ns hostmaster {serial} 3600 600 86400 7
@        NS    ns
ns       A     {address}
"""


class Knot:
    """Authoritative for example.test, whose records are the text that zone(**records) makes."""

    def __init__(self, lab, zone, ttl=6):
        self.lab, self.dir, self.serial, self.zone, self.ttl = lab, lab.dir / "knot", 0, zone, ttl
        self.process = None
        lab.host("dns", ADDRESS)
        (self.dir / "run").mkdir(parents=True)
        (self.dir / "knot.conf").write_text(f"""
server:
    rundir: {self.dir}/run
    listen: {ADDRESS}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: {self.dir}
zone:
  - domain: example.test
    file: {self.dir}/zone
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
""")

    def write(self, **records):
        self.serial += 1
        head = HEAD.format(ttl=self.ttl, serial=self.serial, address=ADDRESS)
        (self.dir / "zone").write_text(head + self.zone(**records) + "\n")

    def start(self, **records):
        self.write(**records)
        self.process = self.lab.popen("dns", "knotd", "-c", self.dir / "knot.conf",
                                      name=f"knotd-{self.lab.next_number()}")
        self.process.wait_line(r"\[example\.test\.\] .*loaded.*serial", 15)

    def change(self, **records):
        """Another zone, served when this returns."""
        self.write(**records)
        self.process.signal(1)
        self.process.wait_line(rf"\[example\.test\.\] .*loaded.*-> {self.serial},", 15)

    def stop(self):
        self.process.stop()
