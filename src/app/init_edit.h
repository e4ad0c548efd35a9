/* init_edit: adds a service to the text of a dure.yaml, and leaves every other byte as it is:
 * comments, order, indentation. Pure. It knows the block form of YAML only (`services:` and below
 * it one `- path: x` a line); the caller binds the result and compares, and does not trust it. */
#ifndef DURE_APP_INIT_EDIT_H
#define DURE_APP_INIT_EDIT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends to `out` the text with the service `name` added at the end of `services:` and, with
 * `route`, a route from /name to it at the end of the gateway's routes. A list or mapping that is
 * not there is made. ERR_UNSUPPORTED: the text has another form; ERR_TOO_BIG or ERR_NOMEM: of out.
 */
int init_edit_add(struct bytes text, const char *name, bool route, struct buf *out);

#endif
