# SPDX-License-Identifier: Apache-2.0
"""
A backend's MAC address changes and nobody is told: it is reached again within 15 s, with a port for
each side and with one for both, where the MAC also says who is a backend.
"""
import sys
import time

sys.dont_write_bytecode = True

from harness import LabError, SystemTest, main                    # noqa: E402
from sip import Message, Peer                                     # noqa: E402

LIMIT_S = 15
NEW_MAC = "02:00:5e:10:20:30"


class Probe:
    """Asks one backend of a laboratory again and again, by a Call-ID that is its."""

    def __init__(self, test, lab, name="kam1"):
        self.test, self.lab, self.name = test, lab, name
        self.phone = Peer(lab, "caller")
        self.cseq = 1
        self.call_id = self._find()
        self.back = None

    def _find(self):
        for _ in range(60):
            asked = self.phone.options()
            answer = self.phone.final(asked)
            self.test.assertIsNotNone(answer, "a backend does not answer")
            if answer.get("server") == self.name:
                return Message(asked).get("call-id")
        raise LabError(f"60 Call-IDs, and none at {self.name}")

    def change(self):
        self.lab.change_mac(self.name, NEW_MAC)
        self.changed = time.monotonic()

    def ask(self, timeout):
        """One more OPTIONS of this Call-ID; notes when the first answer came."""
        self.cseq += 1
        self.phone.send(self.phone.options(self.call_id, self.cseq))
        answer = self.phone.receive(timeout, lambda m: m.status)
        if answer and self.back is None:
            self.test.assertEqual(answer.get("server"), self.name)
            self.back = time.monotonic() - self.changed
        return answer


class SilentMac(SystemTest):

    def test_1_silent_change(self):
        one = self.make_lab(ports=1, backends=2)
        probes = {"two ports": Probe(self, self.lab), "one port, zone both": Probe(self, one)}
        for probe in probes.values():
            probe.change()
        first = {what: probe.ask(0.1) for what, probe in probes.items()}
        self.assertEqual({what for what, answer in first.items() if answer}, set(),
                         "answered at once: the change was not silent")
        deadline = time.monotonic() + LIMIT_S + 1
        while time.monotonic() < deadline and any(p.back is None for p in probes.values()):
            for probe in probes.values():
                if probe.back is None:
                    probe.ask(0.1)
        for what, probe in probes.items():
            probe.phone.socket.close()
            self.say(f"{what}: " + (f"reached again after {probe.back:.1f} s" if probe.back
                                    else "not reached again"))
        for what, probe in probes.items():
            self.assertIsNotNone(probe.back, f"{what}: not reached within {LIMIT_S} s")
            self.assertLessEqual(probe.back, LIMIT_S, what)
        self.one_port_calls(one)

    def one_port_calls(self, one):
        """With one port for both sides calls work too, the backend with the new MAC included."""
        both, self.lab = self.lab, one
        try:
            calls = self.place([("uac", "uas"), ("uac_wait_bye", "uas_bye")], calls=60, rate=60,
                               hold_ms=100, tag="both").finish()
            by_call = calls.seen()
            self.assert_one_backend(by_call, ("INVITE", "200", "ACK", "BYE"))
            self.say(f"one port: {self.shares(by_call)}")
        finally:
            self.lab = both


if __name__ == "__main__":
    main()
