/* self: where this program lies, and what was installed beside it. */
#ifndef DURE_APP_SELF_H
#define DURE_APP_SELF_H

#include "io/io.h"

#include <limits.h>

/* The absolute path of this program, in a buffer of PATH_MAX bytes. */
int self_program(char *ret_path);

/* The folder that `#include <dure/dure.h>` is found in: of the installed SDK (PREFIX/include, for
 * PREFIX/bin/dure), or of the source tree that this program was built in. ERR_NOT_FOUND. */
int self_include_dir(struct io *io, char *ret_path);

#endif
