# SPDX-License-Identifier: Apache-2.0
"""
A paced OPTIONS client, run inside a namespace: sends one request at a time to the targets in turn,
waits for its 200, and prints one line of JSON: {"sent", "answered", "us": [round trips]}.

    python3 latency.py LOCAL-ADDRESS COUNT INTERVAL-MS DOMAIN TARGET…
"""
import json
import os
import socket
import sys
import time

REQUEST = """OPTIONS sip:ping@{domain} SIP/2.0
Via: SIP/2.0/UDP {local}:{port};rport;branch=z9hG4bK-{call}
From: <sip:latency@{domain}>;tag={call}
To: <sip:ping@{domain}>
Call-ID: {call}
CSeq: 1 OPTIONS
Max-Forwards: 70
Contact: <sip:latency@{local}:{port}>
Content-Length: 0

""".replace("\n", "\r\n")
TIMEOUT_S = 0.4            # under the 500 ms after which SIP would send again


def ask(sock, target, request, call):
    """One round trip in microseconds; None when no 200 came."""
    start = time.perf_counter_ns()
    sock.sendto(request.encode(), (target, 5060))
    while True:
        left = TIMEOUT_S - (time.perf_counter_ns() - start) / 1e9
        if left <= 0:
            return None
        sock.settimeout(left)
        try:
            answer, _ = sock.recvfrom(4096)
        except OSError:
            return None
        end = time.perf_counter_ns()
        if answer.startswith(b"SIP/2.0 200") and call.encode() in answer:
            return (end - start) / 1000


def main():
    local, count, interval_ms, domain = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    targets = sys.argv[5:]
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((local, 0))
        port = sock.getsockname()[1]
        due = time.perf_counter()
        for number in range(count):
            due += interval_ms / 1000
            time.sleep(max(0.0, due - time.perf_counter()))
            call = f"{os.getpid()}-{number}@latency"
            request = REQUEST.format(domain=domain, local=local, port=port, call=call)
            took = ask(sock, targets[number % len(targets)], request, call)
            if took is not None:
                times.append(round(took, 1))
    print(json.dumps({"sent": count, "answered": len(times), "us": times}))


if __name__ == "__main__":
    main()
