#!/bin/sh
# example.sh HEADER: prints the example of dure.h's first comment.
sed -n '/^ \*     #include <dure\/dure.h>/,/^ \* The same source/p' "$1" |
    sed -n 's/^ \*     //p; s/^ \*$//p'
