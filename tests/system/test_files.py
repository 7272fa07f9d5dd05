# SPDX-License-Identifier: Apache-2.0
"""
Ports that are no wire: messages come from a capture file without end (pcap) and go nowhere (null),
as benchmarks want it. Every one of them must be forwarded.
"""
import struct
import sys

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from frames import udp_frame                                      # noqa: E402
from sip import request                                           # noqa: E402

CALLER = "192.0.2.21"
PCAP_HEADER = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
MESSAGES = 2000                    # distinct ones, over and over
ENOUGH = 20000                     # forwarded before we look


class Files(SystemTest):

    options = {"ipv6": False}

    @classmethod
    def prepare(cls, lab):
        capture = lab.dir / "in.pcap"
        with open(capture, "wb") as file:
            file.write(PCAP_HEADER)
            for number in range(MESSAGES):
                frame = udp_frame("02:00:00:00:00:01", "02:00:00:00:00:02", (CALLER, 5060),
                                  (lab.vip, 5060), request(
                                      "INVITE", "sip:bob@example.net", (CALLER, 5060),
                                      call_id=f"file-{number}@{CALLER}"))
                file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
        lab.config["dataplane"]["ports"] = [
            {"name": "outside", "driver": "pcap", "device": f"{capture},infinite_rx=1",
             "zone": "outside", "addresses": [f"{lab.vip}/24"]},
            {"name": "inside", "driver": "null", "zone": "inside",
             "addresses": [f"{lab.inside}/24"]}]

    def tearDown(self):
        """The input never ends, so the laws, which hold at rest, cannot be read off here."""
        self.assertTrue(self.lab.dataplane.running(), "the data plane died")

    def test_1_all_are_forwarded(self):
        wait_for(lambda: self.lab.stats()["counters"]["forwarded"] >= ENOUGH, 20,
                 f"{ENOUGH} messages forwarded")
        stats = self.lab.stats()
        counters = stats["counters"]
        self.assertTrue(all(worker["forwarded"] for worker in stats["workers"]))
        for name in ("replied", "dropped", "punted", "sip_no_route", "sip_tx_drop", "sip_mtu_drop",
                     "sip_held", "drop_frame_checksum", "drop_frame_truncated"):
            self.assertEqual(counters[name], 0, name)
        self.assertGreaterEqual(counters["sip_tx"], ENOUGH / 2)
        shares = {backend["name"]: backend["new"] + backend["requests"]
                  for backend in self.lab.ctl("show", "backends", json=True)}
        self.assertTrue(all(shares.values()), shares)
        self.say(f"{counters['forwarded']} of {counters['messages']} forwarded, {shares}")

    def counters(self):
        return self.lab.stats()["counters"]

    def test_2_stages(self):
        """Off, nothing is counted; on, each stage has its cycles, and people see them a message."""
        self.assertEqual(self.counters()["stage_messages"], 0)
        self.assertEqual(self.lab.ctl("stages", "on")[0], 0)
        wait_for(lambda: self.counters()["stage_messages"] >= ENOUGH, 20, "messages with cycles")
        counters = self.counters()
        cycles = {name.split("_")[-1]: value for name, value in counters.items()
                  if name.startswith("stage_cycles_")}
        self.assertEqual(set(cycles),
                         {"receive", "classify", "parse", "route", "rewrite", "transmit"})
        self.assertTrue(all(cycles.values()), cycles)
        self.assertLessEqual(sum(cycles.values()), counters["busy_cycles"])
        line = [line for line in self.lab.ctl("show", "stats")[1].splitlines()
                if line.startswith("cycles a message:")]
        self.say(line)
        self.assertEqual(len(line), 1)
        self.assertEqual(self.lab.ctl("stages", "off")[0], 0)
        before = self.counters()
        wait_for(lambda: self.counters()["messages"] > before["messages"], 20, "more messages")
        self.assertEqual(self.counters()["stage_messages"], before["stage_messages"])


if __name__ == "__main__":
    main()
