/* yaml_scalar: one scalar's text into one member. Private to wire/yaml. */
#ifndef DURE_WIRE_YAML_SCALAR_H
#define DURE_WIRE_YAML_SCALAR_H

#include "wire/yaml_tree.h"

/* Stores the value of `node` as the field's type says into `member`. On a mistake returns its code
 * with message and remedy in `error`. Not for lists, maps and structs. */
int yaml_scalar_store(const struct yaml_field *field, const struct yaml_node *node, void *member,
                      struct error *error);

/* "a whole number from 1 to 64", "a duration", ... ; NULL-safe `text` of `size`. */
void yaml_type_describe(const struct yaml_field *field, char *text, size_t size);

/* "`abc`", "a list", "nothing": what was found. */
void yaml_node_describe(const struct yaml_node *node, char *text, size_t size);

#endif
