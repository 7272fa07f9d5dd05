Å8OPTIONS sip:x SIP/2.0
Call-ID: 1
Content-Length: 0

