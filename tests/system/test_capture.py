# SPDX-License-Identifier: Apache-2.0
"""
`tandemctl capture`: both sides of each message, in a file that tshark reads; one Call-ID alone; long
messages; replies and drops; several at once; a restart of the data plane; readers that are too slow.
"""
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from phone import Phone                                           # noqa: E402
from sip import request                                           # noqa: E402
from test_fragments import sdp                                    # noqa: E402

FIELDS = {"time": "frame.time_epoch", "length": "frame.len", "comment": "frame.comment",
          "direction": "frame.packet_flags_direction", "port": "frame.interface_name",
          "source": "ip.src", "target": "ip.dst", "source6": "ipv6.src", "target6": "ipv6.dst",
          "ip_sum": "ip.checksum.status", "udp_sum": "udp.checksum.status",
          "call": "sip.Call-ID", "method": "sip.Method", "status": "sip.Status-Code",
          "cseq": "sip.CSeq", "via": "sip.Via", "malformed": "_ws.malformed"}
GOOD = "1"                            # of tshark's checksum.status
IN, OUT = "0x00000001", "0x00000002"
SUMMARY = r"(\d+) frames of (\d+) messages, (\d+) lost"


class Frame:
    """One frame as tshark dissects it: FIELDS, each text, "" when absent; `vias` a list."""

    def __init__(self, line):
        for name, value in zip(FIELDS, line.split("\t"), strict=True):
            setattr(self, name, value)
        self.vias = re.split(r"[|,]", self.via) if self.via else []
        self.comes = self.direction == IN
        self.what = self.method or self.status

    def __repr__(self):
        return f"{'in ' if self.comes else 'out'} {self.what} {self.call} [{self.comment}]"


def frames(path):
    """The frames of a file, of which tshark must find nothing wrong."""
    argv = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "aggregator=|", "-E", "occurrence=a",
            "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
            "-d", "udp.port==5060,sip"]
    for field in FIELDS.values():
        argv += ["-e", field]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    bad = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    if bad:
        raise AssertionError(f"tshark says of {path}: {bad}")
    return [Frame(line) for line in done.stdout.splitlines()]


class Capture(SystemTest):

    def capture(self, *options, wait=True):
        """A tandemctl capture that has begun, into a file of its own."""
        lab = self.lab
        path = lab.dir / f"capture-{lab.next_number()}.pcap"
        process = lab.popen("appliance", lab.build / "control/tandemctl", "--socket",
                            lab.control_socket, "capture", *options, path, name=path.stem)
        process.path = path
        self.addCleanup(process.kill9)
        if wait:
            process.wait_line("^capturing", 10)
        return process

    def end(self, process, number=signal.SIGINT):
        """Ends it; (frames, messages, lost) as it says, and the file's frames, which must agree."""
        if number:
            process.signal(number)
        self.assertEqual(process.wait(20), 0, process.log())
        said = tuple(int(n) for n in re.search(SUMMARY, process.log()).groups())
        found = frames(process.path)
        self.assertEqual(len(found), said[0])
        self.assertEqual(sum(frame.comes for frame in found), said[1])
        self.assertEqual(stat.S_IMODE(os.stat(process.path).st_mode), 0o600)
        return *said, found

    def assert_sound(self, found):
        """Checksums, and fields that every frame must have."""
        for frame in found:
            self.assertEqual(frame.udp_sum, GOOD, frame)
            self.assertIn(frame.ip_sum, (GOOD, "") if frame.source6 else (GOOD,), frame)
            self.assertEqual(frame.malformed, "", frame)
            self.assertIn(frame.direction, (IN, OUT), frame)
            self.assertIn(frame.port, ("outside", "inside"), frame)
            self.assertTrue(frame.comment, frame)
            self.assertLess(abs(float(frame.time) - time.time()), 300, frame)
        times = [float(frame.time) for frame in found]
        if len(self.lab.workers) == 1:
            self.assertEqual(times, sorted(times))

    def both_sides(self, found):
        """(as it came, as it left) of each message that was forwarded."""
        pairs, open_ones = [], {}
        for frame in found:
            key = (frame.call, frame.what, frame.cseq, frame.comment)
            if frame.comes:
                open_ones.setdefault(key, []).append(frame)
            else:
                self.assertTrue(open_ones.get(key), f"nothing came for {frame}")
                pairs.append((open_ones[key].pop(0), frame))
        left = [frame for rest in open_ones.values() for frame in rest]
        self.assertEqual(left, [], "came, and did not leave")
        return pairs

    def assert_forwarded(self, pairs):
        """Our Via on top of a request that leaves, and gone from a response."""
        lab = self.lab
        ours = {lab.vip, lab.inside}
        for came, left in pairs:
            self.assertIn(came.target, ours, came)
            self.assertIn(left.source, ours, left)
            if came.method:
                self.assertEqual(len(left.vias), len(came.vias) + 1, left)
                self.assertIn(left.vias[0].split()[1].split(";")[0].split(":")[0], ours, left)
                self.assertRegex(came.comment, r"^forwarded_request ")
            else:
                self.assertEqual(len(left.vias), len(came.vias) - 1, left)
                self.assertRegex(came.comment, r"^forwarded_response ")
            if "outside" in (came.port, left.port) and came.port != left.port:
                backend = came.source if came.port == "inside" else left.target
                names = {b.address: name for name, b in lab.backends.items()}
                word = "from" if came.port == "inside" else "to"
                self.assertIn(f" {word} {names[backend]} (proxies)", came.comment)
        self.assertTrue(any("; rule 6: " in came.comment for came, _ in pairs))

    def test_1_count(self):
        """Of real calls the first 60 messages, each as it came and as it left."""
        capture = self.capture("--count", "60")
        calls = self.place([("uac", "uas")], calls=20, rate=40, tag="count")
        n, messages, lost, found = self.end(capture, number=None)
        calls.finish()
        self.assertEqual((n, messages, lost), (120, 60, 0))
        self.assert_sound(found)
        pairs = self.both_sides(found)
        self.assertEqual(len(pairs), 60)
        self.assert_forwarded(pairs)
        self.say(f"{n} frames: " + ", ".join(sorted({frame.what for frame in found})))

    def test_2_calls(self):
        """Two Call-IDs and everything, at once: each has its own, and nothing twice."""
        lab = self.lab
        wanted = [f"{number}-two-0-{os.getpid()}@caller" for number in (3, 7)]
        before = laws.settled(lab)
        whole = self.capture()
        parts = [self.capture("--call-id", call) for call in wanted]
        self.place([("uac", "uas")], calls=20, rate=40, tag="two").finish()
        moved = laws.settled(lab).since(before)
        n, messages, lost, found = self.end(whole, signal.SIGTERM)
        self.assertEqual((messages, lost), (moved["messages"], 0))
        self.assertEqual(n - messages, moved["sip_tx"] + moved.get("sip_held", 0))
        self.assert_sound(found)
        for call, part in zip(wanted, parts):
            alone_n, _, lost, alone = self.end(part)
            self.assertEqual({frame.call for frame in alone}, {call})
            self.assertEqual(alone_n, sum(frame.call == call for frame in found))
            self.assertEqual(lost, 0)
            self.assert_sound(alone)
            self.assert_forwarded(self.both_sides(alone))
            self.assertLessEqual({"INVITE", "200", "ACK", "BYE"}, {frame.what for frame in alone})
            seen = [m.what for b in lab.backends.values() for m in b.messages()
                    if m.call_id == call]
            inward = [frame.what for frame in alone if not frame.comes and frame.port == "inside"]
            self.assertEqual(sorted(inward), sorted(seen), "what backends saw")
            self.say(f"{call}: {alone_n} frames of {n}")
        # Nothing of what was is in what begins now.
        begun = time.time()
        late = self.capture("--count", "2")
        self.place([("uac", "uas")], calls=1, tag="late").finish()
        *_, found = self.end(late, number=None)
        self.assertTrue(all(float(frame.time) >= begun - 0.1 for frame in found), found)

    def phone(self, name, host, six=False):
        where = self.lab.host(host)
        made = Phone(self.lab, host, name, address=where.address6 if six else None)
        self.addCleanup(made.socket.close)
        return made

    def test_3_long(self):
        """A message of 20 kB: whole on both sides, also when fragments were joined and made."""
        for six in (False, True):
            alice = self.phone(f"long{six:d}", "caller", six)
            body = sdp(20000, 5 + six)
            asked = alice.make("MESSAGE", "sip:nobody@example.net", body=body,
                               extra=["Content-Type: text/plain"], call_id=f"long-{six:d}@caller")
            capture = self.capture("--call-id", f"long-{six:d}@caller")
            alice.ask(asked)
            *_, lost, found = self.end(capture)
            self.assertEqual(lost, 0)
            self.assert_sound(found)
            came, left = next(pair for pair in self.both_sides(found) if pair[0].method)
            self.assertEqual((came.source6 or came.source), alice.address[0])
            self.assertEqual(int(came.length),
                             len(asked) + 14 + (40 if six else 20) + 8)
            self.assertGreater(int(left.length), 20000)
            self.assertEqual(len(left.vias), len(came.vias) + 1)
            self.say(f"{came.length} bytes came, {left.length} left")

    def test_4_verdicts(self):
        """A reply is the other side of what it answers; what is dropped has one side."""
        alice = self.phone("verdicts", "caller")
        capture = self.capture()
        alice.ask(alice.make("OPTIONS", f"sip:{self.lab.vip}:5060"))
        alice.send(b"HELLO world\r\n\r\n")
        alice.send(request("ACK", "sip:x@example.net", alice.address,
                           call_id="dropped@caller").replace(b"Max-Forwards: 70",
                                                             b"Max-Forwards: 0"))
        wait_for(lambda: laws.Stats(self.lab)["verdict_drop_ack"], 5, "an ACK to be dropped")
        *_, lost, found = self.end(capture)
        self.assertEqual([(frame.comes, frame.comment) for frame in found],
                         [(True, "200_options"), (False, "200_options"), (True, "drop_not_sip"),
                          (True, "drop_ack")])
        self.assertEqual(found[1].status, "200")
        self.assertEqual(lost, 0)
        self.assert_sound(found)

    def test_4_pipe(self):
        """Standard output, read by tshark as it comes."""
        lab = self.lab
        alice = self.phone("pipe", "caller")
        command = (f"{lab.build}/control/tandemctl --socket {lab.control_socket} capture "
                   "--count 3 - | tshark -n -l -r - -T fields -e sip.Call-ID")
        with subprocess.Popen(["bash", "-c", f"set -o pipefail; {command}"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as pipe:
            for line in pipe.stderr:
                if line.startswith("capturing"):
                    break
            for number in range(3):
                alice.ask(alice.make("OPTIONS", f"sip:{lab.vip}:5060", call_id=f"pipe{number}@x"))
            out, said = pipe.communicate(timeout=20)
        self.assertEqual(pipe.returncode, 0, said)
        self.assertEqual(out.split(), [f"pipe{number}@x" for number in range(3) for _ in "<>"])
        self.assertRegex(said, "6 frames of 3 messages, 0 lost")

    def test_5_refused(self):
        """Too many Call-IDs, nonsense, and no data plane; a pipe that nobody reads is no harm."""
        lab = self.lab
        eight = [self.capture("--call-id", f"{number}@x") for number in range(8)]
        same = self.capture("--call-id", "7@x")
        status, _, said = lab.ctl("capture", "--call-id", "8@x", lab.dir / "no.pcap")
        self.assertEqual((status, "8 Call-IDs" in said), (1, True), said)
        self.assertFalse((lab.dir / "no.pcap").exists())
        everything = self.capture()
        for process in (*eight, same, everything):
            self.assertEqual(self.end(process)[2], 0)
        for options in (["--count", "0", "x"], ["--count", "x", "x"], [], ["a", "b"],
                        ["--call-id", "", "x"]):
            self.assertEqual(lab.ctl("capture", *options)[0], 2, options)
        status, _, said = lab.ctl("capture", "/nowhere/x.pcap")
        self.assertEqual((status, "No such file" in said), (1, True), said)
        gone = socket.socket(socket.AF_UNIX)
        gone.connect(str(lab.control_socket))
        gone.sendall(b'{"request":"capture"}\n')
        self.assertIn(b'"ok":true', gone.recv(4096).replace(b" ", b""))
        gone.close()
        lab.dataplane.stop()
        status, _, said = lab.ctl("capture", lab.dir / "no.pcap")
        lab.dataplane.start()
        lab.wait_acknowledged()
        self.assertEqual((status, "data plane is absent" in said), (1, True), said)

    def test_6_restart(self):
        """The data plane is killed during a capture, which goes on; control's end ends it."""
        lab = self.lab
        alice = self.phone("restart", "caller")
        ping = f"sip:{lab.vip}:5060"
        capture = self.capture()
        alice.ask(alice.make("OPTIONS", ping, call_id="before@x"))
        lab.dataplane.kill9()
        lab.dataplane.start()
        lab.wait_acknowledged()
        alice.ask(alice.make("OPTIONS", ping, call_id="after@x"))
        *_, found = self.end(capture)
        self.assertLessEqual({"before@x", "after@x"}, {frame.call for frame in found})
        self.assert_sound(found)
        capture = self.capture()
        alice.ask(alice.make("OPTIONS", ping, call_id="last@x"))
        lab.control.restart()
        self.assertIn(capture.wait(10), (0, 1))
        self.assertRegex(capture.log(), SUMMARY)
        self.assertIn("last@x", {frame.call for frame in frames(capture.path)})
        lab.wait_acknowledged()
        # And one that is killed leaves a file that is whole up to its last block.
        capture = self.capture()
        alice.ask(alice.make("OPTIONS", ping, call_id="killed@x"))
        wait_for(lambda: b"killed@x" in capture.path.read_bytes(), 5, "the frame in the file")
        lab.control.kill9()
        self.assertEqual(capture.wait(10), 1)
        self.assertIn("cut short", capture.log())
        self.assertIn("killed@x", {frame.call for frame in frames(capture.path)})
        lab.control.start()
        lab.wait_acknowledged()

    def flood(self, number, size=1000):
        """So many OPTIONS of `size` bytes, each of which is answered."""
        where = self.lab.host("caller")
        alice = self.phone("flood", "caller")
        for i in range(number):
            alice.socket.sendto(
                alice.make("OPTIONS", f"sip:{self.lab.vip}:5060", extra=["X: " + size * "x"],
                           call_id=f"flood-{i}@{where.address}"), alice.target)
            if i % 20 == 19:
                time.sleep(0.004)     # about 5,000 a second
        return alice

    def test_7_overrun(self):
        """A client that is too slow, then a control that is: what is lost is reported, exactly."""
        lab = self.lab
        for who in ("tandemctl", "control"):
            before = laws.settled(lab)
            capture = self.capture()
            stopped = capture if who == "tandemctl" else lab.control.process
            stopped.signal(signal.SIGSTOP)
            try:
                self.flood(6000)
            finally:
                stopped.signal(signal.SIGCONT)
            moved = laws.settled(lab).since(before)
            n, messages, lost, found = self.end(capture)
            self.assertEqual(n + lost, moved["messages"] + moved["replied"])
            self.assertGreater(lost, 0)
            self.assertGreater(n, 1000)
            self.assert_sound(found)
            self.say(f"{who} stopped: {n} frames, {lost} lost of {moved['messages']} messages")

    def test_8_load(self):
        """The messages of 1,000 calls at 200 calls/s: none is lost."""
        lab = self.lab
        before = laws.settled(lab)
        capture = self.capture()
        self.place([("uac", "uas")], calls=1000, rate=200, users=20, tag="load").finish()
        moved = laws.settled(lab).since(before)
        n, messages, lost, found = self.end(capture)
        self.assertEqual((messages, lost), (moved["messages"], 0))
        self.assertEqual(n, 2 * messages)
        self.assert_sound(found)
        self.say(f"{n} frames, {capture.path.stat().st_size >> 10} KiB, {lost} lost")


if __name__ == "__main__":
    main()
