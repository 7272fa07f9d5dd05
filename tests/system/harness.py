# SPDX-License-Identifier: Apache-2.0
"""
What every system test stands on: a laboratory for each class, the conservation laws after each
test, figures on the output, logs when something failed, and an end that leaves nothing behind.

    TANDEM_DRIVER   af_packet (default) | af_xdp
    TANDEM_WORKERS  1 (default) | 1,1
    TANDEM_BUILD    the build directory
    TANDEM_KEEP     1: leave the laboratory's directory (logs) where it is
"""
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True                 # root would write it into the tree
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "config"))

import laws                                    # noqa: E402 (after the path)
from lab import Lab, LabError, wait_for        # noqa: E402

DRIVER = os.environ.get("TANDEM_DRIVER", "af_packet")
WORKERS = [int(cpu) for cpu in os.environ.get("TANDEM_WORKERS", "1").split(",")]
CORPUS = ROOT.parent / "shared/corpus"
SKIPPED = 77                                   # meson's exit status of a test that was skipped
OWNER = "system-test.pid"

__all__ = ["CORPUS", "DRIVER", "Lab", "LabError", "SystemTest", "WORKERS", "main", "seen",
           "wait_for"]


def interrupt(number, frame):
    """unittest swallows SystemExit, but not this: the run ends, and atexit cleans up."""
    raise KeyboardInterrupt(f"signal {number}")


def remove_stale_directories():
    """Directories of runs that were killed: they name their process, and it is gone."""
    for owner in Path(tempfile.gettempdir()).glob(f"tandem-*/{OWNER}"):
        try:
            alive = os.path.exists(f"/proc/{int(owner.read_text())}")
        except (OSError, ValueError):
            continue
        if not alive:
            shutil.rmtree(owner.parent, ignore_errors=True)


class SystemTest(unittest.TestCase):
    """A class of tests that share self.lab, made from `options` and changed by prepare()."""

    options = {}
    six = False                    # the outside's address family, for tests that are run over both
    lab = None
    labs = ()

    @classmethod
    def prepare(cls, lab):
        """Changes lab.config before anything starts."""

    @classmethod
    def make_lab(cls, **options):
        """
        A started laboratory of this run's driver and workers, ended with the class. Without huge
        pages: `auto` would let chance decide, since other processes take pages; test_start has them.
        """
        options.setdefault("hugepages", "off")
        lab = Lab(driver=DRIVER, workers=WORKERS, keep_dir=bool(os.environ.get("TANDEM_KEEP")),
                  **options)
        (lab.dir / OWNER).write_text(str(os.getpid()))
        cls.labs = (*cls.labs, lab)
        cls.prepare(lab)
        begun = time.monotonic()
        try:
            lab.start()
        except BaseException:
            cls.show_logs(lab)
            raise
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, interrupt)
        cls.say(f"laboratory of {lab.driver}, workers {lab.workers}, {lab.ports} port(s): "
                f"{time.monotonic() - begun:.1f} s; {lab.dir}")
        return lab

    @classmethod
    def setUpClass(cls):
        remove_stale_directories()
        cls.addClassCleanup(cls.stop_labs)
        cls.lab = cls.make_lab(**cls.options)

    @classmethod
    def stop_labs(cls):
        """Both daemons must end cleanly on SIGTERM."""
        labs, cls.labs, cls.lab = cls.labs, (), None
        statuses = {}
        for lab in labs:
            for daemon in cls.daemons(lab):
                if daemon.running():
                    statuses[f"{daemon.name}, by SIGTERM"] = daemon.stop()
                elif daemon.process.status not in (None, 0, -signal.SIGKILL):
                    statuses[daemon.name] = daemon.process.status
            if any(statuses.values()):
                cls.show_logs(lab)
            (lab.dir / OWNER).unlink(missing_ok=True)      # what is kept now, is kept on purpose
            lab.stop()
        bad = {name: status for name, status in statuses.items() if status}
        if bad:
            raise AssertionError(f"exit statuses: {bad}")

    def run(self, result=None):
        """A failed test shows the logs of both daemons, its tearDown's failures included."""
        before = len(result.failures) + len(result.errors) if result else 0
        self.begun = time.monotonic()
        done = super().run(result)
        if result and len(result.failures) + len(result.errors) > before:
            for lab in self.labs:
                self.show_logs(lab)
        return done

    def tearDown(self):
        for node in (node for lab in self.labs for node in lab.nodes):
            self.assertTrue(node.dataplane.running(), f"the data plane of {node.name} died")
            self.assertTrue(node.control.running(), f"control of {node.name} died")
            stats = laws.check(node)
            lost = {name: stats[name] for name in
                    ("sip_tx_drop", "sip_mtu_drop", "sip_no_route", "held_dropped",
                     "tap_ring_full", "tap_write_drop", "from_tap_ring_full") if stats[name]}
            self.say(f"laws hold: {stats['rx_frames']} frames, {stats['messages']} messages, "
                     f"{stats['forwarded']} forwarded, {stats['replied']} replied, "
                     f"{stats['dropped']} dropped" + (f"; lost: {lost}" if lost else "")
                     + f" [{time.monotonic() - self.begun:.1f} s]")

    @staticmethod
    def say(text):
        print(f"    {text}", flush=True)

    @staticmethod
    def daemons(lab):
        """Those that were begun, of all nodes."""
        return [daemon for node in lab.nodes for daemon in (node.control, node.dataplane) if daemon]

    @classmethod
    def show_logs(cls, lab):
        for daemon in cls.daemons(lab):
            print(f"--- {daemon.name} (status {daemon.process.status}):\n"
                  f"{daemon.process.tail(25)}", flush=True)

    # Addresses of the class's family.

    @property
    def vip(self):
        return self.lab.vip6 if self.six else self.lab.vip

    def address(self, host):
        """Of a Host, or the host of this name."""
        host = self.lab.host(host) if isinstance(host, str) else host
        return host.address6 if self.six else host.address

    # Calls.

    def known_everywhere(self, user, contacts=1):
        """Until each backend has learnt a user's contacts from the one that has the REGISTER."""
        for backend in self.lab.backends.values():
            def learnt():
                try:
                    found = backend.rpc("ul.lookup", "location", f"{user}@{self.lab.domain}")
                except (LabError, OSError):    # not found is an error of the RPC
                    return False
                return len(found["Contacts"]) >= contacts
            wait_for(learnt, 10, f"{backend.name} to learn {contacts} contact(s) of {user}")

    def place(self, pairs, *, users=10, calls=100, rate=50, hold_ms=300, port=6100, tag="call",
              caller="caller", callee="callee", address=None, callee_address=None, **options):
        """
        Starts callers and callees, and returns Calls. pairs: list of (caller's scenario, callee's);
        calls and rate are shared out among them evenly. Users are registered first.
        """
        parts = []
        lab = self.lab
        for number, (uac, uas) in enumerate(pairs):
            names = [f"{tag}{number}u{user}" for user in range(users)]
            there = port + 2 * number
            lab.register(callee, names, port=there, address=callee_address)
            server = lab.sipp(callee, uas, port=there, hold_ms=hold_ms, address=callee_address)
            parts.append((uac, names, there, server))
        begun = []
        for number, (uac, names, there, server) in enumerate(parts):
            rows = ([(name, f"auth{i}") for i, name in enumerate(names)]
                    if uac.endswith("_auth") else names)
            client = lab.sipp(caller, uac, calls=calls // len(pairs), rate=rate / len(pairs),
                              users=rows, hold_ms=hold_ms, port=there + 1, address=address,
                              call_id=f"%u-{tag}-{number}-{os.getpid()}@{caller}", **options)
            begun.append((client, server))
        return Calls(self, tag, begun)

    def assert_one_backend(self, by_call, at_least=("INVITE",)):
        """Every Call-ID at one backend, which saw at least these messages of it."""
        strayed = {call: sorted(found) for call, found in by_call.items() if len(found) != 1}
        self.assertEqual(strayed, {}, "calls seen by more than one backend")
        for call, found in by_call.items():
            (_, messages), = found.items()
            whats = {message.what for message in messages}
            self.assertLessEqual(set(at_least), whats, f"of {call}, {sorted(found)} saw {whats}")

    def shares(self, by_call):
        """Calls by backend, printed."""
        counts = {name: 0 for name in self.lab.backends}
        for found in by_call.values():
            for name in found:
                counts[name] += 1
        return counts


class Calls:
    """Callers and callees at work."""

    def __init__(self, test, tag, pairs):
        self.test, self.tag, self.pairs = test, tag, pairs
        self.lab = test.lab

    def created(self):
        return sum(client.result().created for client, _ in self.pairs)

    def wait_created(self, number, timeout=60):
        """Until so many calls have begun, while callers still work."""
        wait_for(lambda: self.created() >= number, timeout, f"{number} calls to begin")
        self.test.assertTrue(any(client.process.running() for client, _ in self.pairs),
                             "the callers had finished before the middle of the run")

    def end(self, timeout=120):
        """The callers begin no more calls than they have; what finish() does."""
        for client, _ in self.pairs:
            self.test.assertTrue(client.process.running(), f"{client.name} had finished before")
            client.process.signal(signal.SIGUSR1)
        return self.finish(timeout, whole=False)

    def finish(self, timeout=120, whole=True):
        """
        Waits for the callers, ends the callees; no call may have failed at either end, nor, where
        not end() ended it, have been left out.
        """
        placed = answered = failed = again = 0
        for client, _ in self.pairs:
            result = client.wait(timeout)
            placed += result.created
            answered += result.successful
            failed += result.failed
            again += result.retransmissions
        said = [f"{client.name}: {client.errors()}" for client, _ in self.pairs
                if client.result().failed]
        for _, server in self.pairs:
            result = server.finish()
            again += result.retransmissions
            if result.failed:
                failed += result.failed
                said.append(f"{server.name}: {result} {server.errors()}")
        self.test.say(f"calls: {placed} placed, {answered} answered, {failed} failed "
                      f"({again} retransmissions)")
        self.test.assertEqual(failed, 0, "\n".join(said))
        self.test.assertEqual(answered, placed)
        if whole:
            self.test.assertEqual(placed, sum(client.calls for client, _ in self.pairs))
        return self

    def seen(self):
        """Call-ID → {backend's name: its Messages}, by the backends' logs."""
        return seen(self.lab, lambda call_id: f"-{self.tag}-" in call_id)


def seen(lab, wanted):
    """The same for Call-IDs for which wanted(call_id)."""
    by_call = {}
    for name, backend in lab.backends.items():
        for message in backend.messages():
            if wanted(message.call_id):
                by_call.setdefault(message.call_id, {}).setdefault(name, []).append(message)
    return by_call


def main():
    """Runs the tests of the file that calls it; exit status 77 where they cannot run at all."""
    if os.geteuid() != 0:
        print("skipped: system tests need root (network namespaces)")
        sys.exit(SKIPPED)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    print(f"host {socket.gethostname()}: {DRIVER}, workers {WORKERS}", flush=True)
    result = unittest.main(verbosity=2, exit=False).result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.skipped and result.testsRun in (0, len(result.skipped)):     # 0: whole classes
        sys.exit(SKIPPED)
