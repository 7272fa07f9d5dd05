# SPDX-License-Identifier: Apache-2.0
"""
Taking backends out while calls go on: what a dry run says, waiting until the last call has ended,
through a restart of control, giving up, and a node that drains.
"""
import contextlib
import re
import signal
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone                                           # noqa: E402


def waiter(lab, *words):
    """A tandemctl drain that waits, as a process."""
    return lab.popen("appliance", lab.build / "control/tandemctl", "--socket",
                     lab.control_socket, "drain", *words)


EXPIRES_S = 15                     # of the phones that do not refresh; Kamailio takes 10 and more


class Drain(SystemTest):
    options = {"backends": 3}

    def setUp(self):
        self.lab.ctl("enable", "node")
        for name in self.lab.backends:
            self.assertEqual(self.lab.ctl("enable", name)[0], 0)

    def waiter(self, *words):
        return waiter(self.lab, *words)

    def backend(self, name):
        return next(backend for backend in self.lab.ctl("show", "backends", json=True)
                    if backend["name"] == name)

    def dry_run(self, name):
        """Shares that a drain would move: {backend: percent}; and calls in progress."""
        status, out, err = self.lab.ctl("drain", name, "--dry-run")
        self.assertEqual(status, 0, err)
        self.assertIn("nothing was changed", out)
        self.assertIn("live dialogs that move: 0", out)
        own = float(re.search(rf"{name} has ([0-9.]+)% of the new calls", out)[1])
        others = dict(re.findall(r"(kam\d) ([0-9.]+)%", out))
        return own, {other: float(share) for other, share in others.items()}, int(
            re.search(r"which would go on: (\d+)", out)[1])

    def test_1_wait_until_empty(self):
        """
        Under calls of 4 s: a dry run that changes nothing, then a drain that is waited for while
        control is killed and restarted. It ends when the last call has, and no call fails.
        """
        lab = self.lab
        calls = self.place([("uac", "uas")], calls=2000, rate=20, hold_ms=4000, tag="drain")
        calls.wait_created(60)
        own, others, in_progress = self.dry_run("kam1")
        self.say(f"dry run: {own}% of new calls, {others}, {in_progress} calls in progress")
        self.assertAlmostEqual(own, 33.3, delta=1)
        self.assertEqual(set(others), {"kam2", "kam3"})
        self.assertAlmostEqual(sum(others.values()), own, delta=0.2)
        self.assertGreater(in_progress, 0)
        self.assertEqual(self.backend("kam1")["state"], "up")
        begun = time.monotonic()
        wait = self.waiter("kam1", "--wait", "--calls-only", "--timeout", "60s")
        wait.wait_line(r"kam1: \d+ calls left", 10)
        new = self.backend("kam1")["new"]
        lab.control.kill9()
        self.assertTrue(wait.running())
        lab.control.start()
        self.assertEqual(self.backend("kam1")["admin"], "draining")
        self.assertEqual(wait.wait(40), 0, wait.log())
        took = time.monotonic() - begun
        self.assertIn("kam1: no calls left", wait.log())
        self.assertEqual(self.backend("kam1")["calls"], 0)
        self.assertEqual(self.backend("kam1")["new"], new, "new requests while it drained")
        self.say(f"empty after {took:.1f} s; it said: {wait.log().strip().splitlines()[1:]}")
        self.assertLess(took, 15)
        calls.end()

    def test_2_given_up(self):
        """At the timeout and at Ctrl-C: status 1, what is left, and it goes on draining."""
        calls = self.place([("uac", "uas")], calls=60, rate=20, hold_ms=8000, port=6200,
                           tag="given-up")
        calls.wait_created(50)
        begun = time.monotonic()
        status, out, _ = self.lab.ctl("drain", "kam2", "--wait", "--timeout", "2s")
        self.assertEqual(status, 1, out)
        self.assertLess(time.monotonic() - begun, 4)
        self.assertRegex(out, r"kam2: not empty after \d s: [1-9]\d* calls left.*; it goes on drain")
        wait = self.waiter("kam3", "--wait")
        wait.wait_line(r"kam3: [1-9]\d* calls left", 10)
        wait.signal(signal.SIGINT)
        self.assertEqual(wait.wait(5), 1)
        self.assertRegex(wait.log(), r"kam3: not waited for any more .*it goes on draining")
        wait = self.waiter("kam3", "--wait")
        wait.wait_line(r"kam3: [1-9]\d* calls left", 10)
        self.assertEqual(self.lab.ctl("enable", "kam3")[0], 0)
        self.assertEqual(wait.wait(5), 1)
        self.assertIn("kam3: was enabled meanwhile", wait.log())
        self.assertEqual([self.backend(f"kam{n}")["admin"] for n in (1, 2, 3)],
                         ["up", "draining", "up"])
        calls.finish()

    def test_3_top(self):
        """Tables into a pipe, with the rates of the calls that are placed."""
        calls = self.place([("uac", "uas")], calls=1000, rate=30, hold_ms=500, port=6300, tag="top")
        calls.wait_created(30)
        self.lab.ctl("drain", "kam2")
        status, out, err = self.lab.ctl("top", "--count", "2")
        self.assertEqual(status, 0, err)
        frames = out.strip().split("\n\n")
        self.assertEqual(len(frames), 2, out)
        rows = [line.split() for line in frames[-1].splitlines()[2:]]
        self.assertEqual(rows[0][:3], ["proxies", "kam2", "draining"], out)
        self.assertEqual({row[1] for row in rows}, {"kam1", "kam2", "kam3"})
        rate = sum(float(row[4]) for row in rows)
        self.assertTrue(15 < rate < 60, out)
        self.say(f"top sees {rate} calls/s of 30")
        calls.end()

    def test_4_node(self):
        """OPTIONS to us: 200, then 503 while the node drains, also by a new control; calls go on."""
        lab = self.lab
        ping = f"sip:{lab.vip}:5060"
        calls = self.place([("uac", "uas")], calls=1000, rate=20, hold_ms=2000, port=6400, tag="node")
        calls.wait_created(20)
        with Phone(lab, "caller", "pinger", 5099) as phone:
            def status():
                return phone.ask(phone.make("OPTIONS", ping)).status
            self.assertEqual(status(), 200)
            self.assertEqual(lab.ctl("drain", "node")[0], 0)
            self.assertEqual(status(), 503)
            self.assertEqual(lab.ctl("show", "generation", json=True)["node"], "draining")
            self.assertEqual({service["state"] for service in
                              lab.ctl("show", "services", json=True)}, {"draining"})
            lab.control.restart()
            lab.wait_acknowledged()
            self.assertEqual(status(), 503)
            self.assertEqual(lab.ctl("enable", "node")[0], 0)
            self.assertEqual(status(), 200)
        self.assertNotEqual(lab.ctl("disable", "node")[0], 0)
        calls.end()


class Registrations(SystemTest):
    """In a lab of its own: no other phones are registered."""
    options = {"backends": 3}

    def registrations(self):
        return {backend["name"]: backend["registrations"]
                for backend in self.lab.ctl("show", "backends", json=True)}

    def wait_registrations(self, name, count, timeout=5):
        wait_for(lambda: self.registrations()[name] == count, timeout,
                 f"{name} to have {count} registrations; it has {self.registrations()}")

    def test_drain(self):
        """
        30 phones. While their backend drains, those that refresh go to others, one gives up, and
        three expire: the count falls with each, and the wait ends when it is 0.
        """
        at = {}
        with contextlib.ExitStack() as stack:
            for i in range(30):
                phone = stack.enter_context(Phone(self.lab, "caller", f"drained{i}"))
                before = self.registrations()
                phone.register(expires=600)
                after = self.registrations()
                gained = [name for name in after if after[name] != before[name]]
                self.assertEqual(len(gained), 1, f"{before} {after}")
                at.setdefault(gained[0], []).append(phone)
            self.say(f"registrations: {self.registrations()}")
            self.assertEqual(sum(self.registrations().values()), 30)
            name = max(at, key=lambda backend: len(at[backend]))
            self.drain_phones(name, at[name])

    def drain_phones(self, name, phones):
        """Of 10 phones or more, at the backend of that name."""
        count = len(phones)
        out = self.lab.ctl("drain", name, "--dry-run")[1]
        self.assertIn(f"would go elsewhere: {count}", out)
        for phone in phones[-3:]:
            phone.register(expires=EXPIRES_S)
        self.assertEqual(self.registrations()[name], count)
        begun = time.monotonic()
        wait = waiter(self.lab, name, "--wait", "--timeout", "100s")
        wait.wait_line(rf"{name}: 0 calls left, {count} registrations left", 10)
        status, out, _ = self.lab.ctl("drain", name, "--wait", "--calls-only", "--timeout", "5s")
        self.assertEqual(status, 0, out)
        self.assertIn(f"{name}: no calls left, after", out)
        others = sum(self.registrations().values()) - count
        for refreshed, phone in enumerate(phones[:-4], 1):
            phone.register(expires=600)
            self.assertEqual(self.registrations()[name], count - refreshed)
        elsewhere = sum(self.registrations().values()) - 4
        self.assertLessEqual(elsewhere, others + count - 4)
        self.assertGreaterEqual(elsewhere, count - 4)
        phones[-4].register(expires=0)     # goes elsewhere, too, and is registered nowhere then
        self.wait_registrations(name, 3)
        self.assertTrue(wait.running(), wait.log())
        self.assertEqual(wait.wait(90), 0, wait.log())
        took, late = time.monotonic() - begun, time.monotonic() - begun - EXPIRES_S
        self.assertIn(f"{name}: no calls left, no registrations left, after", wait.log())
        self.assertEqual(self.registrations()[name], 0)
        self.say(f"{name} of {count} registrations empty after {took:.1f} s, {late:.1f} s after its "
                 f"last three expired; it said: {wait.log().strip().splitlines()[1:]}")
        self.assertTrue(-2 < late < 15, f"{late:.1f} s after those left had expired")
        phones[0].register(expires=0)
        self.say(f"at the end: {self.registrations()}")


if __name__ == "__main__":
    main()
