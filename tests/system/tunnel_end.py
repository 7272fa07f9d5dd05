#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
The far end of IP-in-IP tunnels, where the kernel has no device for them: raw sockets take the outer
packets (whose fragments the kernel has joined), and what is inside is received on a TUN device that
holds the addresses given. Run as root in the backend's namespace: tunnel_end.py DEVICE ADDRESS…
"""
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
IPV4, IPV6 = 4, 41                     # protocols: what is inside
LARGEST = 65535


def run(*argv):
    subprocess.run(argv, check=True)


def open_device(name, addresses):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    for address in addresses:
        length, more = ("128", ["nodad"]) if ":" in address else ("32", [])
        run("ip", "addr", "add", f"{address}/{length}", "dev", name, *more)
    run("ip", "link", "set", name, "mtu", str(LARGEST), "up")
    return tun


def open_socket(family, protocol):
    made = socket.socket(family, socket.SOCK_RAW, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    return made


def main():
    tun = open_device(sys.argv[1], sys.argv[2:])
    sockets = [open_socket(family, protocol) for family in (socket.AF_INET, socket.AF_INET6)
               for protocol in (IPV4, IPV6)]
    print("ready", flush=True)
    while True:
        for ready in select.select(sockets, [], [])[0]:
            packet = ready.recv(LARGEST)
            if ready.family == socket.AF_INET:       # IPv4's raw sockets show the outer header
                packet = packet[(packet[0] & 15) * 4:]
            os.write(tun, packet)


if __name__ == "__main__":
    main()
