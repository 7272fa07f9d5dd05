/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is refused of a configuration's certificates, keys, CAs and CRLs, with which key and reason;
 * what is only warned of; and that `tandem-control --check` and a reload say so. The first argument
 * is tandem-control.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/plan.h"
#include "tests/unit/control/stream/tls_scene.h"

#define GOOD "{cert: @/a.pem, key: @/a.key}"
#define FIRST "services[0].listen[1].certificates[0]"
#define SECOND "services[0].listen[1].certificates[1]"

static struct scene scene;
static const char *program;

static void issue(const struct scene_wish *wish)
{
    struct scene_identity one = scene_issue(&scene, wish);

    scene_identity_done(&one);
}

static void write_text(const char *file, const char *text)
{
    scene_write(&scene, file, text, strlen(text), 0600);
}

/* Keys and certificates in other shapes than they should have. */
static void write_odd_shapes(const struct scene_identity *a)
{
    unsigned char *der = NULL;
    int length = i2d_X509(a->certificate, &der);
    FILE *out = fopen(scene_path(&scene, "locked.key"), "w");

    scene_write(&scene, "der.pem", der, (size_t)length, 0644);
    OPENSSL_free(der);
    assert_non_null(out);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    assert_int_equal(
        PEM_write_PKCS8PrivateKey(out, a->key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
    write_text("empty", "");
    write_text("words", "certificates, one day");
    write_text("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
}

static int setup(void **state)
{
    struct scene_identity a;

    (void)state;
    scene_setup(&scene);
    a = scene_issue(&scene, &(struct scene_wish){
                                .file = "a", .names = "DNS:a.example.net", .issuer = &scene.sub});
    write_odd_shapes(&a);
    scene_identity_done(&a);
    issue(&(struct scene_wish){.file = "b", .names = "DNS:b.example.net"});
    issue(&(struct scene_wish){.file = "open", .names = "DNS:c.example.net"});
    issue(&(struct scene_wish){
        .file = "short", .names = "DNS:d.example.net", .kind = SCENE_RSA_SHORT});
    issue(&(struct scene_wish){.file = "group", .names = "DNS:e.example.net"});
    issue(&(struct scene_wish){.file = "ed", .names = "DNS:f.example.net", .kind = SCENE_ED25519});
    issue(&(struct scene_wish){.file = "old", .cn = "g", .from_s = -7200, .until_s = -3600});
    issue(&(struct scene_wish){.file = "soon", .cn = "h", .from_s = 3600});
    assert_int_equal(chmod(scene_path(&scene, "open.key"), 0644), 0);
    assert_int_equal(chmod(scene_path(&scene, "group.key"), 0640), 0);
    scene_revoke(&scene, "old.crl", false, &scene.root, NULL, -3600);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_teardown(&scene);
    return 0;
}

/* A listener with these keys of its own. */
static void listener_of(const char *keys, char ret[512])
{
    snprintf(ret, 512, "transport: tls, %s", keys);
}

static void refused(void **state)
{
    static const struct {
        const char *keys, *key, *reason;
    } table[] = {
        {"certificates: [{cert: @/none.pem, key: @/a.key}]", FIRST ".cert",
         "none.pem: No such file"},
        {"certificates: [{cert: @/a.pem, key: @/none.key}]", FIRST ".key",
         "none.key: No such file"},
        {"certificates: [" GOOD ", {cert: @/a.pem, key: @/b.key}]", SECOND ".key",
         "b.key: is not the key of "},
        {"certificates: [{cert: @/a.key, key: @/a.key}]", FIRST ".cert",
         "holds no certificate in PEM"},
        {"certificates: [{cert: @/der.pem, key: @/a.key}]", FIRST ".cert",
         "holds no certificate in PEM"},
        {"certificates: [{cert: @/words, key: @/a.key}]", FIRST ".cert",
         "holds no certificate in PEM"},
        {"certificates: [{cert: @/broken.pem, key: @/a.key}]", FIRST ".cert",
         "certificate 1 cannot be read"},
        {"certificates: [{cert: @/empty, key: @/a.key}]", FIRST ".cert", "empty: is empty"},
        {"certificates: [{cert: @, key: @/a.key}]", FIRST ".cert", "is no regular file"},
        {"certificates: [{cert: /dev/zero, key: @/a.key}]", FIRST ".cert", "is no regular file"},
        {"certificates: [{cert: @/a.pem, key: @/a.pem}]", FIRST ".key", "everybody may use"},
        {"certificates: [{cert: @/a.pem, key: @/words}]", FIRST ".key",
         "holds no private key in PEM"},
        {"certificates: [{cert: @/a.pem, key: @/locked.key}]", FIRST ".key", "is encrypted"},
        {"certificates: [{cert: @/open.pem, key: @/open.key}]", FIRST ".key",
         "a private key that everybody may use (mode 0644)"},
        {"certificates: [" GOOD ", {cert: @/short.pem, key: @/short.key}]", SECOND ".cert",
         "OpenSSL does not take it: ee key too small"},
        {"certificates: [{cert: @/a.pem, key: @/a.key, ocsp: @/none}]", FIRST ".ocsp",
         "No such file"},
        {"certificates: [{cert: @/a.pem, key: @/a.key, ocsp: @/a.pem}]", FIRST ".ocsp",
         "is no successful OCSP response in DER"},
        {"certificates: [" GOOD "], client_certificates: required, client_ca: @/none",
         "services[0].listen[1].client_ca", "No such file"},
        {"certificates: [" GOOD "], client_certificates: required, client_ca: @/words",
         "services[0].listen[1].client_ca", "holds no certificate"},
        {"certificates: [" GOOD "], client_certificates: required, client_ca: @/a.pem",
         "services[0].listen[1].client_ca", "certificate 1 is not a CA's"},
        {"certificates: [" GOOD "], client_certificates: optional, client_ca: @/root.pem, "
         "client_crl: @/none",
         "services[0].listen[1].client_crl", "No such file"},
        {"certificates: [" GOOD "], client_certificates: optional, client_ca: @/root.pem, "
         "client_crl: @/root.pem",
         "services[0].listen[1].client_crl", "holds no certificate revocation list"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char listener[512], text[512];

        listener_of(table[i].keys, listener);
        scene_refused(&scene, listener, text);
        if (strncmp(text, table[i].key, strlen(table[i].key)) != 0 ||
            text[strlen(table[i].key)] != ':' || strstr(text, table[i].reason) == NULL)
            fail_msg("%s: %s", table[i].keys, text);
    }
}

static void accepted(void **state)
{
    static const char *const table[] = {
        "certificates: [" GOOD ", {cert: @/b.pem, key: @/b.key}]",
        "certificates: [{cert: @/group.pem, key: @/group.key}, {cert: @/ed.pem, key: @/ed.key}]",
        /* warned of, no more */
        "certificates: [{cert: @/old.pem, key: @/old.key}, {cert: @/soon.pem, key: @/soon.key}]",
        "certificates: [" GOOD "], client_certificates: required, client_ca: @/root.pem, "
        "client_crl: @/old.crl",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct cfg_error error = {.line = 0};
        char listener[512];
        struct cfg *cfg;

        listener_of(table[i], listener);
        cfg = scene_cfg(&scene, listener);
        if (tls_check(cfg, &error) != 0)
            fail_msg("%s: %s", error.key, error.reason);
        cfg_free(cfg);
    }
}

/* What a program writes to standard error, and its exit status. */
static int run_check(char *ret_text, size_t room)
{
    char command[2 * SCENE_PATH_MAX + 512];
    FILE *pipe;
    size_t n;

    snprintf(command, sizeof(command), "%s --check %s 2>&1", program, scene.config);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(ret_text, 1, room - 1, pipe);
    ret_text[n] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

static void check_and_reload_say_so(void **state)
{
    const struct plan_base base = {.file = scene.config};
    const struct plan_change change = {.kind = PLAN_FILE};
    char text[PLAN_TEXT_MAX], expected[SCENE_PATH_MAX + 256];
    struct plan plan;

    (void)state;
    cfg_free(scene_cfg(&scene, "transport: tls, certificates: [{cert: @/a.pem, key: @/b.key}]"));
    snprintf(expected, sizeof(expected),
             "%s:12: " FIRST ".key: %s/b.key: is not the key of %s/a.pem", scene.config, scene.dir,
             scene.dir);
    assert_int_equal(plan_make(&base, &change, NULL, 1, &plan, text), -EINVAL);
    assert_string_equal(text, expected);
    assert_int_equal(run_check(text, sizeof(text)), 1);
    text[strcspn(text, "\n")] = '\0';
    assert_string_equal(text, expected);
    cfg_free(scene_cfg(&scene, "transport: tls, certificates: [" GOOD "]"));
    assert_int_equal(run_check(text, sizeof(text)), 0);
    assert_string_equal(text, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(accepted),
        cmocka_unit_test(check_and_reload_say_so),
    };

    if (argc != 2)
        return EXIT_FAILURE;
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
