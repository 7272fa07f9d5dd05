# SPDX-License-Identifier: Apache-2.0
"""
Probe calls with media: real ones to baresip's echo behind a real Kamailio, plain and over SRTP; with
the media's way blocked, with a key that is not the one, refused; over a restart of control.
"""
import time
import unittest

from echo import Mirror, add_user, can_baresip, start_baresip
from harness import LabError, SystemTest, main, wait_for

BLOCK = """
add table inet media
add chain inet media input { type filter hook input priority 0 ; }
add rule inet media input udp dport != 5060 drop
"""
LOSE = """
add table inet media
add chain inet media input { type filter hook input priority 0 ; }
add rule inet media input udp dport != 5060 numgen inc mod 5 == 0 drop
"""
BLOCK_BACK = """
add chain inet media output { type filter hook output priority 0 ; }
add rule inet media output udp sport != 5060 drop
"""
MEDIA = {"uri": "sip:echo@{backend}", "interval": "1s", "fast_interval": "200ms", "timeout": "2s",
         "length": "500ms", "rise": 2, "fall": 3}


class MediaTest(SystemTest):
    """One Kamailio, and probe calls through it."""

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0]["health"] = {"slow_start": "0s", "passive": False}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kam = cls.lab.backends["kam1"]
        cls.lab.host("mirror", "10.0.0.31", side="inside")

    def configure(self, **media):
        """New probe calls; what was known of the backend's media is forgotten in between."""
        health = self.lab.config["pools"][0]["health"]
        health.pop("media", None)
        self.lab.reload()
        health["media"] = {**MEDIA, **media}
        self.lab.reload()

    def backend(self):
        return self.lab.ctl("show", "backends", json=True)[0]

    def wait_media(self, condition, what, timeout=30):
        """Until the backend's last probe call is so; what `show backends` says then."""
        def found():
            shown = self.backend()
            return shown if shown["media"] and condition(shown) else None
        try:
            return wait_for(found, timeout, what)
        except LabError as error:
            raise LabError(f"{error}; last: {self.backend()}") from None

    def wait_good(self):
        shown = self.wait_media(lambda b: b["media"]["verdict"] == "good", "media to be heard")
        media = shown["media"]
        self.say(f"good: answered in {media['answer_ms']} ms, {media['sent']} packets there, "
                 f"{media['received']} back, loss {100 * media['loss']:.1f} %, jitter "
                 f"{media['jitter_ms']:.1f} ms, round trip {media['round_trip_ms']:.1f} ms")
        return shown

    def assert_calls_end(self):
        """Every call that was accepted was acknowledged and ended, as the backend saw it."""
        def open_calls():
            calls = {}
            for message in self.kam.messages():
                calls.setdefault(message.call_id, set()).add((message.what, message.method))
            accepted = {call for call, seen in calls.items() if ("200", "INVITE") in seen}
            return accepted, {call for call in accepted
                              if not {("ACK", "ACK"), ("BYE", "BYE"), ("200", "BYE")} <= calls[call]}
        health = self.lab.config["pools"][0]["health"]
        health.pop("media", None)
        self.lab.reload()                  # no more of them
        wait_for(lambda: not open_calls()[1], 15, "every probe call to end")
        self.say(f"{len(open_calls()[0])} calls accepted so far, all ended by BYE")


@unittest.skipUnless(can_baresip(), "baresip-core is not installed")
class Media(MediaTest):

    options = {"ports": 2, "backends": 1, "ipv6": False}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.host("echo", "10.0.0.30", side="inside")
        cls.baresip = start_baresip(cls.lab, "echo")
        add_user(cls.kam, "echo", "10.0.0.30")
        add_user(cls.kam, "mirror", "10.0.0.31")

    def test_1_plain(self):
        self.configure()
        shown = self.wait_good()
        self.assertEqual(shown["state"], "up")
        self.assertEqual(shown["media"]["sent"], 25)
        self.assertLess(shown["media"]["loss"], 0.3)
        table = self.lab.ctl("show", "backends")[1]
        self.assertRegex(table, r"good, \d+\.\d ms, \d+% lost")
        self.assert_calls_end()

    def test_2_srtp(self):
        self.configure(srtp="sdes", codec="PCMA")
        shown = self.wait_good()
        self.assertEqual(shown["media"]["forged"], 0)
        self.assertLess(shown["media"]["loss"], 0.3)
        self.assert_calls_end()

    def test_3_blocked(self):
        """Signalling goes on, and nobody hears anything."""
        self.configure(srtp="sdes")
        self.wait_good()
        begun = time.monotonic()
        self.lab.exec("echo", "nft", BLOCK)                      # the echo speaks, of what it hears
        try:
            self.wait_media(lambda b: b["media"]["why"] == "200, but only silence came back",
                            "the echo's silence to be noticed")
            self.lab.exec("echo", "nft", BLOCK_BACK)
            self.wait_media(lambda b: b["media"]["why"] == "200, but no media came back",
                            "silence of the wire to be noticed")
            shown = self.wait_media(lambda b: b["health"] == "down", "the backend to be down")
            self.say(f"down after {time.monotonic() - begun:.1f} s: {shown['reason']}")
            self.assertIn("signalling, but no media since", shown["reason"])
            self.assertIn("200, but no media came back", shown["reason"])
            self.assertEqual(shown["media"]["verdict"], "bad")
            self.assertGreater(shown["latency_ms"], 0)           # OPTIONS are answered still
            self.lab.control.restart()
            shown = self.backend()
            self.assertEqual(shown["health"], "down")
            self.assertIn("no media", shown["reason"])
        finally:
            self.lab.exec("echo", "nft", "delete table inet media")
        begun = time.monotonic()
        self.wait_media(lambda b: b["health"] == "up", "the backend to be back")
        self.say(f"up {time.monotonic() - begun:.1f} s after media could pass")
        self.assert_calls_end()

    def test_4_loss(self):
        """Every fifth packet is lost on its way to the mirror, which sends back what is left."""
        self.lab.exec("mirror", "nft", LOSE)
        try:
            with Mirror(self.lab, "10.0.0.31", "mirror"):
                self.configure(uri="sip:mirror@{backend}", length="1s")
                media = self.wait_good()["media"]
                self.assertAlmostEqual(media["loss"], 0.2, delta=0.05)
                self.assertAlmostEqual(media["lost"] / media["sent"], 0.2, delta=0.05)
                self.assert_calls_end()
        finally:
            self.lab.exec("mirror", "nft", "delete table inet media")

    def test_5_another_key(self):
        with Mirror(self.lab, "10.0.0.31", "mirror") as mirror:
            self.configure(uri="sip:mirror@{backend}")
            shown = self.wait_good()                             # without SRTP it mirrors well
            self.assertEqual(shown["media"]["loss"], 0)
            self.configure(uri="sip:mirror@{backend}", srtp="sdes")
            shown = self.wait_media(lambda b: b["media"]["verdict"] == "bad" and
                                    b["health"] == "down", "the wrong key to be noticed")
            self.say(f"down: {shown['reason']}")
            self.assertRegex(shown["media"]["why"], "^SRTP authentication failed$")
            self.assertEqual(shown["media"]["received"], 0)
            self.assertGreater(shown["media"]["forged"], 10)
            self.assert_calls_end()
            self.assertIn("BYE", mirror.seen)

    def test_6_refused(self):
        self.configure(uri="sip:nobody@{backend}")
        shown = self.wait_media(lambda b: b["health"] == "down", "the refusals to be noticed")
        self.assertEqual(shown["media"]["why"], "answered 404")
        self.configure(uri="sip:echo@{backend}")
        self.wait_good()
        self.wait_media(lambda b: b["health"] == "up", "the backend to be back")
        self.assert_calls_end()


class MediaOverBoth(MediaTest):
    """A node with an address of each family calls backends from the one of theirs."""

    options = {"ports": 2, "backends": 1, "backends6": True}

    @classmethod
    def prepare(cls, lab):
        super().prepare(lab)
        lab.config["node_address6"] = lab.inside6

    def test_1_plain(self):
        lab, there = self.lab, self.lab.hosts["mirror"]
        for backend, user, address, ours in (
                (self.kam.address6, "mirror6", there.address6, lab.inside6),
                (self.kam.address, "mirror", there.address, lab.inside)):
            lab.pool()[0]["address"] = backend
            add_user(self.kam, user, address)
            with Mirror(lab, address, "mirror") as mirror:
                self.configure(uri=f"sip:{user}@{{backend}}")
                shown = self.wait_good()
                self.assertEqual(shown["media"]["loss"], 0)
                self.assert_calls_end()
                self.assertTrue(mirror.callers)
                self.assertEqual({caller.split("%")[0] for caller in mirror.callers}, {ours})


if __name__ == "__main__":
    main()
