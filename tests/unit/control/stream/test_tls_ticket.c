/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session tickets (RFC 5077, RFC 8446 §4.6.1): which keys seal and open them on which day and after
 * which rotation, and sessions that go on at another node, after a restart, and not elsewhere.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "config/secret.h"
#include "control/stream/tls/ticket.h"
#include "tests/unit/control/stream/tls_scene.h"

#define PLAIN "transport: tls, certificates: [{cert: @/a.pem, key: @/a.key}]"
#define OPTIONAL PLAIN ", client_certificates: optional, client_ca: @/root.pem"
#define MUTUAL PLAIN ", client_certificates: required, client_ca: @/root.pem"

enum { DAY_S = 86400, NOON_S = 20000 * DAY_S + DAY_S / 2 };

static struct scene scene;

static int setup(void **state)
{
    (void)state;
    scene_setup(&scene);
    scene_issue_files(&scene, (struct scene_wish){.file = "a", .names = "DNS:a.example.net"});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_teardown(&scene);
    return 0;
}

/* What a key that was sealed with at noon is at another time, by maybe another secret. */
static int opened(const struct compile_secret *sealing, const struct compile_secret *opening,
                  long after_s)
{
    struct tls_tickets here, there;
    struct tls_ticket_key sealed, key = {.name = {0}};
    int status;

    assert_int_equal(tls_tickets_init(&here, sealing), 0);
    assert_int_equal(tls_tickets_init(&there, opening), 0);
    assert_int_equal(tls_ticket_sealing(&here, NOON_S, &sealed), 0);
    status = tls_ticket_opening(&there, (uint64_t)(NOON_S + after_s), sealed.name, &key);
    if (status >= 0)
        assert_memory_equal(&key, &sealed, sizeof(key));
    tls_tickets_done(&here);
    tls_tickets_done(&there);
    return status;
}

static void days(void **state)
{
    static const struct {
        long after_s;
        int status;
    } table[] = {
        {0, 0},
        {DAY_S / 2 - 1, 0},
        {DAY_S / 2, 1},
        {DAY_S + DAY_S / 2 - 1, 1},
        {DAY_S + DAY_S / 2, -ENOKEY},
        {-DAY_S, 1}, /* the other node's clock is ahead */
        {-2 * DAY_S, -ENOKEY},
        {1000L * DAY_S, -ENOKEY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_int_equal(opened(&scene.secret, &scene.secret, table[i].after_s), table[i].status);
}

/* Nothing of one day's key is in another's, nor of one MAC key's in another's. */
static void keys_differ(void **state)
{
    struct compile_secret rotated;
    struct tls_ticket_key keys[3];
    struct tls_tickets tickets;

    (void)state;
    assert_int_equal(secret_rotate(&scene.secret, NOON_S, &rotated), 0);
    assert_int_equal(tls_tickets_init(&tickets, &scene.secret), 0);
    assert_int_equal(tls_ticket_sealing(&tickets, NOON_S, &keys[0]), 0);
    assert_int_equal(tls_ticket_sealing(&tickets, NOON_S + DAY_S, &keys[1]), 0);
    tls_tickets_done(&tickets);
    assert_int_equal(tls_tickets_init(&tickets, &rotated), 0);
    assert_int_equal(tls_ticket_sealing(&tickets, NOON_S, &keys[2]), 0);
    tls_tickets_done(&tickets);
    for (int i = 0; i < 3; i++) {
        const struct tls_ticket_key *a = &keys[i], *b = &keys[(i + 1) % 3];

        assert_memory_not_equal(a->name + 5, b->name + 5, sizeof(a->name) - 5);
        assert_memory_not_equal(a->cipher, b->cipher, sizeof(a->cipher));
        assert_memory_not_equal(a->mac, b->mac, sizeof(a->mac));
        assert_memory_not_equal(a->cipher, a->mac, sizeof(a->mac));
    }
}

/* What is kept of more days than there is room for is what another derives. */
static void kept_keys_are_right(void **state)
{
    struct tls_tickets tickets;

    (void)state;
    assert_int_equal(tls_tickets_init(&tickets, &scene.secret), 0);
    for (uint64_t i = 0; i < 40; i++) {
        const uint64_t at_s = NOON_S + i * 7 % 10 * DAY_S;
        struct tls_ticket_key key, again;
        struct tls_tickets fresh;

        assert_int_equal(tls_tickets_init(&fresh, &scene.secret), 0);
        assert_int_equal(tls_ticket_sealing(&fresh, at_s, &again), 0);
        tls_tickets_done(&fresh);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(tls_ticket_sealing(&tickets, at_s, &key), 0);
            assert_memory_equal(&key, &again, sizeof(key));
        }
    }
    tls_tickets_done(&tickets);
}

static void rotations(void **state)
{
    struct compile_secret before = scene.secret, once, twice;

    (void)state;
    assert_int_equal(secret_rotate(&before, NOON_S, &once), 0);
    assert_int_equal(secret_rotate(&once, NOON_S, &twice), 0);
    assert_int_equal(opened(&before, &once, 0), 1); /* by its previous key */
    assert_int_equal(opened(&once, &before, 0), 1); /* by its next one */
    assert_int_equal(opened(&before, &twice, 0), -ENOKEY);
}

/* The same ids mean nothing under another seed, or with another key. */
static void other_secrets(void **state)
{
    struct compile_secret seed = scene.secret, mac = scene.secret, none = {.rotated_s = 0};
    struct tls_ticket_key key;
    struct tls_tickets tickets;

    (void)state;
    seed.seed.k0++;
    mac.mac[SNAPSHOT_MAC_CURRENT].key.k1++;
    assert_int_equal(opened(&scene.secret, &seed, 0), -ENOKEY);
    assert_int_equal(opened(&scene.secret, &mac, 0), -ENOKEY);
    assert_int_equal(tls_tickets_init(&tickets, &none), 0);
    assert_int_equal(tls_ticket_sealing(&tickets, NOON_S, &key), -ENOKEY);
    tls_tickets_done(&tickets);
}

/* The client's last session. */
static SSL_SESSION *kept;

static SSL_CTX *client_of(int version)
{
    SSL_CTX *client = scene_client(&scene);

    SSL_CTX_set_max_proto_version(client, version);
    return client;
}

/* Whether a handshake with the kept session, if any, is a resumption at both ends. */
static bool resumes(SSL_CTX *client, struct tls *tls, SSL_SESSION *session)
{
    struct scene_pair pair = scene_call(client, tls, "a.example.net", session);
    struct tls_facts facts;
    bool resumed;

    assert_true(pair.done);
    assert_true(scene_say(pair.server, pair.client, "200")); /* the ticket came before it */
    tls_describe(pair.server, &facts);
    resumed = SSL_session_reused(pair.client);
    assert_int_equal(facts.resumed, resumed);
    assert_string_equal(facts.sni, "a.example.net");
    SSL_SESSION_free(kept);
    kept = SSL_get1_session(pair.client);
    scene_pair_done(&pair);
    return resumed;
}

/* TLS of a listener with another secret. */
static struct tls *tls_by(const struct compile_secret *secret, const char *listener)
{
    struct compile_secret mine = scene.secret;
    struct tls *tls;

    scene.secret = *secret;
    tls = scene_tls(&scene, listener);
    scene.secret = mine;
    return tls;
}

static void sessions_go_on(void **state)
{
    struct compile_secret rotated, other = scene.secret;
    struct tls *here = scene_tls(&scene, PLAIN), *there = scene_tls(&scene, PLAIN), *later, *else_;

    (void)state;
    other.seed.k1++;
    assert_int_equal(secret_rotate(&scene.secret, (uint64_t)time(NULL), &rotated), 0);
    later = tls_by(&rotated, PLAIN);
    else_ = tls_by(&other, PLAIN);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_of(version);

        assert_false(resumes(client, here, NULL));
        assert_non_null(kept);
        assert_true(SSL_SESSION_get_ticket_lifetime_hint(kept) == DAY_S);
        assert_true(resumes(client, here, kept));
        assert_true(resumes(client, there, kept));  /* another node, or after a restart */
        assert_true(resumes(client, later, kept));  /* after a rotation… */
        assert_true(resumes(client, there, kept));  /* …at a node that knows nothing of it yet */
        assert_false(resumes(client, else_, kept)); /* another cluster */
        SSL_CTX_free(client);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    tls_free(here);
    tls_free(there);
    tls_free(later);
    tls_free(else_);
}

/* RFC 8446 §C.4: a client uses a ticket once, and wants to come again. */
static void resumptions_bring_tickets(void **state)
{
    struct tls *tls = scene_tls(&scene, PLAIN);
    SSL_CTX *client = client_of(TLS1_3_VERSION);
    const unsigned char *old, *new;
    size_t old_length, new_length;
    SSL_SESSION *first;

    (void)state;
    assert_false(resumes(client, tls, NULL));
    first = kept;
    SSL_SESSION_up_ref(first);
    assert_true(resumes(client, tls, first));
    SSL_SESSION_get0_ticket(first, &old, &old_length);
    SSL_SESSION_get0_ticket(kept, &new, &new_length);
    assert_true(old_length != new_length || memcmp(old, new, old_length) != 0);
    assert_true(resumes(client, tls, kept));
    SSL_SESSION_free(first);
    SSL_SESSION_free(kept);
    kept = NULL;
    SSL_CTX_free(client);
    tls_free(tls);
}

/* A ticket that was got without a certificate, or before one was revoked, opens nothing. */
static void demands_are_the_same(void **state)
{
    struct scene_identity trunk =
        scene_issue(&scene, &(struct scene_wish){.cn = "trunk.example", .issuer = &scene.sub});
    struct tls *open = scene_tls(&scene, PLAIN), *mutual = scene_tls(&scene, MUTUAL), *crl;

    (void)state;
    scene_revoke(&scene, "one.crl", false, &scene.sub, NULL, DAY_S);
    crl = scene_tls(&scene, MUTUAL ", client_crl: @/one.crl");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_of(version);
        struct scene_pair pair;

        scene_client_shows(client, &trunk);
        assert_false(resumes(client, open, NULL));
        assert_false(resumes(client, mutual, kept));
        assert_true(resumes(client, mutual, kept));
        pair = scene_call(client, mutual, "a.example.net", kept);
        assert_int_equal(tls_verify_peer(pair.server, "trunk.example"), 0); /* still known */
        scene_pair_done(&pair);
        assert_false(resumes(client, crl, kept));
        assert_true(resumes(client, crl, kept));
        SSL_CTX_free(client);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    scene_identity_done(&trunk);
    tls_free(open);
    tls_free(mutual);
    tls_free(crl);
}

/* Nor one that was got where none was needed, by who shows none. */
static void nobody_stays_nobody(void **state)
{
    struct tls *optional = scene_tls(&scene, OPTIONAL), *mutual = scene_tls(&scene, MUTUAL);

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_of(version);
        struct scene_pair pair;

        assert_false(resumes(client, optional, NULL));
        assert_true(resumes(client, optional, kept));
        pair = scene_call(client, mutual, "a.example.net", kept);
        assert_false(pair.done);
        assert_string_equal(scene_failure(&pair), "no_certificate");
        scene_pair_done(&pair);
        SSL_CTX_free(client);
    }
    SSL_SESSION_free(kept);
    kept = NULL;
    tls_free(optional);
    tls_free(mutual);
}

/* Nor one of a certificate that has expired since. */
static void certificates_expire(void **state)
{
    struct scene_identity trunk = scene_issue(
        &scene, &(struct scene_wish){.cn = "trunk.example", .until_s = 3, .issuer = &scene.sub});
    const struct timespec moment = {.tv_nsec = 50 * 1000 * 1000};
    struct tls *mutual = scene_tls(&scene, MUTUAL);
    SSL_CTX *client = client_of(TLS1_3_VERSION);
    struct scene_pair pair;

    (void)state;
    scene_client_shows(client, &trunk);
    assert_false(resumes(client, mutual, NULL));
    assert_true(resumes(client, mutual, kept));
    while (X509_cmp_current_time(X509_get0_notAfter(trunk.certificate)) > 0)
        nanosleep(&moment, NULL); /* time is what is waited for */
    pair = scene_call(client, mutual, "a.example.net", kept);
    assert_false(pair.done);
    assert_string_equal(scene_failure(&pair), "expired_certificate");
    scene_pair_done(&pair);
    SSL_CTX_free(client);
    SSL_SESSION_free(kept);
    kept = NULL;
    scene_identity_done(&trunk);
    tls_free(mutual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(kept_keys_are_right),
        cmocka_unit_test(rotations),
        cmocka_unit_test(other_secrets),
        cmocka_unit_test(sessions_go_on),
        cmocka_unit_test(resumptions_bring_tickets),
        cmocka_unit_test(demands_are_the_same),
        cmocka_unit_test(nobody_stays_nobody),
        cmocka_unit_test(certificates_expire),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
