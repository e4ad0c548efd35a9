#include "wire/manifest.h"

#include <stdio.h>

enum { NUMBER_MAX = 999999999 };

static int parse_number(struct bytes text, uint32_t *ret_number)
{
    uint64_t number;
    if (text.len > 1 && text.data[0] == '0') return ERR_SYNTAX;
    int err = bytes_to_u64(text, NUMBER_MAX, &number);
    if (!err) *ret_number = (uint32_t)number;
    return err;
}

static bool is_date(uint32_t date)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t year = date / 10000, month = date / 100 % 100, day = date % 100;
    if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (uint32_t)(month == 2 && leap);
}

static int parse_dated(struct bytes text, struct manifest_version *ret_version)
{
    struct bytes rest = bytes_skip(text, 1);
    struct bytes major = bytes_cut(&rest, '_');
    if (!rest.data) return ERR_SYNTAX;
    struct bytes date = bytes_cut(&rest, '-');
    if (!rest.data || date.len != 8) return ERR_SYNTAX;
    struct manifest_version version = {.form = MANIFEST_VERSION_DATED};
    int err = parse_number(major, &version.major);
    if (!err) err = parse_number(date, &version.minor);
    if (!err) err = parse_number(rest, &version.fix);
    if (!err && !is_date(version.minor)) err = ERR_INVALID;
    if (!err) *ret_version = version;
    return err;
}

static int parse_semantic(struct bytes text, struct manifest_version *ret_version)
{
    struct bytes rest = text;
    struct bytes major = bytes_cut(&rest, '.');
    if (!rest.data) return ERR_SYNTAX;
    struct bytes minor = bytes_cut(&rest, '.');
    if (!rest.data) return ERR_SYNTAX;
    struct manifest_version version = {.form = MANIFEST_VERSION_SEMANTIC};
    int err = parse_number(major, &version.major);
    if (!err) err = parse_number(minor, &version.minor);
    if (!err) err = parse_number(rest, &version.fix);
    if (!err) *ret_version = version;
    return err;
}

static void suggest(struct bytes text, struct error *error)
{
    struct manifest_version version;
    char longer[64];
    for (int missing = 1; missing <= 2 && text.len < 32; missing++) {
        snprintf(longer, sizeof longer, "%.*s%s", BYTES_ARG(text), missing == 1 ? ".0" : ".0.0");
        if (parse_semantic(bytes_str(longer), &version)) continue;
        error_remedy(error, "Write `%s`.", longer);
        return;
    }
    if (text.len > 1 && text.data[0] == 'v' && parse_semantic(bytes_skip(text, 1), &version) == 0)
        error_remedy(error, "Write `%.*s` without the `v`.", BYTES_ARG(bytes_skip(text, 1)));
    else
        error_remedy(error, "Write, for example, `v1_20261121-1` (DATE is YYYYMMDD) or `1.4.2`.");
}

int manifest_version_parse(struct bytes text, struct manifest_version *ret_version,
                           struct error *error)
{
    bool dated = text.len && text.data[0] == 'v';
    int err = dated ? parse_dated(text, ret_version) : parse_semantic(text, ret_version);
    if (!err) return 0;
    if (err == ERR_INVALID) {
        error_remedy(error, "Write the day as YYYYMMDD, for example `v1_20261121-1`.");
        return error_set(error, ERR_SYNTAX, "`%.*s` is no version: its date is no day that exists",
                         BYTES_ARG(yaml_shown(text)));
    }
    error_set(error, ERR_SYNTAX,
              "`%.*s` is no version: expected vMAJOR_DATE-FIX or MAJOR.MINOR.PATCH",
              BYTES_ARG(yaml_shown(text)));
    suggest(text, error);
    return ERR_SYNTAX;
}

static int compare(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

int manifest_version_compare(const struct manifest_version *a, const struct manifest_version *b)
{
    if (a->form != b->form) return compare(a->form, b->form);
    if (a->major != b->major) return compare(a->major, b->major);
    if (a->minor != b->minor) return compare(a->minor, b->minor);
    return compare(a->fix, b->fix);
}

bool manifest_version_compatible(const struct manifest_version *from,
                                 const struct manifest_version *to)
{
    return from->form == to->form && from->major == to->major && from->minor == to->minor &&
           from->fix <= to->fix;
}
