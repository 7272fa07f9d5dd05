# SPDX-License-Identifier: Apache-2.0
"""
The messages of RFC 4475 and RFC 5118 as datagrams through the running data plane: each gets one of
the verdicts that the corpus's VERDICTS.tsv allows, and is counted as such. The virtual address is
one that no message names, the only backend a sink that never answers.
"""
import csv
import re
import sys
import time
import unittest

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import CORPUS, SystemTest, main, wait_for            # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from sip import Message, Peer                                     # noqa: E402

VIP, SENDER, SINK = "198.51.100.10", "198.51.100.77", "10.0.0.99"
# Valid syntax must not count as malformed, and the reverse; by the names of the counters.
DROP_REASON = {
    "rfc4475/unreason.dat": "drop_via_not_ours",
    "rfc4475/noreason.dat": "drop_via_not_ours",
    "rfc4475/bcast.dat": "drop_via_not_ours",
    "rfc4475/scalarlg.dat": "drop_malformed_response",
    "rfc4475/bigcode.dat": "drop_malformed_response",
}
# A To that can be read, and so be given a tag (RFC 3261 §25.1, loosely).
TO = re.compile(r"""(("([^"\\]|\\.)*"|[-\w.!%*+`'~ \t]*)\s*<[^<>"]*>|[A-Za-z][^,\s<>"]*)\s*(;.*)?""")


def table(name):
    with open(CORPUS / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def on_the_wire(row, manifest):
    """The datagram of a file, with CRLF as line ends."""
    data = (CORPUS / row["file"]).read_bytes()
    if manifest[row["file"]]["eol"] == "lf":
        data = data.replace(b"\n", b"\r\n")
    return data


def reply_ports(asked, source_port):
    """Ports that a reply may go to: rport's, the sent-by port; either when the Via is no Via."""
    via = asked.get("via") or ""
    if re.search(r";\s*rport\b", via):
        return {source_port}
    match = re.match(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+(?:\[[^]]+\]|[^\s:;,]+)(?:\s*:\s*(\d+))?"
                     r"\s*(.*)", via)
    port = int(match[1] or 5060) if match else 5060
    readable = match and "received" not in via and not re.search(r";\s*[;,]", match[2])
    return {port} if readable else {port, source_port}


@unittest.skipUnless((CORPUS / "VERDICTS.tsv").exists(), "the corpus is absent")
class Verdicts(SystemTest):

    options = {"backends": 0, "ipv6": False}

    @classmethod
    def prepare(cls, lab):
        lab.config["dataplane"]["ports"][0]["addresses"] = [f"{VIP}/24"]
        lab.config["services"][0]["listen"] = [{"transport": "udp", "address": VIP, "port": 5060}]
        lab.config["pools"][0]["backends"] = [{"name": "sink", "address": SINK, "port": 5060,
                                               "weight": 100}]

    def test_1_corpus(self):
        lab = self.lab
        lab.host("sender", SENDER)
        lab.host("sink", SINK, "inside")
        manifest = {row["file"]: row for row in table("MANIFEST.tsv")}
        rows = table("VERDICTS.tsv")
        self.assertGreaterEqual(len(rows), 50)
        wrong, tally = [], {}
        with Peer(lab, "sink", 5060) as sink, Peer(lab, "sender", 5066) as sender, \
                Capture(lab.namespace("sender")) as wire:
            sender.target = (VIP, 5060)
            self.warm(sender, sink)
            before = laws.settled(lab)
            for row in rows:
                got, why, before = self.one(row, on_the_wire(row, manifest), sink, sender, wire,
                                            before)
                tally[got] = tally.get(got, 0) + 1
                if why or got not in row["verdict"].split("|"):
                    wrong.append(f"{row['file']}: wants {row['verdict']}, got {got} {why}")
        self.say(f"{len(rows)} messages: {tally}")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def warm(self, sender, sink):
        """The sink's MAC address is learned by a message of its own."""
        def through():
            sender.send(sender.request("OPTIONS", "sip:warm@example.net"))
            return sink.receive(0.3)
        wait_for(through, 10, "the sink to be reached")
        while sink.receive(0.3):
            pass

    def counted(self, before):
        """Stats once another message was received and nothing is in mid-step."""
        now = laws.Stats(self.lab)
        return now if now["messages"] > before["messages"] and now.stable else None

    def one(self, row, data, sink, sender, wire, before):
        """(what became of one message, what was wrong with that, Stats after it)."""
        asked = Message(data)
        already = len(self.replies(wire))
        sender.send(data)
        after = wait_for(lambda: self.counted(before), 3, f"{row['file']} to be counted")
        moved = after.since(before)
        if moved.get("messages") != 1:
            return "?", f"counted {moved.get('messages')} times", after
        verdicts = [name for name in moved if name.startswith("verdict_")]
        if moved.get("forwarded"):
            got, why = "forward", self.forwarded(asked, sink)
        elif moved.get("replied"):
            got, why = self.replied(asked, sender, wire, already, verdicts)
        else:
            got = "drop" if moved.get("dropped") else "punt"
            wanted = DROP_REASON.get(row["file"])
            why = f"as {verdicts}, not {wanted}" if wanted and verdicts != [f"verdict_{wanted}"] \
                else ""
            time.sleep(0.02)
        stray = sink.receive(0)
        if stray:
            why += f" the sink also got {stray.start!r}"
        if got in ("forward", "drop") and len(self.replies(wire)) != already:
            why += " there was a reply too"
        return got, why, after

    def forwarded(self, asked, sink):
        """What is wrong with what the sink got."""
        came = sink.receive(2)
        if came is None:
            return "but nothing came"
        faults = []
        if came.start != asked.start:
            faults.append(f"start-line {came.start!r}")
        if came.all("call-id") != asked.all("call-id"):
            faults.append(f"Call-ID {came.all('call-id')}")
        if VIP not in (came.get("via") or "") or not (came.branch or "").startswith("z9hG4bK"):
            faults.append(f"top Via {came.get('via')!r}")
        length = asked.get("content-length")
        body = asked.body[:int(length)] if length else asked.body
        if not came.body.startswith(body):
            faults.append("another body")
        for name in ("from", "to", "cseq", "contact"):
            if came.all(name) != asked.all(name):
                faults.append(f"{name} {came.all(name)}")
        return ", ".join(faults)

    def replies(self, wire):
        return [packet for packet in wire.packets(protocol=UDP, outgoing=False)
                if packet.source == VIP]

    def replied(self, asked, sender, wire, already, verdicts):
        """(status, what is wrong with the reply that came to the sender)."""
        wait_for(lambda: len(self.replies(wire)) > already, 2, f"the reply to {asked.start!r}")
        packet = self.replies(wire)[already]
        came = Message(packet.payload)
        faults = []
        if packet.source_port != 5060:
            faults.append(f"from port {packet.source_port}")
        if packet.destination_port not in reply_ports(asked, sender.address[1]):
            faults.append(f"to port {packet.destination_port}")
        if verdicts and not verdicts[0].startswith(f"verdict_{came.status}_"):
            faults.append(f"counted as {verdicts}")
        if came.get("call-id") != asked.get("call-id"):
            faults.append(f"Call-ID {came.get('call-id')!r}")
        if TO.fullmatch(asked.get("to") or "") and not came.to_tag:
            faults.append("no To-tag")
        if len(came.all("via")) != len(asked.all("via")):
            faults.append(f"Vias {came.all('via')}")
        if came.get("content-length") != "0" or came.body:
            faults.append("a body")
        return str(came.status), ", ".join(faults)


if __name__ == "__main__":
    main()
