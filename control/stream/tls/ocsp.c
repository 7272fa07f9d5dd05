/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP responses from files: see ocsp.h.
 */
#include "control/stream/tls/ocsp.h"

#include <errno.h>
#include <openssl/ocsp.h>

/* 0: not said, or not a time. */
static time_t seconds(const ASN1_GENERALIZEDTIME *time)
{
    struct tm tm;

    return time != NULL && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

/* What it says of a certificate of that number; NULL: nothing. */
static OCSP_SINGLERESP *single_of(OCSP_BASICRESP *basic, const X509 *certificate)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *serial = NULL;
        OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);

        if (OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) == 1 &&
            ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0)
            return single;
    }
    return NULL;
}

bool tls_ocsp_fresh(const struct tls_ocsp *ocsp, time_t now)
{
    return now >= ocsp->from && (ocsp->until == 0 || now < ocsp->until);
}

/* When it holds. */
static int read_times(OCSP_BASICRESP *basic, const X509 *certificate, const char *file, time_t now,
                      struct tls_ocsp *ret, struct tls_reason *ret_reason)
{
    OCSP_SINGLERESP *single = single_of(basic, certificate);
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;

    if (single == NULL) {
        tls_refuse(ret_reason, file, "not of this certificate: nothing is stapled");
        return -ESTALE;
    }
    if (OCSP_single_get0_status(single, NULL, NULL, &from, &until) != V_OCSP_CERTSTATUS_GOOD) {
        tls_refuse(ret_reason, file, "does not call the certificate good: nothing is stapled");
        return -ESTALE;
    }
    ret->from = seconds(from);
    ret->until = seconds(until);
    if (!tls_ocsp_fresh(ret, now)) {
        tls_refuse(ret_reason, file, "%s: nothing is stapled",
                   now < ret->from ? "not valid yet" : "too old");
        return -ESTALE;
    }
    return 0;
}

int tls_ocsp_read(const char *file, const X509 *certificate, time_t now, struct tls_ocsp *ret,
                  struct tls_reason *ret_reason)
{
    struct tls_ocsp ocsp = {.until = 0};
    OCSP_RESPONSE *response;
    OCSP_BASICRESP *basic = NULL;
    const unsigned char *at;
    int status = tls_file_read(file, false, &ocsp.bytes, ret_reason);

    if (status != 0)
        return status;
    at = ocsp.bytes.bytes;
    response = d2i_OCSP_RESPONSE(NULL, &at, (long)ocsp.bytes.length);
    if (response != NULL && at == ocsp.bytes.bytes + ocsp.bytes.length &&
        OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    if (basic == NULL)
        status = tls_refuse(ret_reason, file, "is no successful OCSP response in DER");
    else
        status = read_times(basic, certificate, file, now, &ocsp, ret_reason);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    if (status != 0) {
        tls_ocsp_done(&ocsp);
        return status;
    }
    *ret = ocsp;
    return 0;
}

void tls_ocsp_done(struct tls_ocsp *ocsp)
{
    tls_file_done(&ocsp->bytes);
}
