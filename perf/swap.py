# SPDX-License-Identifier: Apache-2.0
"""
What do a hundred changes of the snapshot a second cost under full load? The data plane plays messages;
in every other turn another thread sends control one change of a backend's weight after another, each
of which compiles, offers and swaps a snapshot.
"""
import json
import socket
import tempfile
import threading
import time

import machine
from loaded import Loaded
from rows import at_least, at_most
from turns import take_turns

MESSAGES = 16384
CHANGES = 100              # a second
TURN_SECONDS = 1
MEMORY_MIB = 512


class Changes:
    """A client of control's socket that changes a weight at a steady rate between start and stop."""

    def __init__(self, lab):
        self.path, self.done, self.stopping = str(lab.control_socket), 0, threading.Event()
        self.error, self.seconds = None, 0

    def ask(self, weight):
        request = {"request": "weight", "backend": "backend0", "weight": weight}
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(self.path)
            client.sendall(json.dumps(request).encode() + b"\n")
            answer = client.makefile().readline()
        machine.need(json.loads(answer)["ok"], f"control refused a weight: {answer}")

    def change(self):
        due = time.monotonic()
        try:
            while not self.stopping.is_set():
                due += 1 / CHANGES
                self.ask(50 + self.done % 50)
                self.done += 1
                self.stopping.wait(max(0, due - time.monotonic()))
        except Exception as error:     # raised where the turn ends
            self.error = error

    def run_for(self, seconds):
        self.stopping.clear()
        began = time.monotonic()
        thread = threading.Thread(target=self.change)
        thread.start()
        time.sleep(seconds)
        self.stopping.set()
        thread.join()
        self.seconds = time.monotonic() - began
        if self.error:
            raise self.error


class Swapping:
    """The same Tandem, with changes during its turn."""

    def __init__(self, lab):
        self.lab, self.changes, self.rates = lab, Changes(lab), []
        self.main_us, self.control_us = [], []

    def helpers_us(self):
        return (1e6 * self.lab.main_seconds(),
                1e6 * machine.cpu_seconds(self.lab.control.pid))

    def turn(self, sleep):
        before, began = self.lab.read()["snapshots_accepted"], self.helpers_us()
        cost = self.lab.turn(lambda: self.changes.run_for(TURN_SECONDS))
        accepted, ended = self.lab.read()["snapshots_accepted"] - before, self.helpers_us()
        machine.need(accepted > 0, "no snapshot was accepted")
        self.rates.append(accepted / self.changes.seconds)
        self.main_us.append((ended[0] - began[0]) / accepted)
        self.control_us.append((ended[1] - began[1]) / accepted)
        return cost


def run(bench):
    pcap = bench.dir / "mix.pcap"
    mib = MEMORY_MIB + 32
    with machine.hugepages(mib) as free:
        lab = Loaded(bench, pcap, memory=f"{MEMORY_MIB}MiB",
                     hugepages="on" if free >= mib else "off")
        lab.make_messages(MESSAGES)
        state = tempfile.TemporaryDirectory(prefix="tandem-perf-", dir="/dev/shm")
        lab.config["control"]["state_dir"] = state.name     # what is kept waits for no disk
        with state, lab:
            swapping = Swapping(lab)
            still, swapped = take_turns(bench.rounds, [lab, swapping], TURN_SECONDS)
    # Each turn has checked that nothing was lost: tandem.Played.turn.
    bench.rows("snapshots a second", swapping.rates, "swaps/s", target=at_least(95), judged="value")
    bench.rows("under swaps, nothing lost", swapped, "ns/message", against="without",
               others=still, target=at_most(1.02))
    bench.rows("what main does meanwhile", swapping.main_us, "µs/swap")
    bench.rows("what control does meanwhile", swapping.control_us, "µs/swap")
