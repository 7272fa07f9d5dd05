# SPDX-License-Identifier: Apache-2.0
"""
Calls without end at a steady rate, for events in their midst, and what became of each: at the
callers and callees by SIPp's words, at the backends by their logs, on the wire by a capture.

Both drivers bore 200 calls a second of 5 s over four Kamailios on two CPUs with none failed, so
that is the rate everywhere; nothing is measured first.

    TANDEM_LONG     1: calls of 5 s, not of 2
    TANDEM_SIX      1: everybody talks IPv6
"""
import math
import os
import re
import struct
from collections import namedtuple

from harness import seen
from lab import LabError, wait_for
from lab.sipp import SCENARIOS

LONG = os.environ.get("TANDEM_LONG") == "1"
RATE, HOLD_MS = 200, 5000 if LONG else 2000
FULL_S = HOLD_MS / 1000 + 1        # until calls end as fast as they begin
SIX = os.environ.get("TANDEM_SIX") == "1"
LAB = {"backends": 4, "ipv6": SIX, "backends6": SIX}     # the laboratory's options
USERS = 10
FOREVER_S = 3600                   # SIPp wants a number of calls
PATIENCE_MS = 12000                # what a caller waits for an answer, instead of 40 s
# What SIPp says of a call that it gives up; of others it may say something too.
GIVEN_UP = re.compile(r"(?:Aborting call on[^\n]*Call-I[dD] '?|Call-Id: )"
                      r"(\d+-[a-z0-9]+-load-\d+@caller)")
PCAP_HEADER, PCAP_RECORD = 24, 16

# Of one run. again: retransmissions, callers' and callees'; lost: Call-IDs of calls that failed at
# the caller; unsettled: calls that failed at the callee only.
Outcome = namedtuple("Outcome", "placed answered failed again lost unsettled errors")


class Load:
    """Callers and callees at work from here on, until end()."""

    def __init__(self, test, tag, rate=RATE, hold_ms=HOLD_MS, port=6400):
        self.test, self.lab, self.tag, self.rate = test, test.lab, tag, rate
        self.hold_s = hold_ms / 1000
        names = [f"{tag}u{user}" for user in range(USERS)]
        callee = test.address("callee")
        self.lab.register("callee", names, port=port, address=callee)
        self.server = self.lab.sipp("callee", self.impatient("uas"), port=port, address=callee)
        self.client = self.lab.sipp(
            "caller", self.impatient("uac"), calls=rate * FOREVER_S, rate=rate, users=names,
            hold_ms=hold_ms, port=port + 1, limit=rate * 40, address=test.address("caller"),
            call_id=f"%u-{tag}-load-{self.lab.next_number()}@caller")
        wait_for(lambda: self.created() > 0, 10, "the first call")

    def impatient(self, name):
        """
        The path of a scenario like that one whose calls fail sooner, also while they ring: SIPp
        waits with the patience of the first answer that may come, an optional one.
        """
        text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
        patience = f'timeout="{PATIENCE_MS}"'
        text = text.replace('timeout="40000"', patience)
        path = self.lab.dir / f"{name}-impatient.xml"
        ringing = re.compile(r'<recv response="1\d\d" optional="true"')
        path.write_text(ringing.sub(rf"\g<0> {patience}", text))
        return path

    def created(self):
        return self.client.result().created

    def again(self):
        """Retransmissions until now."""
        return self.client.result().retransmissions + self.server.result().retransmissions

    def end(self):
        """No more calls; those in progress end. Outcome."""
        result = self.client.finish(self.hold_s + 3 * PATIENCE_MS / 1000)
        server = self.server.finish()
        said = self.client.errors(10**6)
        lost = set(GIVEN_UP.findall(said))
        unsettled = max(0, server.failed - result.failed)
        if result.created != result.successful + result.failed:
            raise LabError(f"calls that neither ended nor failed: {result}")
        return Outcome(result.created, result.successful, result.failed,
                       result.retransmissions + server.retransmissions, lost, unsettled,
                       f"{said[:1500]}\n{self.server.errors(10)[:1500]}")

    def seen(self):
        """Call-ID → {backend's name: its Messages}."""
        return seen(self.lab, lambda call_id: f"-{self.tag}-load-" in call_id)


def probed_from(lab):
    """The configuration's node_address, of the backends' family."""
    return lab.inside6 if SIX else lab.inside


def repeats(by_call):
    """
    Requests that came to a backend again: (when, method, seconds after the first, whether it had a
    final answer by then). ACKs are none: those of a repeated answer are repeated.
    """
    found = []
    for backends in by_call.values():
        first, answered = {}, {}
        for message in sorted((m for messages in backends.values() for m in messages),
                              key=lambda m: m.time):
            key = (message.cseq, message.method)
            if message.what.isdigit():
                if int(message.what) >= 200:
                    answered.setdefault(key, message.time)
            elif message.what != "ACK":
                # The way to the callee leads by the backend once: a second time is again.
                if key in first:
                    found.append((message.time, message.what, message.time - first[key],
                                  key in answered))
                first.setdefault(key, message.time)
    return found


class Story:
    """One call as the backends logged it."""

    def __init__(self, found):
        self.where = sorted(found)
        self.messages = sorted(((m.time, name, m) for name, messages in found.items()
                                for m in messages), key=lambda entry: entry[0])
        self.begun, self.first, _ = self.messages[0]

    def at(self, what, method, before=math.inf):
        """The name of the backend that logged this method or status first; None: nobody did."""
        return next((name for time, name, m in self.messages
                     if m.what == what and m.method == method and time < before), None)


class Wire:
    """
    The INVITEs that are sent to an address, seen at the switch: also when the host there is gone.
    """

    def __init__(self, lab, address, method="INVITE"):
        self.path = lab.dir / f"wire-{lab.next_number()}.pcap"
        device = f"appliance-port{lab.ports - 1}"[:15]
        begin = "ip6[48:4]" if ":" in address else "udp[8:4]"
        self.process = lab.popen("switch", "tcpdump", "-i", device, "-Z", "root", "-U", "-n",
                                 "-w", self.path, f"udp and dst host {address} and "
                                 f"{begin} = 0x{method[:4].encode().hex()}")

    def __enter__(self):
        self.process.wait_line("listening on", 10)
        return self

    def __exit__(self, *_):
        self.process.stop()

    def first(self):
        """Call-ID → the time of its first one, in epoch seconds."""
        data, at, found = self.path.read_bytes(), PCAP_HEADER, {}
        while at + PCAP_RECORD <= len(data):
            s, us, length, _ = struct.unpack_from("<IIII", data, at)
            frame = data[at + PCAP_RECORD:at + PCAP_RECORD + length]
            at += PCAP_RECORD + length
            match = re.search(rb"\r\nCall-ID: *(\S+)", frame)
            if match:
                found.setdefault(match[1].decode(), s + us / 1e6)
        return found


def spread(counts, percent=5):
    """
    How far counts are from even, in percent of even, and how far they may be: `percent`, and four
    standard deviations of so few calls.
    """
    total, even = sum(counts), sum(counts) / len(counts)
    chance = 1 / len(counts)
    far = max(abs(count - even) for count in counts) / even * 100
    return far, percent + 400 * math.sqrt((1 - chance) / (total * chance))
