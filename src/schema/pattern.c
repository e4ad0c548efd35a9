#include "schema/schema_impl.h"

#include "base/err.h"

/* Of backtracking, for one match: some milliseconds. */
enum { MATCH_LIMIT = 100000, HEAP_KIB = 1024 };

int schema_pattern_new(struct schema *schema, const char *text, const struct schema_place *place,
                       char *why, struct schema_pattern **ret_pattern)
{
    struct schema_pattern *pattern = arena_alloc(&schema->arena, sizeof *pattern);
    if (!pattern) return ERR_TOO_BIG;
    int error;
    PCRE2_SIZE at;
    pattern->text = text;
    pattern->code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_DOLLAR_ENDONLY |
                          PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C,
                      &error, &at, NULL);
    if (!pattern->code) {
        char words[100];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof words);
        return schema_place_wrong(place, why, "found a pattern that is wrong at letter %zu: %s",
                                  at + 1, words);
    }
    pattern->next = schema->patterns;
    schema->patterns = pattern;
    *ret_pattern = pattern;
    return 0;
}

void schema_patterns_free(struct schema_pattern *pattern)
{
    for (; pattern; pattern = pattern->next) pcre2_code_free(pattern->code);
}

int schema_pattern_matches(const struct schema_pattern *pattern, struct bytes text)
{
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int r = PCRE2_ERROR_NOMEMORY;
    if (context && data) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_KIB);
        r = pcre2_match(pattern->code, (PCRE2_SPTR)text.data, text.len, 0, PCRE2_NO_UTF_CHECK, data,
                        context);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : ERR_TOO_BIG;
}
