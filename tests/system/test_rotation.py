# SPDX-License-Identifier: Apache-2.0
"""
Keys rotate while phones ring: what the old key signed goes on to match, for token_lifetime, and no
longer than until the rotation after it.
"""
import re
import stat
import sys
import time
from datetime import datetime, timedelta

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone, hang_up, talk                            # noqa: E402

LIFETIME = 60                          # the least that the schema takes
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class Rotation(SystemTest):
    """
    One backend, so that whoever registers is known at once to who is asked. Everything is done over
    IPv4 and IPv6 at once: time passes for both.
    """

    options = {"backends": 1}
    oldest = ()                            # (phone, caller's Dialog) of before all rotations

    @classmethod
    def prepare(cls, lab):
        lab.config["token_lifetime"] = f"{LIFETIME}s"

    def pairs(self, name, cleanup):
        """A caller and a callee of each family, registered."""
        made = []
        for family in (4, 6):
            pair = []
            for host in ("caller", "callee"):
                where = self.lab.host(host)
                phone = Phone(self.lab, host, f"{name}-{host}{family}",
                              address=where.address6 if family == 6 else None)
                cleanup(phone.socket.close)
                phone.register()
                pair.append(phone)
            made.append(pair)
        return made

    def before_rotations(self):
        """Phones that register now, and calls to them that live through both tests."""
        cls = type(self)
        cls.oldest = [(callee, talk(caller, callee)[0])
                      for caller, callee in self.pairs("oldest", cls.addClassCleanup)]

    def keys(self):
        """The ids of previous, current and next."""
        now = self.lab.generation()
        return [now[name] for name in ("previous_key", "key", "next_key")]

    def secret(self):
        return (self.lab.dir / "secret").read_text()

    def rotate(self):
        status, out, err = self.lab.ctl("rotate-secret")
        self.assertEqual(status, 0, f"{out}{err}")
        self.say(out.strip())
        self.lab.wait_acknowledged()

    def refused_until(self, *args):
        """A rotation is refused; until when."""
        before = self.lab.generation()
        secret = self.secret()
        status, out, err = self.lab.ctl("rotate-secret", *args)
        self.assertEqual(status, 1, f"{out}{err}")
        found = re.search(rf"too early: .*until ({TIME})", err)
        self.assertIsNotNone(found, err)
        after = self.lab.generation()
        for state in (before, after):
            del state["rotation_from"]     # of two clocks of whole seconds: now one more, now one less
        self.assertEqual(after, before)
        self.assertEqual(self.secret(), secret)
        return datetime.strptime(found[1], "%Y-%m-%dT%H:%M:%SZ")

    def ring(self, caller, callee):
        """A call that rings: (the caller's Dialog, the INVITE that the callee has, its To-tag)."""
        dialog = caller.invite(callee.aor)
        asked = callee.wait("INVITE", dialog)
        tag = f"r{time.monotonic_ns():x}"
        callee.reply(asked, 180, "Ringing", tag)
        caller.wait(180, dialog)
        return dialog, asked, tag

    def cancel(self, caller, callee, dialog, asked, tag):
        """CANCEL of a ringing call, its 487 and the ACKs to that, on both sides."""
        answer = caller.ask(caller.cancel(dialog))
        self.assertEqual(answer.status, 200, answer.start)
        callee.serve("CANCEL", dialog, tag=tag)
        callee.reply(asked, 487, "Request Terminated", tag)
        callee.wait("ACK", dialog)
        caller.send(caller.ack_failure(dialog, caller.wait(487, dialog)))
        self.assertIsNone(caller.silent(1.5, 487), "the ACK to 487 did not match")

    def take(self, caller, callee, dialog, asked, tag):
        """A ringing call is answered: (the caller's Dialog, the callee's)."""
        callee.reply(asked, 200, "OK", tag, b"")
        dialog.learn(caller.wait(200, dialog)).ack()
        callee.wait("ACK", dialog)
        return dialog, callee.dialog_of(asked, tag)

    def test_1_rotation_in_mid_call(self):
        """CANCEL, ACK and BYE match over a rotation and a killed control; the Path goes on."""
        lab = self.lab
        pairs = self.pairs("rot", self.addCleanup)
        self.assertEqual(self.keys(), [None, 1, 2])
        self.before_rotations()
        ringing = [[(*pair, *self.ring(*pair)) for pair in pairs] for _ in range(4)]
        answered = [[talk(*pair) for pair in pairs] for _ in range(3)]
        secret = self.secret()
        status, out, err = lab.ctl("rotate-secret", "--dry-run")
        self.assertEqual((status, self.secret(), self.keys()), (0, secret, [None, 1, 2]), err)
        self.say(out.strip())
        self.rotate()
        self.assertEqual(self.keys(), [1, 2, 3])
        self.assertEqual(stat.S_IMODE((lab.dir / "secret").stat().st_mode), 0o600)
        seed = re.search(r"^seed \w+$", secret, re.M)[0]
        self.assertIn(seed, self.secret())
        until = self.refused_until()
        self.finish(ringing[0], ringing[1], answered[0], by_callee=False)
        lab.control.kill9()
        self.finish(ringing[2], (), answered[1], by_callee=True)
        lab.control.start()
        lab.wait_acknowledged()
        self.assertEqual(self.keys(), [1, 2, 3])
        # Two clocks of whole seconds: the one that counts since the start, then the wall's.
        self.assertLessEqual(abs(self.refused_until("--dry-run") - until), timedelta(seconds=1))
        self.finish((), ringing[3], answered[2], by_callee=True)
        for pair in pairs:                       # to where they registered before the rotation
            hang_up(*talk(*pair))
        self.say(f"a second rotation was refused until {until}")

    def finish(self, cancelled, taken, answered, by_callee):
        """Ends ringing calls of either kind, and answered ones."""
        for call in cancelled:
            self.cancel(*call)
        for ends in [*(self.take(*call) for call in taken), *answered]:
            hang_up(*(reversed(ends) if by_callee else ends))

    def test_2_second_rotation_ends_what_the_first_key_signed(self):
        """
        After token_lifetime a second rotation is possible. Then the Path and the Route set that
        the key before the first one signed are refused with 403, and what came later goes on.
        """
        lab = self.lab
        pairs = self.pairs("end", self.addCleanup)
        if self.keys()[0] is None:               # without the test before
            self.before_rotations()
            self.rotate()
            for _, bob in pairs:
                bob.register()
        keys = self.keys()
        for (alice, _), (oldest, _) in zip(pairs, self.oldest):
            hang_up(*talk(alice, oldest))
        newer = [talk(*pair) for pair in pairs]
        begun = time.monotonic()
        wait_for(lambda: lab.generation()["rotation_from"] is None, LIFETIME + 15,
                 "token_lifetime to pass")
        self.say(f"token_lifetime passed {time.monotonic() - begun:.0f} s later")
        self.rotate()
        self.assertEqual(self.keys(), [keys[1], keys[2], keys[2] + 1])
        for (alice, bob), (oldest, call), later in zip(pairs, self.oldest, newer):
            dialog = alice.invite(oldest.aor)
            alice.finish_invite(dialog, 403)
            self.assertIsNone(oldest.silent(0.5, "INVITE"))
            self.assertEqual(call.ask("BYE").status, 403)
            hang_up(*later)                      # signed by what is the previous key now
            hang_up(*talk(alice, bob))
            oldest.register()
            hang_up(*talk(alice, oldest))


if __name__ == "__main__":
    main()
