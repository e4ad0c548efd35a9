#include <stdio.h>
#include <stdlib.h>

#include "io/tls_impl.h"

void tls_sessions_release(struct tls_sessions *sessions)
{
    for (unsigned i = 0; sessions->slots && i < TLS_SESSIONS_MAX; i++)
        SSL_SESSION_free(sessions->slots[i].session);
    free(sessions->slots);
    *sessions = (struct tls_sessions){0};
}

static struct tls_session *find(const struct tls_sessions *sessions, const char *host)
{
    for (unsigned i = 0; sessions->slots && i < TLS_SESSIONS_MAX; i++) {
        struct tls_session *slot = &sessions->slots[i];
        if (slot->session && strcmp(slot->host, host) == 0) return slot;
    }
    return NULL;
}

void tls_sessions_keep(struct tls_sessions *sessions, const char *host, SSL_SESSION *session)
{
    struct tls_session *slot = find(sessions, host);
    if (!sessions->slots) sessions->slots = calloc(TLS_SESSIONS_MAX, sizeof *sessions->slots);
    if (!sessions->slots || strlen(host) >= sizeof slot->host) {
        SSL_SESSION_free(session);
        return;
    }
    if (!slot) slot = &sessions->slots[sessions->next++ % TLS_SESSIONS_MAX];
    SSL_SESSION_free(slot->session);
    slot->session = session;
    snprintf(slot->host, sizeof slot->host, "%s", host);
}

SSL_SESSION *tls_sessions_find(const struct tls_sessions *sessions, const char *host)
{
    struct tls_session *slot = find(sessions, host);
    return slot ? slot->session : NULL;
}
