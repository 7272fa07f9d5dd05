/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phones of a page, by SIP.js over WebSocket. What browser.py evaluates are the methods of
 * window.phones[user]; those that wait return promises.
 */
import { Inviter, Registerer, RegistererState, SessionState, UserAgent } from "/sip.js/index.js";

/* Offers and answers that any phone understands, and no media: for peers that have no WebRTC. */
const plain = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" +
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
const withoutMedia = () => ({
    close() {},
    getDescription: async () => ({ body: plain, contentType: "application/sdp" }),
    hasDescription: (type) => type === "application/sdp",
    holdModifier: async (description) => description,
    rollbackDescription: async () => {},
    sendDtmf: () => false,
    setDescription: async () => {},
});

/* Resolves when the emitter's state is the wanted one. */
const reach = (emitter, wanted) => new Promise((resolve) => {
    const look = () => emitter.state === wanted && resolve(wanted);
    emitter.stateChange.addListener(look);
    look();
});

class Phone {
    constructor(user, server, domain, media) {
        this.domain = domain;
        this.invited = new Promise((resolve) => { this.onInvited = resolve; });
        this.agent = new UserAgent({
            uri: UserAgent.makeURI(`sip:${user}@${domain}`),
            transportOptions: { server },
            delegate: { onInvite: (invitation) => this.onInvited(invitation) },
            ...(media ? {} : { sessionDescriptionHandlerFactory: withoutMedia }),
            logBuiltinEnabled: false,
        });
    }

    async register() {
        await this.agent.start();
        this.registerer = new Registerer(this.agent);
        await this.registerer.register();
        return reach(this.registerer, RegistererState.Registered);
    }

    async dial(user) {
        this.session = new Inviter(this.agent, UserAgent.makeURI(`sip:${user}@${this.domain}`));
        await this.session.invite();
    }

    /* Waits for a call and takes it. */
    async answer() {
        this.session = await this.invited;
        this.invited = new Promise((resolve) => { this.onInvited = resolve; });
        await this.session.accept();
    }

    established() { return reach(this.session, SessionState.Established); }
    closed() { return reach(this.session, SessionState.Terminated); }
    async hangUp() { await this.session.bye(); }
    callId() { return this.session.dialog ? this.session.dialog.callId : this.session.request.callId; }

    /* Waits until media arrives: bytes of RTP that were decrypted. */
    async hears() {
        const connection = this.session.sessionDescriptionHandler.peerConnection;
        for (;;) {
            for (const found of (await connection.getStats()).values())
                if (found.type === "inbound-rtp" && found.packetsReceived > 10)
                    return found.packetsReceived;
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    }
}

window.phones = {};
window.makePhone = (user, ...more) => { window.phones[user] = new Phone(user, ...more); };
