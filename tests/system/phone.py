# SPDX-License-Identifier: Apache-2.0
"""
A phone for flows that no SIPp scenario tells well: it keeps dialogs (RFC 3261 §12), follows Route
sets, and lets a test say each message. What it received and nobody asked for stays in its inbox.
It has no timers but that ask() repeats a request until something answers it.
"""
import re
import time

from sip import Message, Peer, contact_uri, request, response

PATIENCE = 6                          # seconds until a message that must come is given up
SDP = (b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
       b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n")
SDP_TYPE = "Content-Type: application/sdp"
COMPACTED = {"via": "v", "from": "f", "to": "t", "call-id": "i", "contact": "m",
             "content-length": "l", "content-type": "c", "supported": "k", "event": "o",
             "refer-to": "r", "subject": "s"}


def listed(values):
    """The members of header fields that may be several in one, at commas outside <> and quotes."""
    return [part.strip() for value in values
            for part in re.findall(r'(?:[^,<"]|<[^>]*>|"(?:[^"\\]|\\.)*")+', value)]


def uri_of(value):
    """The URI of a name-addr or addr-spec."""
    match = re.search(r"<([^>]*)>", value)
    return match[1] if match else value.partition(";")[0].strip()


def tag_of(value):
    match = re.search(r"[;>]\s*tag\s*=\s*([^;\s]+)", value or "")
    return match[1] if match else None


def compact(data):
    """
    The same message with every name in its compact form where it has one, odd case and blanks,
    and with lines folded where RFC 3261 §7.3.1 lets them be: after the colon and at `;`.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    made = [lines[0]]
    for line in lines[1:]:
        name, _, value = line.partition(":")
        low = name.strip().lower()
        value = value.strip()
        if low in ("from", "to", "contact", "record-route", "route"):
            value = "\r\n " + value.replace(">;", ">\r\n\t;", 1)
        elif low == "via":
            value = value.replace(";", "\r\n   ; ", 1)
        made.append(f"{COMPACTED.get(low, name.upper())} : {value}")
    return "\r\n".join(made).encode() + b"\r\n\r\n" + body


class Dialog:
    """One side of a call or subscription; until learn() or dialog_of() the beginning of one."""

    def __init__(self, phone, call_id, local_tag, remote_uri, target, cseq=0):
        self.phone, self.call_id, self.local_tag = phone, call_id, local_tag
        self.remote_uri, self.remote_tag, self.target = remote_uri, None, target
        self.routes, self.cseq = [], cseq
        self.first = None                  # the request that began it, as bytes or Message

    def learn(self, answer):
        """What a dialog-making response to our request says (§12.1.2)."""
        self.remote_tag = answer.to_tag
        self.routes = list(reversed(listed(answer.all("record-route"))))
        if answer.get("contact"):
            self.target = uri_of(answer.get("contact"))
        return self

    def sibling(self, answer):
        """The dialog with another To-tag that a fork made of the same request."""
        other = Dialog(self.phone, self.call_id, self.local_tag, self.remote_uri, self.target,
                       self.cseq)
        other.first = self.first
        return other.learn(answer)

    def request(self, method, cseq=None, **more):
        """The bytes of its next request; ACK and CANCEL take the CSeq of the last one."""
        if cseq is None:
            self.cseq += method not in ("ACK", "CANCEL")
            cseq = self.cseq
        return self.phone.make(method, self.target, call_id=self.call_id, cseq=cseq,
                               from_tag=self.local_tag, to=self.remote_uri,
                               to_tag=self.remote_tag, routes=self.routes, **more)

    def ask(self, method, **more):
        """Sends it and returns its final response."""
        return self.phone.ask(self.request(method, **more))

    def ack(self, cseq=None, **more):
        """ACK to a 2xx: a transaction of its own."""
        self.phone.send(self.request("ACK", cseq=cseq, **more))

    def replaces(self):
        """The value of Replaces for the other side's use of this dialog (RFC 3891 §3)."""
        return f"{self.call_id};to-tag={self.remote_tag};from-tag={self.local_tag}"


class Phone(Peer):
    """
    A user of the cluster's domain at a port of a host. public: the address that Contact and Via
    name, when it is not the socket's (a phone behind a NAT that Python plays). dress: a function
    from bytes to bytes that each message passes before it is sent.
    """

    repeat = 0.5                   # seconds until a request that nothing answered is sent again

    def __init__(self, lab, host_name, user, port=0, address=None, target=None, public=None,
                 dress=None):
        super().__init__(lab, host_name, port, address)
        self.lab, self.user = lab, user
        self.target = target or self.target
        self.public = public or self.address
        self.dress = dress
        self.inbox, self.known = [], set()
        self.register_call = f"reg-{user}-{time.monotonic_ns():x}@{host_name}"
        self.register_cseq = 0

    @property
    def aor(self):
        return f"sip:{self.user}@{self.lab.domain}"

    @property
    def contact(self):
        return contact_uri(self.user, self.public, self.transport)

    # Out.

    def make(self, method, uri, **more):
        more.setdefault("user", self.user)
        more.setdefault("transport", self.transport)
        return request(method, uri, self.public, **more)

    def send(self, data, target=None):
        super().send(self.dress(data) if self.dress else data, target)

    def ask(self, data, patience=PATIENCE):
        """Sends a request until a final response comes; AssertionError when none does."""
        asked = Message(data)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.send(data)
            answer = self.find(self.repeat,
                               lambda m: m.status and m.status >= 200 and same(m, asked))
            if answer:
                return answer
        raise AssertionError(f"{self.user}: no final response to {asked.start!r}; inbox: "
                             f"{[m.start for m in self.inbox]}")

    def register(self, expires=3600, status=200, extra=(), parameters=""):
        """REGISTER with the Contact of this phone and these parameters of it, of one Call-ID."""
        self.register_cseq += 1
        data = self.make(
            "REGISTER", f"sip:{self.lab.domain}", call_id=self.register_call,
            cseq=self.register_cseq, to=self.aor, extra=[f"Expires: {expires}", *extra])
        contact = f"<{self.contact}>".encode()
        answer = self.ask(data.replace(contact, contact + parameters.encode(), 1))
        if answer.status != status:
            raise AssertionError(f"REGISTER of {self.user}: {answer.start}")
        return answer

    def invite(self, uri, send=True, extra=(), body=SDP, **more):
        """Calls; the Dialog, whose `first` is the INVITE's bytes."""
        data = self.make("INVITE", uri, extra=[SDP_TYPE, *extra] if body else extra, body=body,
                         from_tag=f"f{time.monotonic_ns():x}", **more)
        asked = Message(data)
        dialog = Dialog(self, asked.get("call-id"), tag_of(asked.get("from")),
                        more.get("to") or uri, uri, int(asked.get("cseq").split()[0]))
        dialog.first = data
        if send:
            self.send(data)
        return dialog

    def finish_invite(self, dialog, status=200):
        """Waits for the final response to a dialog's INVITE, sent again meanwhile; learns, ACKs."""
        answer = self.ask(dialog.first)
        if answer.status != status:
            raise AssertionError(f"{self.user}: {answer.start}, not {status}")
        if status < 300:
            dialog.learn(answer).ack()
        else:
            self.send(self.ack_failure(dialog, answer))
        return answer

    def ack_failure(self, dialog, answer):
        """The ACK of an INVITE's transaction (§17.1.1.3)."""
        asked = Message(dialog.first)
        return self.make("ACK", asked.start.split()[1], call_id=dialog.call_id,
                         cseq=int(asked.get("cseq").split()[0]), branch=asked.branch,
                         from_tag=dialog.local_tag, to=dialog.remote_uri, to_tag=answer.to_tag,
                         routes=asked.all("route"))

    def cancel(self, dialog):
        asked = Message(dialog.first)
        return self.make("CANCEL", asked.start.split()[1], call_id=dialog.call_id,
                         cseq=int(asked.get("cseq").split()[0]), branch=asked.branch,
                         from_tag=dialog.local_tag, to=dialog.remote_uri)

    def reply(self, asked, status=200, reason="OK", tag=None, body=b"", extra=()):
        """Answers a Message of the inbox, to where it came from."""
        data = response(asked, status, reason, tag=tag, contact=self.contact, body=body)
        for line in extra:
            data = data.replace(b"\r\nContent-Length:", f"\r\n{line}\r\nContent-Length:".encode(),
                                1)
        self.send(data, asked.source)
        return data

    def dialog_of(self, asked, tag):
        """The Dialog that our 2xx with this To-tag makes of a request (§12.1.1)."""
        dialog = Dialog(self, asked.get("call-id"), tag, uri_of(asked.get("from")),
                        uri_of(asked.get("contact")), cseq=100)
        dialog.remote_tag = tag_of(asked.get("from"))
        dialog.routes = listed(asked.all("record-route"))
        dialog.first = asked
        return dialog

    def answer(self, call_id=None, tag=None, ring=True):
        """Waits for an INVITE, rings, answers 200 and waits for the ACK; the Dialog."""
        asked = self.wait("INVITE", call_id)
        tag = tag or f"t{time.monotonic_ns():x}"
        if ring:
            self.reply(asked, 180, "Ringing", tag)
        return self.accept(asked, tag)

    def accept(self, asked, tag):
        """200 to an INVITE until its ACK comes; the Dialog."""
        dialog = self.dialog_of(asked, tag)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.reply(asked, 200, "OK", tag, SDP, [SDP_TYPE])
            if self.find(0.5, lambda m: m.method == "ACK" and m.to_tag == tag
                         and m.get("call-id") == dialog.call_id):
                return dialog
        raise AssertionError(f"{self.user}: no ACK of {dialog.call_id}; inbox: "
                             f"{[m.start for m in self.inbox]}")

    # In.

    def find(self, timeout, wanted):
        """
        The oldest unread Message for which wanted(); None after timeout. A message that came
        before with the same bytes is a retransmission, and is dropped.
        """
        deadline = time.monotonic() + timeout
        while True:
            for message in self.inbox:
                if wanted(message):
                    self.inbox.remove(message)
                    return message
            message = self.receive(max(0, deadline - time.monotonic()))
            if message is None:
                return None
            if message.data not in self.known:
                self.known.add(message.data)
                self.inbox.append(message)

    def wait(self, what, call_id=None, timeout=PATIENCE, wanted=lambda message: True):
        """The next request of a method, or response of a status; AssertionError when none comes."""
        call_id = getattr(call_id, "call_id", call_id)
        found = self.find(timeout, lambda m: what in (m.method, m.status)
                          and call_id in (None, m.get("call-id")) and wanted(m))
        if found is None:
            raise AssertionError(f"{self.user}: no {what} within {timeout} s; inbox: "
                                 f"{[m.start for m in self.inbox]}")
        return found

    def serve(self, method, call_id=None, status=200, reason="OK", **more):
        """Waits for a request and answers it."""
        asked = self.wait(method, call_id)
        self.reply(asked, status, reason, **more)
        return asked

    def silent(self, seconds, what=None):
        """What came within these seconds (of this method or status): none, a test hopes."""
        found = self.find(seconds, lambda m: what is None or what in (m.method, m.status))
        return found


def same(answer, asked):
    return (answer.get("call-id") == asked.get("call-id")
            and answer.get("cseq").split() == asked.get("cseq").split())


def talk(caller, callee, uri=None, **more):
    """An answered call between two phones: (the caller's Dialog, the callee's)."""
    dialog = caller.invite(uri or callee.aor, **more)
    asked = callee.wait("INVITE", dialog)
    tag = f"t{time.monotonic_ns():x}"
    callee.reply(asked, 180, "Ringing", tag)
    callee.reply(asked, 200, "OK", tag, SDP, [SDP_TYPE])
    answer = caller.wait(200, dialog, wanted=lambda m: "INVITE" in m.get("cseq"))
    dialog.learn(answer).ack()
    callee.wait("ACK", dialog)
    return dialog, callee.dialog_of(asked, tag)


def hang_up(by, other):
    """BYE by one side's Dialog, served by the other's phone."""
    data = by.request("BYE")
    by.phone.send(data)
    asked = other.phone.wait("BYE", by.call_id)
    other.phone.reply(asked)
    answer = by.phone.wait(200, by.call_id, wanted=lambda m: "BYE" in m.get("cseq"))
    return asked, answer


def reinvite(by, other):
    """A re-INVITE by one side's Dialog, answered by the other's phone."""
    by.first = by.request("INVITE")
    by.phone.send(by.first)
    asked = other.phone.wait("INVITE", by.call_id)
    other.phone.reply(asked)
    by.phone.wait(200, by.call_id, wanted=lambda m: "INVITE" in m.get("cseq"))
    by.ack()
    other.phone.wait("ACK", by.call_id)


def update(by, other):
    """UPDATE by one side's Dialog, served by the other's phone."""
    by.phone.send(by.request("UPDATE"))
    other.phone.serve("UPDATE", by.call_id)
    by.phone.wait(200, by.call_id, wanted=lambda m: "UPDATE" in m.get("cseq"))


def cancelled(caller, callee):
    """A call that rings and is given up, 487 and its ACK; the caller's Dialog."""
    call = caller.invite(callee.aor)
    asked = callee.wait("INVITE", call)
    callee.reply(asked, 180, "Ringing", "early")
    caller.wait(180, call)
    caller.send(caller.cancel(call))
    callee.serve("CANCEL", call, tag="early")
    callee.reply(asked, 487, "Request Terminated", "early")
    caller.wait(200, call)
    answer = caller.wait(487, call)
    caller.send(caller.ack_failure(call, answer))
    callee.wait("ACK", call)
    return call
