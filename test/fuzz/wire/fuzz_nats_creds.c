/* Credentials files and keys: what is read is written the same. */
#include "wire/nats_creds.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_make(data, size);
    struct nats_creds creds;
    struct nkey key;
    char written[NKEY_SEED_TEXT + 1];
    if (nats_creds_parse(text, &creds) == 0) {
        nkey_write_seed(&creds.key, written);
        if (!bytes_eq(creds.seed, bytes_str(written))) abort();
    }
    if (nkey_parse(text, &key) == 0) {
        nkey_write(&key, written);
        if (!bytes_eq(text, bytes_str(written))) abort();
    }
    if (nkey_parse_seed(text, &key) == 0) {
        nkey_write_seed(&key, written);
        if (!bytes_eq(text, bytes_str(written))) abort();
    }
    return 0;
}
