# SPDX-License-Identifier: Apache-2.0
"""
What the data plane gives control, when control is slow or gone: nothing waits for it, everything
that is lost is counted, and a snapshot is still taken.
"""
import itertools
import os
import signal
import sys
import time

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone                                           # noqa: E402

NAMES = (f"n{number}.names.invalid" for number in itertools.count())   # nobody knows any yet


class Punts(SystemTest):

    options = {"backends": 2, "ipv6": False}

    def messages(self, phone, count, size=0):
        """So many requests of a backend's whose next hops are names, each of another call."""
        for name in itertools.islice(NAMES, count):
            phone.send(phone.make("MESSAGE", f"sip:somebody@{name}", body=b"x" * size))

    def backend_phone(self):
        """A socket beside the first backend's own: whatever has its address is that backend."""
        phone = Phone(self.lab, "kam1", "punter", target=(self.lab.vip, 5060))
        self.addCleanup(phone.socket.close)
        return phone

    def punted(self, before):
        """What moved, when all punts of main's and the workers' are accounted for."""
        now = laws.check(self.lab)
        return {name: value for name, value in now.since(before).items() if "punt" in name}

    def test_1_control_stands_still(self):
        """Thousands of punts, some of the longest, while control sleeps: calls go on."""
        lab, phone = self.lab, self.backend_phone()
        self.messages(phone, 1)
        before = laws.check(lab)
        calls = self.place([("uac", "uas")], calls=60, rate=30, hold_ms=100, tag="meanwhile")
        calls.wait_created(5)
        os.kill(lab.control.pid, signal.SIGSTOP)
        try:
            for _ in range(20):
                self.messages(phone, 100)
                self.messages(phone, 2, 20000)
                time.sleep(0.05)
            calls.finish()
        finally:
            os.kill(lab.control.pid, signal.SIGCONT)
        moved = self.punted(before)
        self.say(f"{moved}")
        self.assertGreater(moved["punted"], 1500)
        self.assertGreater(moved["punt_sent"], 20)
        self.assertGreater(moved["punt_lost_control"], 500)
        # It catches up, and is heard.
        lab.reload()
        before = laws.check(lab)
        self.messages(phone, 10)
        wait_for(lambda: self.punted(before).get("punt_sent") == 10, 10, "ten punts to be sent")

    def test_2_snapshot_behind_punts(self):
        """Offers of a control that has slept over punts, and has them all to read, are answered."""
        lab, phone = self.lab, self.backend_phone()
        for _ in range(3):
            before = laws.check(lab)
            os.kill(lab.control.pid, signal.SIGSTOP)
            try:
                self.messages(phone, 300, 1000)
                time.sleep(0.2)
            finally:
                os.kill(lab.control.pid, signal.SIGCONT)
            for backend in ("kam2", "kam1"):
                for what in ("drain", "enable"):
                    self.assertEqual(lab.ctl(what, backend)[0], 0)
            lab.wait_acknowledged()
            self.assertGreater(self.punted(before)["punted"], 200)
        self.assertNotIn("control gone", lab.dataplane.log())

    def test_3_control_is_gone(self):
        """Nobody connected: every punt is lost, and counted so."""
        lab, phone = self.lab, self.backend_phone()
        before = laws.check(lab)
        lab.control.kill9()
        self.messages(phone, 100)
        time.sleep(0.3)
        lab.control.start()
        lab.wait_acknowledged()
        moved = self.punted(before)
        self.assertEqual(moved, {"punted": 100, "services_punted": 100,
                                 "verdict_punt_name": 100, "punt_lost_control": 100})


if __name__ == "__main__":
    main()
