# SPDX-License-Identifier: Apache-2.0
"""
A back-to-back user agent as a backend: it ends the caller's leg, and calls on with a Call-ID of its
own through the virtual address. It knows basic calls (INVITE, CANCEL, ACK, BYE, any final
response), and hangs up either leg when the other does. One thread each.
"""
import itertools
import threading

from phone import SDP_TYPE, Phone, tag_of, uri_of


class Leg:
    """One side of a call: its INVITE, and its dialog once there is one."""

    def __init__(self, dialog, invite=None):
        self.dialog, self.invite = dialog, invite    # invite: the caller's, as a Message
        self.other = None
        self.state = "calling"                       # | up | over


class B2bua(threading.Thread):
    """
    dial: a function from the user called to the Request-URI of the second leg. A user "via-X"
    makes it call sip:X@the domain, which by the virtual address reaches a backend again.
    """

    def __init__(self, lab, name, dial, target, address=None):
        super().__init__(name=name, daemon=True)
        self.ua = Phone(lab, name, name, 5060, address, target=target)
        self.dial = dial
        self.legs = {}                               # (Call-ID, our tag) → Leg
        self.seen = {}                               # Call-ID → list of methods and statuses
        self.answers = {}                            # (branch, method) → bytes, to repeat
        self.faults = []
        self.numbers = itertools.count(1)
        self.ending = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.join()
        self.ua.socket.close()

    def run(self):
        while not self.ending:
            message = self.ua.receive(0.1)
            if message is None:
                continue
            try:
                self.take(message)
            except Exception as error:               # shown by the test: a thread has nobody else
                self.faults.append(f"{message.start}: {error!r}")

    def take(self, message):
        what = message.method or message.status
        self.seen.setdefault(message.get("call-id"), []).append(what)
        if message.status:
            self.response(message)
        elif (message.branch, message.method) in self.answers:
            self.ua.send(self.answers[message.branch, message.method])
        elif message.method == "INVITE":
            self.invite(message)
        elif message.method == "BYE":
            self.bye(message)
        elif message.method == "CANCEL":
            self.cancel(message)
        elif message.method != "ACK":
            self.answer(message, 501, "Not Implemented")

    def answer(self, asked, status=200, reason="OK", **more):
        data = self.ua.reply(asked, status, reason, **more)
        if status >= 200:
            self.answers[asked.branch, asked.method] = data

    def invite(self, asked):
        number = next(self.numbers)
        tag = f"{self.name}-a{number}"
        caller = Leg(self.ua.dialog_of(asked, tag), asked)
        self.legs[asked.get("call-id"), tag] = caller
        user = uri_of(asked.start.split()[1]).partition(":")[2].partition("@")[0]
        uri = (f"sip:{user[4:]}@{self.ua.lab.domain}" if user.startswith("via-")
               else self.dial(user))
        call_id = f"{self.name}-{number}-{asked.get('call-id')}"
        dialog = self.ua.invite(uri, send=False, call_id=call_id, body=asked.body)
        callee = Leg(dialog)
        caller.other, callee.other = callee, caller
        self.legs[call_id, dialog.local_tag] = callee
        self.ua.send(dialog.first)

    def response(self, message):
        leg = self.legs.get((message.get("call-id"), tag_of(message.get("from"))))
        if leg is None:
            self.faults.append(f"a response of no call: {message.start} {message.fields}")
            return
        method = message.get("cseq").split()[1]
        if method != "INVITE" or message.status == 100:
            return
        caller, reason = leg.other, message.start.split(None, 2)[2]
        tag = caller.dialog.local_tag
        if message.status < 200:
            self.ua.reply(caller.invite, message.status, reason, tag)
        elif message.status < 300:
            leg.dialog.learn(message).ack()
            if leg.state == "calling":
                leg.state = caller.state = "up"
                self.answer(caller.invite, tag=tag, body=message.body, extra=[SDP_TYPE])
        else:
            self.ua.send(self.ua.ack_failure(leg.dialog, message))
            if caller.state == "calling":
                caller.state = "over"
                self.answer(caller.invite, message.status, reason, tag=tag)
            leg.state = "over"

    def bye(self, asked):
        leg = self.legs.get((asked.get("call-id"), asked.to_tag))
        if leg is None or leg.state != "up":
            self.faults.append(f"a BYE of no call: {asked.fields}")
            self.answer(asked, 481, "Call/Transaction Does Not Exist")
            return
        self.answer(asked)
        leg.state = leg.other.state = "over"
        self.ua.send(leg.other.dialog.request("BYE"))

    def cancel(self, asked):
        leg = next((leg for leg in self.legs.values() if leg.invite is not None
                    and leg.invite.branch == asked.branch and leg.state == "calling"), None)
        if leg is None:
            self.faults.append(f"a CANCEL of no call: {asked.fields}")
            self.answer(asked, 481, "Call/Transaction Does Not Exist")
            return
        tag = leg.dialog.local_tag
        leg.state = "over"
        self.answer(asked, tag=tag)
        self.answer(leg.invite, 487, "Request Terminated", tag=tag)
        self.ua.send(self.ua.cancel(leg.other.dialog))
