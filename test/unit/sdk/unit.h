/* unit: what every test of the SDK includes. */
#ifndef DURE_TEST_SDK_UNIT_H
#define DURE_TEST_SDK_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#endif
