/* wal_replay: writes what the log's frames say into the journals' segment files. For recovery. */
#ifndef DURE_STORE_WAL_REPLAY_H
#define DURE_STORE_WAL_REPLAY_H

#include "store/wal_impl.h"

struct wal_replay;

struct wal_replay *wal_replay_new(struct wal *wal);
void wal_replay_free(struct wal_replay *replay);

/* In the order of the log. A segment that it begins is made if it is not there, and a journal that
 * it says is removed goes. A segment that is not there, or is another one, is passed over; others
 * are noted as what `file` is about. BLOCKS. */
int wal_replay_extent(struct wal_replay *replay, struct wal_file *file,
                      const struct wal_extent *extent);

/* Hands over where each journal ends as far as the log knows. ERR_NOMEM. */
int wal_replay_ends(struct wal_replay *replay, struct wal *wal);

#endif
