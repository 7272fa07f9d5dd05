/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control with streams for the tests of control/stream: a configuration, a data plane that only
 * says ACK, and real sockets on loopback for backends and phones. Its addresses are this process's
 * alone: 127.X.Y.1 is the virtual one, .2 the node's, .11 and .12 are backends a and b.
 */
#ifndef TANDEM_TESTS_STREAM_SCENE_H
#define TANDEM_TESTS_STREAM_SCENE_H

#include "control/stream/stream.h"
#include "tests/unit/control/fake.h"

enum { SCENE_SIP = 5060, SCENE_OWN = 5070, SCENE_WAIT_MS = 5000, SCENE_TEXT = 1 << 17 };

struct scene {
    struct fake fake;
    struct reload *reload;
    struct stream *stream;
    uint32_t ready;
    int a, b;              /* UDP sockets of the backends */
    const char *node;      /* lines that say which node it is, and the others; NULL: n */
    const char *pool;      /* more keys of the pool, a comma before each; NULL: none */
    char text[SCENE_TEXT]; /* what came last, terminated */
};

/* Begins; `listen` are the items of the service's listeners beside UDP's, "VIP" in them stands for
 * the address, `streams` is what control.streams holds. */
void scene_begin(struct scene *scene, const char *listen, const char *streams);
void scene_end(struct scene *scene);

/* Writes another configuration and has it loaded. */
void scene_reload(struct scene *scene, const char *listen, const char *streams);

/* The address with that last byte, as text (static, four of them). */
const char *scene_ip(uint32_t last);
struct sip_addr scene_addr(uint32_t last, uint16_t port);

/* A blocking socket, at .last: UDP with a port; TCP that is connected to the virtual address, or that
 * listens. */
int scene_udp(uint32_t last, uint16_t port);
int scene_listen(uint32_t last, uint16_t port);
int scene_tcp(uint32_t last, uint16_t port);

void scene_send(int fd, const char *text);
void scene_send_to(int fd, uint32_t last, uint16_t port, const char *text);
void scene_send_bytes_to(int fd, uint32_t last, uint16_t port, const void *bytes, size_t n);

/* The next datagram; the next whole message of a stream; "" and closed when the peer ends it. Fails
 * the test after SCENE_WAIT_MS. */
const char *scene_datagram(struct scene *scene, int fd);
const char *scene_message(struct scene *scene, int fd);

/* Waits until a stream is closed by the other end, whatever comes before. */
void scene_until_closed(int fd);

/* Waits until a count has that value. */
void scene_until(struct scene *scene, uint32_t which, uint64_t value);

/* The whole line (without its end) of the n-th header field with that name in what came last;
 * fails the test when it is not there. Static, eight of them. */
const char *scene_line(const struct scene *scene, const char *name, uint32_t n);

/* A request with a Via of the phone's; `more` are whole header lines. Static. */
const char *scene_request(const char *method, const char *uri, const char *call_id,
                          const char *transport, const char *more);

/* A response to what came last: its Vias, From, To, Call-ID, CSeq and Record-Routes. Static. */
const char *scene_response(const struct scene *scene, const char *status);

/* The backend that has a datagram. */
int scene_reached(struct scene *scene);

/* What is in angle brackets of a line. Static. */
const char *scene_uri(const char *line);

/* A phone registers; its Path's URI (static). The backend that took it is in *ret_backend. */
const char *scene_registers(struct scene *scene, int phone, const char *call_id, int *ret_backend);
/* With parameters of its Contact, a semicolon before each. */
const char *scene_registers_as(struct scene *scene, int phone, const char *call_id,
                               const char *parameters, int *ret_backend);

/* A request of a backend's along a Path. Static. */
const char *scene_along(const char *path, const char *method, const char *call_id);

#endif
