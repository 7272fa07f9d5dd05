# SPDX-License-Identifier: Apache-2.0
"""
Backends that are names: Knot says which Kamailios a cluster has, changes its mind while calls go on,
says nothing, and comes back.
"""
import sys
import time

sys.dont_write_bytecode = True

import knot                                                       # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone                                           # noqa: E402

TTL = 5
IP = {"kam1": "10.0.0.11", "kam2": "10.0.0.12", "kam3": "10.0.0.13"}
BY_SRV = """
example.test.   NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp
example.test.   NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
_sip._udp   SRV 10 75 5060 kam1
_sip._udp   SRV 10 25 5060 kam2
_sip._udp   SRV 20 100 5060 kam3
_sip._tcp   SRV 10 100 5060 kam3
only-tcp    NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp
vip         A 192.0.2.10
six         AAAA fd00:10::11
"""


def zone(at=("kam1", "kam2"), srv=BY_SRV):
    """Records of `cluster`, of each Kamailio, and by SRV."""
    return "\n".join([*(f"cluster A {IP[name]}" for name in at),
                      *(f"{name} A {address}" for name, address in IP.items()), srv])


def member(name, entry="kam"):
    return f"{entry}@{IP[name]}:5060"


class BackendsDns(SystemTest):
    options = {"backends": 3}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["dns"] = [knot.ADDRESS]
        lab.config["pools"][0]["backends"] = [{"name": "kam", "address": "cluster.example.test",
                                               "port": 5060, "weight": 100}]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.knot = knot.Knot(cls.lab, zone, TTL)

    def rows(self):
        return {row["name"]: row for row in self.lab.ctl("show", "backends", json=True)}

    def members(self):
        """Names of those that are in DNS, as control and data plane have them."""
        return {name for name, row in self.rows().items()
                if row["address"] and not row["lingering"]}

    def wait_members(self, *names, timeout=TTL + 5):
        begun = time.monotonic()
        wait_for(lambda: self.members() == set(names), timeout,
                 f"the members {names}; there are {self.members()}")
        self.lab.wait_acknowledged()
        return time.monotonic() - begun

    def use(self, **backend):
        """The pool's one backend from here on, by reload."""
        self.lab.config["pools"][0]["backends"] = [{"weight": 100, **backend}]
        self.lab.reload()

    def status(self):
        with Phone(self.lab, "caller", "tester") as phone:
            return phone.ask(phone.make("OPTIONS", "sip:nobody@" + self.lab.domain)).status

    def new_of(self, calls, since):
        """Calls that began after a moment, by the Kamailio that had them."""
        begun = {call: min((m[0].time, name) for name, m in found.items())
                 for call, found in calls.seen().items()}
        return {name: sum(1 for at, where in begun.values() if where == name and at > since)
                for name in IP}

    def test_1_first_start(self):
        """Control began without DNS: at once, without members, and says why; then they come."""
        lab = self.lab
        row, = self.rows().values()
        self.assertEqual((row["name"], row["address"], row["state"]), ("kam", None, "down"))
        self.assertIn("DNS", row["reason"])
        self.assertEqual(self.status(), 503)
        status, out, _ = lab.ctl("show", "backends")
        self.assertEqual(status, 0)
        self.say(f"without DNS: {' '.join(out.splitlines()[1].split())}")
        self.knot.start()
        took = self.wait_members(member("kam1"), member("kam2"), timeout=12)
        self.assertNotEqual(self.status(), 503)
        self.say(f"members {took:.1f} s after DNS: {sorted(self.members())}")
        dns = self.rows()[member("kam1")]["dns"]
        self.assertEqual((dns["name"], dns["lookup"], dns["outcome"]),
                         ("kam", "cluster.example.test", "found"))
        self.assertLessEqual(dns["seconds_left"], TTL)

    def test_2_change(self):
        """Under calls of 2 s kam1 leaves DNS and kam3 comes, then the other way round."""
        lab = self.lab
        calls = self.place([("uac", "uas"), ("uac_wait_bye", "uas_bye")], calls=5000, rate=50,
                           hold_ms=2000, tag="change")
        calls.wait_created(100)
        slot = self.rows()[member("kam1")]["slot"]
        self.knot.change(at=("kam2", "kam3"))
        took = self.wait_members(member("kam2"), member("kam3"))
        changed = time.time()
        self.assertIn((True, "draining"), {(row["lingering"], row["state"])
                                           for row in self.rows().values()})
        created = calls.created()
        calls.wait_created(created + 150)
        back = time.time()
        self.knot.change(at=("kam1", "kam2"))
        self.wait_members(member("kam1"), member("kam2"))
        returned = time.time()
        self.assertEqual(self.rows()[member("kam1")]["slot"], slot)
        created = calls.created()
        calls.wait_created(created + 100)
        calls.end()
        self.assert_one_backend(calls.seen(), ("INVITE", "200", "ACK", "BYE"))
        between, after = self.new_of(calls, changed + 0.5), self.new_of(calls, returned + 0.5)
        late = [call for call, found in calls.seen().items() if "kam1" in found
                and changed + 0.5 < found["kam1"][0].time < back]
        self.say(f"{took:.1f} s after the zone changed: new calls {between}, none at kam1 until it "
                 f"came back; then {after}")
        self.assertEqual(late, [], "new calls at a member that had left")
        self.assertGreater(between["kam3"], 0)
        self.assertGreater(after["kam1"], 0)
        self.assertEqual(after["kam3"], 0)
        self.assertIn(f"+{member('kam3')} -{member('kam1')}", lab.control.log())

    def test_3_srv(self):
        """75 to 25 by SRV, by the table and by calls; kam3 when the others are gone; NAPTR."""
        self.use(name="kam", srv="_sip._udp.example.test")
        wait_for(lambda: self.rows()[member("kam2")]["weight"] == 33, 10, "the SRV records' weights")
        self.lab.wait_acknowledged()
        self.assertEqual(self.members(), {member("kam1"), member("kam2")})
        rows = self.rows()
        shares = {name: rows[member(name)]["share_expected"] for name in ("kam1", "kam2")}
        self.assertEqual([rows[member(name)]["weight"] for name in shares], [100, 33])
        self.assertAlmostEqual(shares["kam1"], 0.75, delta=0.01)
        calls = self.place([("uac", "uas")], calls=400, rate=80, hold_ms=100, port=6200, tag="srv")
        calls.finish()
        counts = self.shares(calls.seen())
        self.say(f"by SRV 75 to 25: table {shares}, calls {counts}")
        self.assertEqual(counts["kam3"], 0)
        self.assertTrue(250 < counts["kam1"] < 350, counts)
        self.knot.change(srv=BY_SRV.replace("SRV 10 75 5060 kam1", "SRV 30 75 5060 kam1").replace(
            "SRV 10 25 5060 kam2", "SRV 30 25 5060 kam2"))
        self.wait_members(member("kam3"))
        self.assertEqual(self.rows()[member("kam3")]["weight"], 100)
        self.knot.change()
        self.wait_members(member("kam1"), member("kam2"))
        self.use(name="all", srv="example.test")          # NAPTR: UDP alone is ours
        self.assertEqual(self.members(), {member("kam1", "all"), member("kam2", "all")})
        self.assertNotEqual(self.status(), 503)
        self.use(name="tcp", srv="only-tcp.example.test")
        self.assertEqual(self.rows()["tcp"]["dns"]["outcome"], "none")
        self.assertIn("knows no address", self.rows()["tcp"]["reason"])
        self.assertEqual(self.status(), 503)

    def test_4_left_out(self):
        """An IPv6 address; a member at another backend's address, and one at our own."""
        lab = self.lab
        self.use(name="six", address="six.example.test", port=5060)
        self.wait_members("six@[fd00:10::11]:5060")
        calls = self.place([("uac", "uas")], calls=20, rate=20, hold_ms=100, port=6250, tag="six")
        calls.finish()
        lab.pool()[:] = [{"name": "kam1", "address": IP["kam1"], "port": 5060, "weight": 100},
                         {"name": "kam", "address": "cluster.example.test", "port": 5060},
                         {"name": "vip", "address": "vip.example.test", "port": 5060}]
        lab.reload()
        self.wait_members("kam1", member("kam2"))
        self.assertIn(f"{member('kam1')} is left out: {IP['kam1']}:5060 is known as backend kam1",
                      lab.control.log())
        wait_for(lambda: "vip@192.0.2.10:5060 is left out" in lab.control.log(), 5, "the log")
        self.assertIn("see the log", self.rows()["vip"]["reason"])

    def test_5_operator(self):
        """Drain and weight of a name hold for its members, those to come too; and of one alone."""
        lab = self.lab
        self.use(name="kam", address="cluster.example.test", port=5060)
        self.wait_members(member("kam1"), member("kam2"))
        status, out, err = lab.ctl("drain", "kam", "--dry-run")
        self.assertEqual(status, 0, err)
        self.assertIn("kam has 100.0% of the new calls", out)
        self.assertIn("NO backend", out)
        self.assertEqual(lab.ctl("drain", member("kam1"))[0], 0)
        self.assertEqual([self.rows()[member(name)]["admin"] for name in ("kam1", "kam2")],
                         ["draining", "up"])
        calls = self.place([("uac", "uas")], calls=100, rate=50, hold_ms=1000, port=6300,
                           tag="drain")
        calls.wait_created(20)
        self.assertEqual(lab.ctl("enable", member("kam1"))[0], 0)
        calls.finish()
        status, out, err = lab.ctl("drain", "kam", "--wait", "--calls-only", "--timeout", "10s")
        self.assertEqual(status, 0, f"{out}{err}")
        self.assertEqual(self.status(), 503)
        self.knot.change(at=("kam1", "kam2", "kam3"))
        self.wait_members(*map(member, IP))
        lab.control.restart()
        lab.wait_acknowledged()
        time.sleep(0.5)                    # a plan of its own would come within that
        self.assertNotIn("members by DNS", lab.control.log(),
                         "the first snapshot was not that of DNS's members")
        self.assertEqual({row["admin"] for row in self.rows().values()
                          if row["address"] and row["name"].startswith("kam@")}, {"draining"})
        self.assertEqual(lab.ctl("enable", "proxies/kam")[0], 0)
        self.assertNotEqual(self.status(), 503)
        self.assertEqual(lab.ctl("weight", "kam", "7")[0], 0)
        self.assertEqual({self.rows()[member(name)]["weight"] for name in IP}, {7})
        self.assertEqual(lab.ctl("weight", "kam", "default")[0], 0)
        self.assertEqual({self.rows()[member(name)]["weight"] for name in IP}, {100})

    def test_6_dns_dead(self):
        """DNS dies, and control is killed and starts again without it: calls go on."""
        lab = self.lab
        calls = self.place([("uac", "uas"), ("uac_wait_bye", "uas_bye")], calls=5000, rate=50,
                           hold_ms=1000, port=6400, tag="dead")
        calls.wait_created(50)
        self.knot.stop()
        wait_for(lambda: self.rows()[member("kam1")]["dns"]["outcome"] == "failed", 20,
                 "the answer to be too old")
        self.assertEqual(self.members(), set(map(member, IP)))
        lab.control.kill9()
        begun = time.monotonic()
        lab.control.start()
        lab.wait_acknowledged()
        took = time.monotonic() - begun
        self.assertEqual(self.members(), set(map(member, IP)))
        wait_for(lambda: self.rows()[member("kam1")]["dns"]["outcome"] == "failed", 10, "DNS")
        at = time.time()
        created = calls.created()
        calls.wait_created(created + 150)
        calls.end()
        new = self.new_of(calls, at)
        self.say(f"control was back after {took:.1f} s without DNS; new calls since: {new}")
        self.assertEqual(min(new.values()) > 0, True, new)
        self.knot.start(at=("kam2", "kam3"))
        self.wait_members(member("kam2"), member("kam3"), timeout=15)


if __name__ == "__main__":
    main()
