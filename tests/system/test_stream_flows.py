# SPDX-License-Identifier: Apache-2.0
"""
The call flows of test_flows.py by phones that come over TCP and TLS: the same claims, of control.
What SIPp plays, it plays over TCP where it calls; conferences have a listener of their own there.
"""
import sys
import unittest

sys.dont_write_bytecode = True

import test_flows                                                 # noqa: E402
from harness import main                                          # noqa: E402
from phones.stream import StreamPhone                             # noqa: E402


class Tcp(test_flows.Flows):

    options = {"streams": ("tcp", "tls")}
    transport = "TCP"

    def make_phone(self, host_name, user, **more):
        return StreamPhone(self.lab, host_name, user, self.transport, **more)

    def place(self, pairs, **more):
        return super().place(pairs, transport="t1", **more)

    @unittest.skip("a listener of UDP's own")
    def test_8_conference(self):
        pass


class Tls(Tcp):

    transport = "TLS"

    @unittest.skip("SIPp has no TLS here")
    def test_1_modified(self):
        pass

    @unittest.skip("SIPp has no TLS here")
    def test_9_challenged(self):
        pass


if __name__ == "__main__":
    main()
