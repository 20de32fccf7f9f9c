/* smapi_tls.c - TLS over a socket that is connected already and does not block */
#include "worker/smapi_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct smapi_tls {
    SSL_CTX *context;
    BIO_METHOD *method;
};

struct smapi_tls_session {
    SSL *ssl;
    int fd;     /* the caller's */
    int error;  /* errno of the socket's last failure; 0: none, or it was closed */
    bool ended; /* the other side has closed the socket */
};

/* OpenSSL's own socket BIO raises SIGPIPE; this one does not. */
static int bio_write(BIO *bio, const char *bytes, int length)
{
    struct smapi_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(session->fd, bytes, (size_t)length, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_write(bio);
    else if (n < 0)
        session->error = errno;
    return (int)n;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
    struct smapi_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = recv(session->fd, bytes, (size_t)size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_read(bio);
    else if (n < 0)
        session->error = errno;
    else if (n == 0)
        session->ended = true;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    struct smapi_tls_session *session = BIO_get_data(bio);
    if (command == BIO_CTRL_FLUSH)
        return 1;
    return command == BIO_CTRL_EOF && session->ended;
}

/* OpenSSL's reason for the last failure; the queue of errors is this thread's and is emptied. */
static const char *openssl_text(char *buffer, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    if (code == 0)
        snprintf(buffer, size, "unknown error");
    else if (ERR_reason_error_string(code))
        snprintf(buffer, size, "%s", ERR_reason_error_string(code));
    else
        ERR_error_string_n(code, buffer, size);
    ERR_clear_error();
    return buffer;
}

int smapi_tls_new(const char *ca_file, struct smapi_tls **ret, struct rm_err *err)
{
    char text[256];
    ERR_clear_error();
    struct smapi_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return rm_fail(err, -ENOMEM, "no memory");
    tls->context = SSL_CTX_new(TLS_client_method());
    int index = BIO_get_new_index();
    if (index >= 0)
        tls->method = BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "smapi socket");
    if (!tls->context || !tls->method || !BIO_meth_set_write(tls->method, bio_write) ||
        !BIO_meth_set_read(tls->method, bio_read) || !BIO_meth_set_ctrl(tls->method, bio_ctrl) ||
        !SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION)) {
        rm_fail(err, -ENOMEM, "cannot set TLS up: %s", openssl_text(text, sizeof(text)));
        smapi_tls_free(tls);
        return -ENOMEM;
    }
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, /* callback = */ NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
    int r = 0;
    if (!ca_file) {
        if (!SSL_CTX_set_default_verify_paths(tls->context))
            r = rm_fail(err, -ENOENT, "the system's certificate authorities: %s",
                        openssl_text(text, sizeof(text)));
    } else if (!SSL_CTX_load_verify_file(tls->context, ca_file)) {
        r = rm_fail(err, -EINVAL, "%s: no certificates could be read: %s", ca_file,
                    openssl_text(text, sizeof(text)));
    } else {
        /* What is named there is trusted as it is, be it an authority or the server's own. */
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->context), X509_V_FLAG_PARTIAL_CHAIN);
    }
    if (r < 0) {
        smapi_tls_free(tls);
        return r;
    }
    *ret = tls;
    return 0;
}

void smapi_tls_free(struct smapi_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    free(tls);
}

/* The name or the address that the certificate must be made out to. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int smapi_tls_session_new(struct smapi_tls *tls, int fd, const char *host,
                          struct smapi_tls_session **ret, struct rm_err *err)
{
    char text[256];
    ERR_clear_error();
    struct smapi_tls_session *session = calloc(1, sizeof(*session));
    if (!session)
        return rm_fail(err, -ENOMEM, "no memory");
    session->fd = fd;
    session->ssl = SSL_new(tls->context);
    BIO *bio = BIO_new(tls->method);
    if (!session->ssl || !bio || !expect_host(session->ssl, host)) {
        rm_fail(err, -EINVAL, "cannot begin TLS with %s: %s", host,
                openssl_text(text, sizeof(text)));
        BIO_free(bio);
        smapi_tls_session_free(session);
        return -EINVAL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio); /* owns it now */
    SSL_set_connect_state(session->ssl);
    *ret = session;
    return 0;
}

void smapi_tls_session_free(struct smapi_tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

/* After a call that returned r <= 0: 0 and *ret_step, or the error. */
static int judge(struct smapi_tls_session *session, int r, int *ret_step, struct rm_err *err)
{
    char text[256];
    switch (SSL_get_error(session->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        *ret_step = SMAPI_TLS_READ;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        *ret_step = SMAPI_TLS_WRITE;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return rm_fail(err, -ECONNRESET, "the server closed the connection");
    default:
        break;
    }
    if (session->error != 0) {
        ERR_clear_error();
        return rm_fail(err, -session->error, "%s", strerror(session->error));
    }
    if (session->ended) {
        ERR_clear_error();
        return rm_fail(err, -ECONNRESET, "the server closed the connection");
    }
    return rm_fail(err, -EPROTO, "%s", openssl_text(text, sizeof(text)));
}

int smapi_tls_handshake(struct smapi_tls_session *session, struct rm_err *err)
{
    ERR_clear_error();
    int step = 0, r = SSL_do_handshake(session->ssl);
    if (r == 1)
        return 0;
    int error = judge(session, r, &step, err);
    if (error == 0)
        return step;
    long verified = SSL_get_verify_result(session->ssl);
    if (error == -EPROTO && verified != X509_V_OK)
        return rm_fail(err, -EPERM, "the server's certificate is not trusted: %s",
                       X509_verify_cert_error_string(verified));
    return error;
}

ssize_t smapi_tls_send(struct smapi_tls_session *session, const uint8_t *bytes, size_t length,
                       int *ret_step, struct rm_err *err)
{
    ERR_clear_error();
    int r = SSL_write(session->ssl, bytes, (int)length);
    return r > 0 ? r : judge(session, r, ret_step, err);
}

ssize_t smapi_tls_receive(struct smapi_tls_session *session, uint8_t *bytes, size_t size,
                          int *ret_step, struct rm_err *err)
{
    ERR_clear_error();
    int r = SSL_read(session->ssl, bytes, (int)size);
    return r > 0 ? r : judge(session, r, ret_step, err);
}
