# SPDX-License-Identifier: Apache-2.0
"""
The laboratory: a SIP cluster, an appliance and phones in network namespaces of this machine. The
quickstart and the system tests stand on it. It needs root, Debian's packages as config/setup.sh
lists them, and Python's standard library; it knows Tandem only by its three binaries, its YAML
and the output of tandemctl.

    import sys; sys.path.insert(0, "config")
    from lab import Lab

    with Lab(driver="af_packet") as lab:             # namespaces, Kamailios, both daemons
        lab.register("callee", users, port=5070)
        callee = lab.sipp("callee", "uas", port=5070)
        caller = lab.sipp("caller", "uac", calls=1000, rate=100, users=users)
        assert caller.wait().failed == 0
        callee.finish()
        print(lab.stats())
"""
from .base import LabError, wait_for
from .lab import Lab

__all__ = ["Lab", "LabError", "wait_for"]
