# SPDX-License-Identifier: Apache-2.0
"""What the kernel counts of a process's AF_XDP sockets (if_xdp.h, struct xdp_statistics)."""
import ctypes
import os
import struct
from pathlib import Path

SOL_XDP, XDP_STATISTICS = 283, 7
PIDFD_GETFD = 438          # the system call's number
# Those of its six numbers that mean that frames were lost.
LOSSES = {0: "xdp_rx_dropped", 1: "xdp_rx_invalid_buffer", 2: "xdp_tx_invalid_frame",
          3: "xdp_rx_queue_full", 4: "xdp_rx_no_buffer"}
_libc = ctypes.CDLL(None, use_errno=True)


def _statistics(pidfd, number):
    """Of descriptor `number` of the process; None: it is no such socket."""
    fd = _libc.syscall(PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        return None
    try:
        room, size = ctypes.create_string_buffer(48), ctypes.c_uint32(48)
        error = _libc.getsockopt(fd, SOL_XDP, XDP_STATISTICS, room, ctypes.byref(size))
        return None if error else struct.unpack("6Q", room.raw)
    finally:
        os.close(fd)


def losses(pid):
    """{what: number} over all its sockets."""
    sums = dict.fromkeys(LOSSES.values(), 0)
    pidfd = os.pidfd_open(pid)
    try:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if os.readlink(path).startswith("socket:"):
                found = _statistics(pidfd, int(path.name))
                for at, name in LOSSES.items() if found else ():
                    sums[name] += found[at]
    finally:
        os.close(pidfd)
    return sums
