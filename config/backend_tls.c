/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trust in backends: see backend_tls.h.
 */
#include "config/backend_tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/convert.h"
#include "config/value.h"

static int take_name(const char *name, struct cfg_backend_tls *tls, const char *base,
                     struct cfg_error *error)
{
    struct sip_ip ip;

    if (name == NULL)
        return 0;
    if (value_ip(name, &ip) != 0 && !value_is_host_name(name))
        return check_refuse(error, base, "tls.name",
                            "`%.60s` is neither the name of a host nor an IP address", name);
    tls->name = strdup(name);
    if (tls->name == NULL) {
        check_refuse(error, "", "", "out of memory");
        return -ENOMEM;
    }
    value_lower(tls->name);
    return 0;
}

int backend_tls_convert(const struct schema_backend_tls *raw, const char *file,
                        struct cfg_pool *pool, const char *base, struct cfg_error *error)
{
    struct cfg_backend_tls *tls = &pool->tls;
    int ret;

    if (raw == NULL)
        return 0;
    if (pool->backends[0].transport != SIP_TRANSPORT_TLS)
        return check_refuse(error, base, "tls", "only backends with `transport: tls` have it");
    ret = take_name(raw->name, tls, base, error);
    if (ret == 0)
        ret = convert_file_name(raw->ca, file, &tls->ca, error);
    if (ret == 0 && raw->certificate != NULL)
        ret = convert_file_name(raw->certificate->cert, file, &tls->certificate.cert, error);
    if (ret == 0 && raw->certificate != NULL)
        ret = convert_file_name(raw->certificate->key, file, &tls->certificate.key, error);
    return ret;
}

void backend_tls_done(struct cfg_backend_tls *tls)
{
    free(tls->ca);
    free(tls->name);
    free(tls->certificate.cert);
    free(tls->certificate.key);
}
