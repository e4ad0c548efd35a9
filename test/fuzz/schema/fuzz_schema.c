/* A schema, and behind a newline a document. Whatever they say, the answer is a plain one, with its
 * reason, in bounded time. */
#include "base/err.h"
#include "schema/schema.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct schema_place root = {0};
    char why[SCHEMA_WHY] = "";
    struct bytes rest = bytes_make(data, size);
    struct bytes text = bytes_cut(&rest, '\n');
    json_t *json = schema_document(text, why), *document = schema_document(rest, why);
    struct schema *schema = NULL;
    int r = json ? schema_new(json, &root, &schema, why) : ERR_INVALID;
    if (r < 0) assert(why[0] && strnlen(why, sizeof why) < sizeof why);
    if (r == 0 && document) {
        why[0] = '\0';
        r = schema_check(schema, document, why);
        assert(r == 0 || r == ERR_INVALID);
        assert((r == 0) == (why[0] == '\0') && strnlen(why, sizeof why) < sizeof why);
    }
    schema_free(schema);
    json_decref(json);
    json_decref(document);
    return 0;
}
