/* opening: what happens on a connection before its client is heard: TLS (bus/bus_tls.h), and the
 * request that a WebSocket begins with (bus/bus_websocket.h). Exists only meanwhile; the session
 * (bus/session.h) is SESSION_OPENING as long.
 *
 *     INFO first          SAYS_INFO -------------------------> SHAKES ---> session_begin
 *     the client may      SAYS_INFO ---> LISTENS ------------> SHAKES ---> session_begin
 *                                           '--- no hello ---------------> session_begin
 *     handshake first     SHAKES -----------------------------> session_begin, which says INFO
 *     either              LISTENS ---> SHAKES, or in first_ms as "INFO first"
 *     WebSocket           [SHAKES --->] UPGRADES -------------> session_begin, which says INFO */
#ifndef DURE_BUS_OPENING_H
#define DURE_BUS_OPENING_H

#include "bus/core.h"

struct opening;

/* The connection is there: ends with session_begin() or session_close(). */
void opening_begin(struct session *session);

/* Without I/O. NULL is allowed. */
void opening_free(struct opening *opening);

#endif
