# SPDX-License-Identifier: Apache-2.0
"""
What the data plane counts of each backend for passive detection: final responses, and datagrams that
ICMP says did not arrive. A backend is killed and its host says so; others who say so are not believed,
with a port for each side and with one for both.
"""
import sys
import time

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from frames import ethernet, kind_of, unreachable                 # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import mac, send_frames                                # noqa: E402
from sip import Peer                                              # noqa: E402

TOLD = 10                         # frames of each kind


class PassiveTest:
    """Over both families; the classes below say over which ports."""

    def setUp(self):
        self.lab.host("mallory", "192.0.2.67")
        self.answered_by_all()

    def answered_by_all(self):
        self.answerers = set()
        with Peer(self.lab, "caller", address=self.address("caller")) as phone:
            # With one port a backend is believed once its MAC address is known.
            wait_for(lambda: self.answerers.add(getattr(
                phone.final(phone.options(), 1), "get", str)("server"))
                     or self.answerers == set(self.lab.backends), 20, "every backend to answer")

    def counts(self):
        """Backend's name → what `show backends` says of it."""
        return {row["name"]: row for row in self.lab.ctl("show", "backends", json=True)}

    def moved(self, before, key):
        return {name: row[key] - before[name][key] for name, row in self.counts().items()}

    def tell(self, host, about, sender, as_mac=None):
        """TOLD frames from a host, in which `sender` says that a backend's port is closed."""
        lab = self.lab
        inside = host in lab.backends and lab.ports == 2
        device = "port1" if inside else "port0"
        said = unreachable(sender, (self.vip, 5060), (self.address(about), 5060), b"x" * 200)
        before = laws.settled(lab)
        send_frames(lab.namespace(host), [
            ethernet(as_mac or mac(lab, host, "eth0"), mac(lab, "appliance", device),
                     kind_of(self.vip), said)] * TOLD)
        wait_for(lambda: laws.Stats(lab).since(before).get("tap_delivered", 0) >= TOLD, 5,
                 "the frames to come to the kernel's side")

    def test_1_forged(self):
        """Forged from outside it counts nothing, though the backend itself would be believed."""
        lab = self.lab
        kam1, kam2 = self.address("kam1"), self.address("kam2")
        before = self.counts()
        self.tell("mallory", "kam1", kam1)
        self.tell("mallory", "kam1", self.address("mallory"))
        if lab.ports == 2:
            self.tell("mallory", "kam1", kam1, mac(lab, "kam1", "eth0"))
            self.tell("mallory", "kam1", lab.inside6 if self.six else lab.inside)
        else:                     # a backend may speak for itself alone
            self.tell("kam2", "kam1", kam1)
            self.tell("kam2", "kam1", kam2)
        self.assertEqual(self.moved(before, "unreachable"), dict.fromkeys(lab.backends, 0))
        self.tell("kam2", "kam2", kam2)
        self.assertEqual(self.moved(before, "unreachable"),
                         {**dict.fromkeys(lab.backends, 0), "kam2": TOLD})
        self.say(f"forged: {4 * TOLD} frames, none counted; true: {TOLD} of {TOLD}")

    def test_2_busy_share(self):
        """Each worker says what share of its time it worked: some of it, and not all."""
        shares = [worker["busy_cycles"] / worker["cycles"]
                  for worker in self.lab.stats()["workers"]]
        self.say("busy shares of the workers: " + ", ".join(f"{share:.2%}" for share in shares))
        self.assertTrue(all(0 < share < 1 for share in shares))

    def test_3_gone(self):
        """Its host is gone without a word: ARP or ND says so, without a call that it fails."""
        lab = self.lab
        before = self.counts()
        lab.net.ip("kam3", "link", "set", "eth0", "down")
        gone = time.monotonic()
        for tap in lab.config["dataplane"]["ports"]:
            lab.net.ip("appliance", "neigh", "flush", "dev", tap["tap"])
        wait_for(lambda: self.moved(before, "unreachable")["kam3"] > 0, 20,
                 "the neighbour to have failed")
        took = time.monotonic() - gone
        self.assertEqual(self.moved(before, "unreachable"), {
            **dict.fromkeys(lab.backends, 0), "kam3": self.moved(before, "unreachable")["kam3"]})
        lab.net.ip("kam3", "link", "set", "eth0", "up")
        if lab.ipv6:              # the interface lost them
            lab.net.address("kam3", f"{lab.host('kam3').address6}/64")
        lab.net.ip("kam3", "route", "replace", "default", "via", lab.inside)
        lab.net.ip("kam3", "-6", "route", "replace", "default", "via", lab.inside6)
        self.answered_by_all()
        self.say(f"gone: told after {took:.1f} s, back")

    def test_4_killed(self):
        """Its host's kernel says so of each datagram, as far as it cares; the others go on."""
        lab = self.lab
        before = self.counts()
        pairs = [("uac", "uas")]
        self.place(pairs, calls=30, rate=60, hold_ms=100, tag="up",
                   address=self.address("caller"), callee_address=self.address("callee")).finish()
        up = self.moved(before, "finals")
        self.assertTrue(all(number > 0 for number in up.values()), up)
        for key in ("busy", "errors", "unreachable"):
            self.assertEqual(set(self.moved(before, key).values()), {0}, key)
        before = self.counts()
        calls = self.place(pairs, calls=600, rate=100, hold_ms=100, tag="killed", port=6200,
                           address=self.address("caller"), callee_address=self.address("callee"))
        calls.wait_created(20)
        lab.backends["kam1"].kill9()
        killed = time.monotonic()
        wait_for(lambda: self.moved(before, "unreachable")["kam1"] > 0, 5,
                 "an unreachable of the killed backend")
        took = time.monotonic() - killed
        at_kill = self.counts()
        others = [name for name in lab.backends if name != "kam1"]
        wait_for(lambda: all(self.moved(at_kill, "finals")[name] > 10 for name in others), 5,
                 "final responses of the others")
        for client, server in calls.pairs:
            client.stop()
            server.stop()
        refused = self.moved(before, "unreachable")
        finals = self.moved(at_kill, "finals")
        self.say(f"killed: unreachable after {took * 1000:.0f} ms; in all {refused}; "
                 f"finals since {finals}; before, of 30 calls, {up}")
        self.assertEqual({name: refused[name] for name in others}, dict.fromkeys(others, 0))
        self.assertEqual(finals["kam1"], 0)


class TwoPorts(PassiveTest, SystemTest):
    pass


class OnePort(PassiveTest, SystemTest):
    options = {"ports": 1, "backends6": True}
    six = True


if __name__ == "__main__":
    main()
