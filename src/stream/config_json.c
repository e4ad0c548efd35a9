#include "stream/config_json.h"

#include "base/timestamp.h"

#include <stdio.h>

/* ---- writing ---- */

void config_put_text(struct jsonw *json, const char *key, const char *value)
{
    if (value && *value) jsonw_cstr(json, key, value);
}

void config_put_time(struct jsonw *json, const char *key, uint64_t time_wall_ns)
{
    if (!time_wall_ns) return;
    char text[TIMESTAMP_TEXT];
    timestamp_format_ns(time_wall_ns, text);
    jsonw_cstr(json, key, text);
}

/* ---- reading ---- */

void config_refuse(struct config_reader *reader, int err, enum api_error_kind kind,
                   const char *format, ...)
{
    char text[200];
    va_list args;
    if (reader->result < 0) return;
    va_start(args, format);
    if (format) vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reader->result = format ? api_error_fail(reader->refusal, err, kind, "%s", text)
                            : api_error_fail(reader->refusal, err, kind, NULL);
}

void config_wrong(struct config_reader *reader, const char *key)
{
    config_refuse(reader, ERR_SYNTAX, API_INVALID_JSON, "json: invalid value of field %s.%s",
                  reader->whose, key);
}

json_t *config_member(struct config_reader *reader, json_t *object, const char *key, json_type type)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return NULL;
    if (json_typeof(value) == type) return value;
    config_wrong(reader, key);
    return NULL;
}

const char *config_text(struct config_reader *reader, json_t *object, const char *key)
{
    json_t *value = config_member(reader, object, key, JSON_STRING);
    const char *text = json_string_value(value);
    return text && *text ? text : NULL;
}

int64_t config_int(struct config_reader *reader, json_t *object, const char *key)
{
    return json_integer_value(config_member(reader, object, key, JSON_INTEGER));
}

uint64_t config_natural(struct config_reader *reader, json_t *object, const char *key)
{
    int64_t value = config_int(reader, object, key);
    if (value < 0) config_wrong(reader, key);
    return value < 0 ? 0 : (uint64_t)value;
}

bool config_bool(struct config_reader *reader, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return false;
    if (!json_is_boolean(value)) config_wrong(reader, key);
    return json_is_true(value);
}

uint64_t config_time(struct config_reader *reader, json_t *object, const char *key)
{
    const char *text = config_text(reader, object, key);
    uint64_t time = 0;
    if (text && timestamp_parse(bytes_str(text), &time) < 0) config_wrong(reader, key);
    return time;
}

int config_word_of(struct config_reader *reader, const char *text, const char *const *words)
{
    if (!text || !*text) return 0;
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) return i;
    }
    config_refuse(reader, ERR_SYNTAX, API_INVALID_JSON, "can not unmarshal \"\\\"%.100s\\\"\"",
                  text);
    return 0;
}

int config_word(struct config_reader *reader, json_t *object, const char *key,
                const char *const *words)
{
    return config_word_of(reader, config_text(reader, object, key), words);
}

void *config_array(struct config_reader *reader, json_t *object, const char *key, size_t size,
                   json_t **ret_array, size_t *ret_count)
{
    *ret_array = config_member(reader, object, key, JSON_ARRAY);
    *ret_count = json_array_size(*ret_array);
    void *memory = *ret_count ? arena_array(reader->arena, *ret_count, size) : NULL;
    if (!memory) *ret_count = 0;
    return memory;
}

const char *const *config_texts(struct config_reader *reader, json_t *object, const char *key,
                                size_t *ret_count)
{
    json_t *array;
    const char **texts = config_array(reader, object, key, sizeof *texts, &array, ret_count);
    for (size_t i = 0; i < *ret_count; i++) {
        texts[i] = json_string_value(json_array_get(array, i));
        if (!texts[i]) config_wrong(reader, key);
        if (!texts[i]) texts[i] = "";
    }
    return texts;
}

int config_end(struct config_reader *reader)
{
    if (reader->arena->failed && reader->result == 0) reader->result = ERR_NOMEM;
    return reader->result;
}
