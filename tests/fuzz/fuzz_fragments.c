/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of frames and fragments. The bytes are a script: datagrams that are built, cut and
 * given piece by piece in any order, damaged where the script says so, among frames of any bytes;
 * and the clock. A small table joins them.
 *
 * What must hold: a datagram of which no piece was damaged is joined as it was; nothing is joined
 * of bytes that were not given since it began; each piece is accounted for; a cut frame's pieces
 * fit and join to what was cut; and time empties the table.
 */
#include "tests/fuzz/fuzz.h"

#include "dataplane/io/frame.h"
#include "dataplane/io/icmp.h"
#include "dataplane/io/reassembly.h"
#include "tests/fuzz/take.h"

enum {
    DATAGRAMS = 8,
    FRAME_ROOM = IO_ETHER_BYTES + 65535,
    PIECES_MAX = 128,
    STEPS_MAX = 200,
    RAW_MAX = 2000,
};

/* One of the datagrams of a script, as one frame, and its pieces. */
struct datagram {
    uint8_t frame[FRAME_ROOM];
    uint32_t length;
    uint32_t id;
    uint32_t n; /* pieces */
    uint32_t size[PIECES_MAX];
    uint8_t *piece[PIECES_MAX];
    bool damaged; /* a piece was given that is not its own */
};

struct fuzz {
    struct io_reassembly *table;
    struct datagram datagrams[DATAGRAMS];
    uint32_t now_s;
    uint32_t ids;   /* so far: each datagram has one of its own */
    uint64_t given; /* pieces */
    struct io_reassembly_counts counts;
};

static void add_counts(struct fuzz *f)
{
    struct io_reassembly_counts c = io_reassembly_take_counts(f->table), *sum = &f->counts;

    sum->joined += c.joined;
    sum->repeated += c.repeated;
    sum->overlapped += c.overlapped;
    sum->invalid += c.invalid;
    sum->expired += c.expired;
    sum->evicted += c.evicted;
    sum->datagrams += c.datagrams;
    must(f->given == sum->joined + sum->repeated + sum->overlapped + sum->invalid + sum->expired +
                         sum->evicted + io_reassembly_waiting(f->table));
}

static void build(struct datagram *d, uint32_t id, struct take *take)
{
    static const uint8_t ours[6] = {2, 0, 0, 0, 0, 1}, peers[6] = {2, 0, 0, 0, 0, 2};
    uint32_t flags = take_number(take, 1), length = take_number(take, 2), headers;
    struct sip_addr src = {{{[10] = 0xff, 0xff, 10, 0, 0, 1}}, 5060};
    struct sip_addr dst = {{{[10] = 0xff, 0xff, 10, 0, 0, 2}}, 5061};

    if (flags & 1) {
        src.ip = (struct sip_ip){{0xfd, [15] = 1}};
        dst.ip = (struct sip_ip){{0xfd, [15] = 2}};
    }
    headers = io_frame_headers(&dst.ip);
    if (length > FRAME_ROOM - headers)
        length = FRAME_ROOM - headers;
    if (flags & 2)
        length %= 4096; /* most messages are short */
    for (uint32_t i = 0; i < length; i++)
        d->frame[headers + i] = (uint8_t)(i * 7 + id + flags);
    io_frame_build(d->frame, peers, ours, &src, &dst, length, (uint16_t)id);
    d->length = headers + length;
    d->id = id;
}

static void drop_pieces(struct datagram *d)
{
    while (d->n > 0)
        free(d->piece[--d->n]);
}

/* Cuts it into memory of just the size that a piece may have. */
static void cut(struct datagram *d, struct take *take)
{
    uint32_t mtu = IO_MTU_MIN + take_number(take, 2) % 4000, size;

    drop_pieces(d);
    for (d->n = 0; d->n < PIECES_MAX; d->n++) {
        uint8_t *piece = malloc(IO_ETHER_BYTES + mtu);

        must(piece != NULL);
        size = io_frame_fragment(d->frame, d->length, mtu, d->id, d->n, piece);
        must(size <= IO_ETHER_BYTES + mtu);
        d->piece[d->n] = piece;
        d->size[d->n] = size;
        if (size == 0) {
            free(piece);
            break;
        }
    }
}

/* Parses bytes as a frame that lies in memory of its size, and looks at all that was found. */
static enum io_frame_class parse(const uint8_t *bytes, uint32_t length, struct io_frame *ret)
{
    enum io_frame_class class = io_frame_parse(bytes, length, ret);
    struct io_icmp icmp;

    (void)io_icmp_read(bytes, length, &icmp);
    switch (class) {
    case IO_FRAME_UDP:
        must(ret->payload == ret->udp + IO_UDP_BYTES && ret->payload + ret->length <= length);
        (void)io_frame_udp_good(bytes, ret);
        break;
    case IO_FRAME_FRAGMENT:
        must(ret->payload + ret->length <= length && ret->offset % 8 == 0);
        must(ret->offset > 0 || ret->more);
        break;
    default:
        break;
    }
    return class;
}

/* What was joined is the datagram behind the IP headers that was cut. */
static void check_joined(const struct datagram *d, const uint8_t *joined, uint32_t length)
{
    struct io_frame frame, whole;

    must(parse(d->frame, d->length, &whole) == IO_FRAME_UDP);
    must(length == d->length - whole.udp);
    must(memcmp(joined, d->frame + whole.udp, length) == 0);
    frame = whole;
    must(io_frame_joined(joined, length, &frame) == IO_FRAME_UDP);
    must(io_frame_udp_good(joined, &frame) && frame.length == whole.length);
    must(sip_addr_equal(&frame.src, &whole.src) && sip_addr_equal(&frame.dst, &whole.dst));
}

/* Gives a frame to the table, as a worker does. `d`: whose piece it is; NULL: nobody's. */
static void give(struct fuzz *f, struct datagram *d, const uint8_t *bytes, uint32_t length)
{
    static uint8_t joined[IO_DATAGRAM_MAX];
    struct io_reassembly_key key = {.port = 0};
    struct io_frame frame;
    struct io_piece piece;
    uint32_t whole;

    if (parse(bytes, length, &frame) != IO_FRAME_FRAGMENT)
        return;
    key.src = frame.src.ip;
    key.dst = frame.dst.ip;
    key.id = frame.id;
    memcpy(key.src_mac, frame.src_mac, sizeof(key.src_mac));
    piece = (struct io_piece){frame.offset, frame.length, frame.more, bytes + frame.payload};
    f->given++;
    whole = io_reassembly_add(f->table, &key, &piece, f->now_s, joined);
    must(whole <= IO_DATAGRAM_MAX && (whole == 0 || whole >= piece.offset + piece.length));
    if (whole > 0) /* what was just given is in it */
        must(memcmp(joined + piece.offset, piece.bytes, piece.length) == 0);
    if (whole > 0 && d != NULL && !d->damaged)
        check_joined(d, joined, whole);
    add_counts(f);
}

/* A copy of a piece with one byte changed, cut short or grown. */
static void give_damaged(struct fuzz *f, struct datagram *d, uint32_t n, struct take *take)
{
    uint32_t at = take_number(take, 2) % d->size[n], cut_off = take_number(take, 1);
    uint8_t *copy;

    cut_off = cut_off < 128 ? 0 : cut_off % d->size[n];
    copy = malloc(d->size[n] - cut_off);
    must(copy != NULL);
    memcpy(copy, d->piece[n], d->size[n] - cut_off);
    if (at < d->size[n] - cut_off)
        copy[at] ^= (uint8_t)take_number(take, 1);
    /* It may have become a piece of any other. */
    for (uint32_t i = 0; i < DATAGRAMS; i++)
        f->datagrams[i].damaged = true;
    give(f, NULL, copy, d->size[n] - cut_off);
    free(copy);
}

static void give_raw(struct fuzz *f, struct take *take)
{
    struct sip_slice bytes = take_bytes(take, take_number(take, 2) % RAW_MAX);
    uint8_t *copy = malloc(bytes.length > 0 ? bytes.length : 1), *out;
    uint32_t mtu = IO_MTU_MIN + take_number(take, 1), size;

    must(copy != NULL && (out = malloc(IO_ETHER_BYTES + mtu)) != NULL);
    if (bytes.length > 0)
        memcpy(copy, bytes.at, bytes.length);
    for (uint32_t i = 0; i < DATAGRAMS; i++)
        f->datagrams[i].damaged = true;
    give(f, NULL, copy, bytes.length);
    for (uint32_t n = 0; n < PIECES_MAX; n++) {
        size = io_frame_fragment(copy, bytes.length, mtu, 1, n, out);
        must(size <= IO_ETHER_BYTES + mtu);
        if (size == 0)
            break;
    }
    free(out);
    free(copy);
}

/* All pieces in a row from some place on, around: they must join, if it was not begun before and
 * nothing is in the way. */
static void give_all(struct fuzz *f, struct datagram *d, struct take *take)
{
    uint32_t begin = take_number(take, 1), before;

    f->now_s += IO_REASSEMBLY_S;
    io_reassembly_expire(f->table, f->now_s);
    must(io_reassembly_waiting(f->table) == 0);
    add_counts(f);
    d->damaged = false;
    before = (uint32_t)f->counts.datagrams;
    for (uint32_t i = 0; i < d->n; i++)
        give(f, d, d->piece[(begin + i) % d->n], d->size[(begin + i) % d->n]);
    /* One piece is no piece, but the whole. */
    must(f->counts.datagrams == before + (d->n > 1) && io_reassembly_waiting(f->table) == 0);
}

static void step(struct fuzz *f, struct take *take)
{
    uint32_t what = take_number(take, 1);
    struct datagram *d = &f->datagrams[what >> 4 & (DATAGRAMS - 1)];
    uint32_t n = what & 8 ? take_number(take, 1) : 0;

    switch (what & 7) {
    case 0:
        build(d, ++f->ids, take);
        cut(d, take);
        d->damaged = false;
        break;
    case 1:
    case 2:
        if (d->n > 0)
            give(f, d, d->piece[n % d->n], d->size[n % d->n]);
        break;
    case 3:
        if (d->n > 0)
            give_damaged(f, d, n % d->n, take);
        break;
    case 4:
        give_raw(f, take);
        break;
    case 5:
        f->now_s += take_number(take, 1) % 4;
        io_reassembly_expire(f->table, f->now_s);
        add_counts(f);
        break;
    case 6:
        give_all(f, d, take);
        break;
    default: /* otherwise than before: pieces of the one cut overlap those of the other */
        cut(d, take);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lb_key key = {1, 2};
    static struct fuzz f;
    struct take take = {data, size};

    f.table = io_reassembly_new(IO_REASSEMBLY_WAYS, IO_REASSEMBLY_BLOCKS_MIN, &key);
    must(f.table != NULL);
    f.now_s = 100;
    f.given = f.ids = 0;
    memset(&f.counts, 0, sizeof(f.counts));
    for (int i = 0; i < STEPS_MAX && take.left > 0; i++)
        step(&f, &take);
    io_reassembly_expire(f.table, f.now_s + IO_REASSEMBLY_S);
    add_counts(&f);
    must(io_reassembly_waiting(f.table) == 0);
    io_reassembly_free(f.table);
    for (uint32_t i = 0; i < DATAGRAMS; i++)
        drop_pieces(&f.datagrams[i]);
    return 0;
}
