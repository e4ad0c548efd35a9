#include "schema/place.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum { DEPTH_SHOWN = 64, POINTER_MAX = 100 };

struct text {
    char *data;
    size_t len, room;
};

static void put(struct text *text, char c)
{
    if (text->len + 1 < text->room) text->data[text->len++] = c;
}

/* RFC 6901, section 3: "~" and "/" are escaped. */
static void put_step(struct text *text, const struct schema_place *place)
{
    char digits[24];
    struct bytes name = place->name;
    if (!name.data)
        name = bytes_make(digits, (size_t)snprintf(digits, sizeof digits, "%zu", place->index));
    put(text, '/');
    for (size_t i = 0; i < name.len; i++) {
        bool escaped = name.data[i] == '~' || name.data[i] == '/';
        if (escaped) put(text, '~');
        put(text, name.data[i] == '~' ? '0' : name.data[i] == '/' ? '1' : name.data[i]);
    }
}

static void put_pointer(struct text *text, const struct schema_place *place)
{
    const struct schema_place *steps[DEPTH_SHOWN];
    size_t count = 0;
    bool cut = false;
    for (; place->up; place = place->up) {
        cut = cut || count == DEPTH_SHOWN;
        if (count < DEPTH_SHOWN) steps[count++] = place;
    }
    if (count == 0) put(text, '/');
    while (count > 0 && text->len < POINTER_MAX) put_step(text, steps[--count]);
    if (count > 0 || cut) {
        for (const char *dots = "/..."; *dots; dots++) put(text, *dots);
    }
}

int schema_place_wrong(const struct schema_place *place, char *why, const char *format, ...)
{
    if (!why) return ERR_INVALID;
    /* A long name may take more than a pointer should, never all: the words need room. */
    struct text text = {why, 0, POINTER_MAX + 24};
    for (const char *at = "at "; *at; at++) put(&text, *at);
    put_pointer(&text, place);
    int len = snprintf(why + text.len, SCHEMA_WHY - text.len, ": ");
    va_list args;
    va_start(args, format);
    vsnprintf(why + text.len + len, SCHEMA_WHY - text.len - (size_t)len, format, args);
    va_end(args);
    return ERR_INVALID;
}
