# SPDX-License-Identifier: Apache-2.0
"""Tandem under load, its workers told from its main lcore, which has another CPU."""
import time

import machine
import tandem


class Loaded(tandem.Played):
    """Its turns are measured by what workers take. main_percent: what main took of a CPU, by turn."""

    def __init__(self, bench, pcap, **more):
        super().__init__(bench, pcap, **more)
        self.main_percent = []

    def cpu_seconds(self):
        return machine.thread_seconds(self.dataplane.pid, "rte-worker")

    def main_seconds(self):
        return machine.thread_seconds(self.dataplane.pid, "tandem-data")

    def turn(self, sleep):
        seconds = 0

        def timed():
            nonlocal seconds
            began = time.monotonic()
            sleep()
            seconds = time.monotonic() - began
        began = self.main_seconds()
        cost = super().turn(timed)
        self.main_percent.append(100 * (self.main_seconds() - began) / seconds)
        return cost
