/* stream_backup: a stream in a file, of any bus, while it runs. The file:
 *
 *     dure stream backup 1\n
 *     {JSON: the stream's configuration and state}\n
 *     MSG <sequence> <time ns> <subject> <bytes of headers> <bytes of body>\n<headers><body>\n ...
 *     END <messages> <hash>\n
 *
 * The hash (XXH3 of each MSG piece, added up) and the count tell a file that was cut or damaged. */
#ifndef DURE_APP_STREAM_BACKUP_H
#define DURE_APP_STREAM_BACKUP_H

#include "app/bus_client.h"

/* Writes all messages that the stream holds now. An exit code. */
int stream_backup(struct dure_ctx *ctx, const char *stream, const char *path);

/* Makes the stream anew (under `name`, or NULL: its own) and stores the messages again, in their
 * order; a file that is damaged is refused before anything is made. Sequences stay as long as
 * there were no gaps; times are those of the restore. An exit code. */
int stream_restore(struct dure_ctx *ctx, const char *path, const char *name);

#endif
