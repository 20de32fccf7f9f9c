/* tls.c - what tests need of TLS: a certificate for the simulator, and a client that pipes bytes */
#include "sim.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALID_SECONDS = 10 * 24 * 3600 };

static int complain(const char *what)
{
    fprintf(stderr, "smapisim: %s: %s\n", what, ERR_reason_error_string(ERR_peek_error()));
    return 1;
}

/* ---- a certificate that signs itself */

static bool add_names(X509 *cert)
{
    X509V3_CTX context;
    X509_EXTENSION *names;
    bool good;

    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    names = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name,
                                "DNS:localhost,IP:127.0.0.1,IP:::1");
    good = names != NULL && X509_add_ext(cert, names, -1) == 1;
    X509_EXTENSION_free(names);
    return good;
}

static X509 *make_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert != NULL ? X509_get_subject_name(cert) : NULL;

    if (cert != NULL && X509_set_version(cert, 2) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), getpid()) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(cert), VALID_SECONDS) != NULL &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"smapisim", -1,
                                   -1, 0) == 1 &&
        X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
        add_names(cert) && X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

int tls_make_cert(int argc, char **argv)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    FILE *file;
    int r = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: smapisim cert CERT-FILE KEY-FILE\n");
        return 2;
    }
    umask(077);
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? make_cert(key) : NULL;
    file = cert != NULL ? fopen(argv[0], "we") : NULL;
    if (file != NULL) {
        r = PEM_write_X509(file, cert) != 1;
        fclose(file);
    }
    file = r == 0 ? fopen(argv[1], "we") : NULL;
    if (file != NULL) {
        r = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1;
        fclose(file);
    } else {
        r = 1;
    }
    if (r != 0)
        perror("smapisim: cert");
    X509_free(cert);
    EVP_PKEY_free(key);
    return r;
}

/* ---- a client */

/* All of stdin to the server, then all that it answers to stdout. */
static int pipe_bytes(BIO *bio)
{
    char buffer[BUFSIZ];
    ssize_t n;

    while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0)
        if (BIO_write(bio, buffer, (int)n) != n)
            return complain("write");
    while ((n = BIO_read(bio, buffer, sizeof(buffer))) > 0)
        fwrite(buffer, 1, (size_t)n, stdout);
    return 0;
}

int tls_pipe(int argc, char **argv)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    BIO *bio = NULL;
    SSL *ssl = NULL;
    char *host;
    int r;

    if (argc != 2 || context == NULL) {
        SSL_CTX_free(context);
        fprintf(stderr, "usage: smapisim tls HOST:PORT CA-FILE\n");
        return 2;
    }
    host = strdup(argv[0]);
    host[strcspn(host, ":")] = '\0';
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, argv[1], NULL) == 1)
        bio = BIO_new_ssl_connect(context);
    if (bio != NULL) {
        BIO_get_ssl(bio, &ssl);
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
        BIO_set_conn_hostname(bio, argv[0]);
    }
    r = bio != NULL && BIO_do_handshake(bio) == 1 ? pipe_bytes(bio) : complain(argv[0]);
    BIO_free_all(bio);
    SSL_CTX_free(context);
    free(host);
    return r;
}
