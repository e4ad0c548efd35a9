/* stream_folder: what the folders of streams and consumers are called: NAME.ID, where ID is drawn
 * anew for each, so that no folder ever has the name of one that was removed (store/wal.h). Of a
 * long name a part must do; the whole is in the configuration. */
#ifndef DURE_STREAM_STREAM_FOLDER_H
#define DURE_STREAM_STREAM_FOLDER_H

#include "base/bytes.h"
#include "io/io.h"

enum { STREAM_FOLDER = 224 }; /* room for a folder's name and NUL */

void stream_folder_name(struct io *io, const char *name, char ret_folder[STREAM_FOLDER]);

/* Whether it looks like one of these, and of which name (or the beginning of which) it is. */
bool stream_folder_parse(const char *folder, struct bytes *ret_name);

#endif
