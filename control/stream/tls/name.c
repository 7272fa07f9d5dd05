/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in certificates: see name.h.
 */
#include "control/stream/tls/name.h"

#include <ctype.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

#include "dataplane/sip/ip.h"

enum { NAME_ROOM = 256 };

/* Who is told of names. */
struct visitor {
    bool (*visit)(void *arg, const char *name);
    void *arg;
    bool wildcards;
};

/* Tells the visitor of a name, if it is one. */
static bool tell(const struct visitor *visitor, const char *at, size_t length)
{
    const size_t star = visitor->wildcards && length > 2 && at[0] == '*' && at[1] == '.' ? 2 : 0;
    const struct sip_slice host = {at + star, (uint32_t)(length - star)};
    char name[NAME_ROOM];

    if (length == 0 || length >= sizeof(name) || !sip_host_valid(host))
        return false;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)tolower((unsigned char)at[i]);
    name[length] = '\0';
    return visitor->visit(visitor->arg, name);
}

static struct sip_slice text_of(const ASN1_STRING *string)
{
    return (struct sip_slice){(const char *)ASN1_STRING_get0_data(string),
                              (uint32_t)ASN1_STRING_length(string)};
}

/* The host of a sip: URI without a user, or nothing. */
static struct sip_slice sip_domain(struct sip_slice uri)
{
    static const char scheme[] = "sip:";
    const uint32_t skip = sizeof(scheme) - 1;
    uint32_t end = skip;

    if (uri.length <= skip || strncasecmp(uri.at, scheme, skip) != 0 ||
        memchr(uri.at, '@', uri.length) != NULL)
        return (struct sip_slice){NULL, 0};
    if (uri.at[end] == '[') {
        const char *bracket = memchr(uri.at, ']', uri.length);

        end = bracket == NULL ? uri.length : (uint32_t)(bracket - uri.at) + 1;
    }
    while (end < uri.length && memchr(":;?", uri.at[end], 3) == NULL)
        end++;
    return (struct sip_slice){uri.at + skip, end - skip};
}

/* Tells of the names of one type; *ret_any: there were hosts of sip: URIs. */
static bool tell_alternatives(const GENERAL_NAMES *names, int type, const struct visitor *visitor,
                              bool *ret_any)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct sip_slice text;

        if (name->type != type)
            continue;
        text = text_of(type == GEN_URI ? name->d.uniformResourceIdentifier : name->d.dNSName);
        if (type == GEN_URI)
            text = sip_domain(text);
        if (text.length == 0)
            continue;
        *ret_any = true;
        if (tell(visitor, text.at, text.length))
            return true;
    }
    return false;
}

static bool tell_common_name(X509 *certificate, const struct visitor *visitor)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    int length =
        i < 0
            ? -1
            : ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    bool ret = length > 0 && tell(visitor, (const char *)utf8, (size_t)length);

    OPENSSL_free(utf8);
    return ret;
}

/* dns: beside those of sip: URIs, not only instead of them. */
static bool tell_all(X509 *certificate, const struct visitor *visitor, bool dns)
{
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
    bool any = false, ignored = false, ret;

    if (names == NULL) /* -1: there are none; else they cannot be read, or are there twice */
        return critical == -1 && tell_common_name(certificate, visitor);
    ret = tell_alternatives(names, GEN_URI, visitor, &any);
    if (!ret && (dns || !any))
        ret = tell_alternatives(names, GEN_DNS, visitor, &ignored);
    GENERAL_NAMES_free(names);
    return ret;
}

bool tls_name_domains(X509 *certificate, bool (*visit)(void *arg, const char *name), void *arg)
{
    return tell_all(certificate, &(struct visitor){visit, arg, false}, false);
}

bool tls_name_served(X509 *certificate, bool (*visit)(void *arg, const char *name), void *arg)
{
    return tell_all(certificate, &(struct visitor){visit, arg, true}, true);
}

static bool is_it(void *domain, const char *name)
{
    return strcasecmp(domain, name) == 0;
}

bool tls_name_is(X509 *certificate, const char *domain)
{
    return tls_name_domains(certificate, is_it, (void *)(uintptr_t)domain);
}

bool tls_name_usable(X509 *certificate)
{
    static const char sip_domain_usage[] = "1.3.6.1.5.5.7.3.20"; /* id-kp-sipDomain, RFC 5924 §4 */
    ASN1_OBJECT *usage = OBJ_txt2obj(sip_domain_usage, 1);
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
    bool ret = X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, 0) == 1 ||
               X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) == 1;

    for (int i = 0; !ret && usage != NULL && i < sk_ASN1_OBJECT_num(usages); i++)
        ret = OBJ_cmp(sk_ASN1_OBJECT_value(usages, i), usage) == 0;
    EXTENDED_KEY_USAGE_free(usages);
    ASN1_OBJECT_free(usage);
    return ret;
}
