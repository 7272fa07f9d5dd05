# SPDX-License-Identifier: Apache-2.0
"""
Keys rotate while phones ring: what the old key signed goes on to match, for token_lifetime, and no
longer than until the rotation after it.
"""
import re
import stat
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone, hang_up, talk                            # noqa: E402

LIFETIME = 60                          # the least that the schema takes
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class Rotation(SystemTest):
    """One backend, so that whoever registers is known at once to who is asked."""

    options = {"backends": 1}
    oldest = oldest_call = None            # a phone and a call of before all rotations

    @classmethod
    def prepare(cls, lab):
        lab.config["token_lifetime"] = f"{LIFETIME}s"

    def phone(self, host, name):
        phone = Phone(self.lab, host, name)
        self.addCleanup(phone.socket.close)
        phone.register()
        return phone

    def before_rotations(self):
        """A phone that registers now, and a call to it that lives through both tests."""
        cls = type(self)
        caller = Phone(self.lab, "caller", "oldest-caller")
        cls.oldest = Phone(self.lab, "callee", "oldest")
        for phone in (caller, cls.oldest):
            cls.addClassCleanup(phone.socket.close)
            phone.register()
        cls.oldest_call = talk(caller, cls.oldest)

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
        self.assertEqual(self.lab.generation(), before)
        self.assertEqual(self.secret(), secret)
        return found[1]

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
        alice, bob = self.phone("caller", "rot-alice"), self.phone("callee", "rot-bob")
        self.assertEqual(self.keys(), [None, 1, 2])
        self.before_rotations()
        ringing = [self.ring(alice, bob) for _ in range(4)]
        answered = [talk(alice, bob) for _ in range(3)]
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
        self.cancel(alice, bob, *ringing[0])
        a, b = self.take(alice, bob, *ringing[1])
        hang_up(a, b)
        hang_up(*answered[0])
        lab.control.kill9()
        hang_up(*reversed(answered[1]))
        self.cancel(alice, bob, *ringing[2])
        lab.control.start()
        lab.wait_acknowledged()
        self.assertEqual(self.keys(), [1, 2, 3])
        self.assertEqual(self.refused_until("--dry-run"), until)
        a, b = self.take(alice, bob, *ringing[3])
        hang_up(b, a)
        hang_up(*answered[2])
        hang_up(*talk(alice, bob))               # to where bob registered before the rotation
        self.say(f"a second rotation was refused until {until}")

    def test_2_second_rotation_ends_what_the_first_key_signed(self):
        """
        After token_lifetime a second rotation is possible. Then the Path and the Route set that
        the key before the first one signed are refused with 403, and what came later goes on.
        """
        lab = self.lab
        alice, bob = self.phone("caller", "end-alice"), self.phone("callee", "end-bob")
        if self.keys()[0] is None:               # without the test before
            self.before_rotations()
            self.rotate()
            bob.register()
        keys = self.keys()
        hang_up(*talk(alice, self.oldest))
        newer = talk(alice, bob)
        begun = time.monotonic()
        wait_for(lambda: lab.generation()["rotation_from"] is None, LIFETIME + 15,
                 "token_lifetime to pass")
        self.say(f"token_lifetime passed {time.monotonic() - begun:.0f} s later")
        self.rotate()
        self.assertEqual(self.keys(), [keys[1], keys[2], keys[2] + 1])
        dialog = alice.invite(self.oldest.aor)
        alice.finish_invite(dialog, 403)
        self.assertIsNone(self.oldest.silent(0.5, "INVITE"))
        self.assertEqual(self.oldest_call[0].ask("BYE").status, 403)
        hang_up(*newer)                          # signed by what is the previous key now
        hang_up(*talk(alice, bob))
        self.oldest.register()
        hang_up(*talk(alice, self.oldest))


if __name__ == "__main__":
    main()
