/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of session tickets from the cluster's secret: see ticket.h.
 */
#include "control/stream/tls/ticket.h"

#include <endian.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, IV_BYTES = 16, KEPT = 4 };

/* A ticket's first bytes; the rest of them derives from the secret, so that another cluster's
 * tickets are told at once. */
struct name {
    uint8_t id;        /* of the MAC key */
    uint8_t day_be[4]; /* since 1970 */
    uint8_t derived[TLS_TICKET_NAME_BYTES - 5];
};

static_assert(sizeof(struct name) == TLS_TICKET_NAME_BYTES, "no padding");

/* To derive one takes as long as all else that a ticket does. */
struct tls_ticket_keys {
    pthread_mutex_t lock;
    uint32_t n; /* that were ever put; the oldest is in the way of the next */
    struct tls_ticket_key keys[KEPT];
};

static struct tls_ticket_keys *keys_new(void)
{
    struct tls_ticket_keys *kept = calloc(1, sizeof(*kept));

    if (kept != NULL)
        pthread_mutex_init(&kept->lock, NULL);
    return kept;
}

static void keys_free(struct tls_ticket_keys *kept)
{
    if (kept == NULL)
        return;
    pthread_mutex_destroy(&kept->lock);
    OPENSSL_cleanse(kept->keys, sizeof(kept->keys));
    free(kept);
}

int tls_tickets_init(struct tls_tickets *tickets, const struct compile_secret *secret)
{
    *tickets = (struct tls_tickets){
        .secret = *secret,
        .hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL),
        .cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL),
        .kept = keys_new(),
    };
    if (tickets->hkdf != NULL && tickets->cipher != NULL && tickets->kept != NULL)
        return 0;
    tls_tickets_done(tickets);
    return -ENOMEM;
}

void tls_tickets_done(struct tls_tickets *tickets)
{
    EVP_KDF_free(tickets->hkdf);
    EVP_CIPHER_free(tickets->cipher);
    keys_free(tickets->kept);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
}

static void key_bytes(const struct lb_key *key, uint8_t ret[16])
{
    const uint64_t words_be[2] = {htobe64(key->k0), htobe64(key->k1)};

    memcpy(ret, words_be, sizeof(words_be));
}

/* Key, salt and info as RFC 5869 calls them. */
static bool hkdf(const struct tls_tickets *tickets, const struct lb_key *key,
                 const struct name *name, uint8_t *ret, size_t length)
{
    static const char label[] = "tandem session ticket"; /* with its NUL: what follows is apart */
    uint8_t secret[16], salt[16], info[sizeof(label) + 5];
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(tickets->hkdf);
    bool derived;

    key_bytes(key, secret);
    key_bytes(&tickets->secret.seed, salt);
    memcpy(info, label, sizeof(label));
    memcpy(info + sizeof(label), name, 5);
    derived = context != NULL && EVP_KDF_derive(context, ret, length, parameters) > 0;
    EVP_KDF_CTX_free(context);
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(salt, sizeof(salt));
    return derived;
}

/* The key of a name, whose derived part is filled in. */
static int derive(const struct tls_tickets *tickets, const struct snapshot_mac_key *mac,
                  struct name *name, struct tls_ticket_key *ret)
{
    uint8_t out[sizeof(name->derived) + 2 * TLS_TICKET_KEY_BYTES];

    if (!hkdf(tickets, &mac->key, name, out, sizeof(out)))
        return -ENOKEY;
    memcpy(name->derived, out, sizeof(name->derived));
    memcpy(ret->name, name, sizeof(*name));
    memcpy(ret->cipher, out + sizeof(name->derived), TLS_TICKET_KEY_BYTES);
    memcpy(ret->mac, out + sizeof(name->derived) + TLS_TICKET_KEY_BYTES, TLS_TICKET_KEY_BYTES);
    OPENSSL_cleanse(out, sizeof(out));
    return 0;
}

/* The key of a MAC key and a day; 0, or -ENOKEY. */
static int key_of(const struct tls_tickets *tickets, const struct snapshot_mac_key *mac,
                  uint64_t day, struct tls_ticket_key *ret)
{
    struct tls_ticket_keys *kept = tickets->kept;
    const uint32_t day_be = htobe32((uint32_t)day);
    struct name name = {.id = mac->id};
    int status = -ENOKEY;

    memcpy(name.day_be, &day_be, sizeof(day_be));
    pthread_mutex_lock(&kept->lock);
    for (uint32_t i = 0; i < kept->n && i < KEPT && status != 0; i++) {
        if (memcmp(kept->keys[i].name, &name, offsetof(struct name, derived)) == 0) {
            *ret = kept->keys[i];
            status = 0;
        }
    }
    if (status != 0) {
        status = derive(tickets, mac, &name, ret);
        if (status == 0)
            kept->keys[kept->n++ % KEPT] = *ret;
    }
    pthread_mutex_unlock(&kept->lock);
    return status;
}

int tls_ticket_sealing(const struct tls_tickets *tickets, uint64_t now_s,
                       struct tls_ticket_key *ret)
{
    const struct snapshot_mac_key *mac = &tickets->secret.mac[SNAPSHOT_MAC_CURRENT];

    return mac->valid ? key_of(tickets, mac, now_s / DAY_S, ret) : -ENOKEY;
}

int tls_ticket_opening(const struct tls_tickets *tickets, uint64_t now_s,
                       const uint8_t name_bytes[TLS_TICKET_NAME_BYTES], struct tls_ticket_key *ret)
{
    const uint64_t today = now_s / DAY_S;
    struct name name;
    uint32_t day;

    memcpy(&name, name_bytes, sizeof(name));
    memcpy(&day, name.day_be, sizeof(day));
    day = be32toh(day);
    /* Tomorrow's, too: clocks of nodes differ. */
    if (day > today + 1 || (uint64_t)day + 1 < today)
        return -ENOKEY;
    for (int i = 0; i < SNAPSHOT_MAC_KEYS; i++) {
        const struct snapshot_mac_key *mac = &tickets->secret.mac[i];
        struct tls_ticket_key key;

        if (!mac->valid || mac->id != name.id)
            continue;
        if (key_of(tickets, mac, day, &key) != 0 ||
            CRYPTO_memcmp(key.name, name_bytes, sizeof(key.name)) != 0)
            return -ENOKEY;
        *ret = key;
        OPENSSL_cleanse(&key, sizeof(key));
        return i != SNAPSHOT_MAC_CURRENT || day != today;
    }
    return -ENOKEY;
}

/* Key and digest of a ticket's HMAC. */
static bool set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, parameters) > 0;
}

int tls_ticket_answer(const struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    enum { ERROR = -1, NONE = 0, GOOD = 1, RENEW = 2 }; /* as OpenSSL understands the answer */
    const uint64_t now_s = (uint64_t)time(NULL);
    struct tls_ticket_key key;
    int status = seal ? tls_ticket_sealing(tickets, now_s, &key)
                      : tls_ticket_opening(tickets, now_s, name, &key),
        answer;

    if (status < 0)
        return NONE;
    answer = status == 0 ? GOOD : RENEW;
    if (seal) {
        memcpy(name, key.name, sizeof(key.name));
        if (RAND_bytes(iv, IV_BYTES) <= 0)
            answer = ERROR;
    }
    if (answer != ERROR &&
        (EVP_CipherInit_ex(cipher, tickets->cipher, NULL, key.cipher, iv, seal) <= 0 ||
         !set_mac(mac, &key)))
        answer = ERROR;
    OPENSSL_cleanse(&key, sizeof(key));
    return answer;
}
