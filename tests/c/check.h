/*
 * What the C tests share: a claim that does not hold ends the program with the line it stands on.
 *
 * Each test is one program. It runs in an empty directory of its own and ends with 0.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinystoredb.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

/* The call answers `expected`, and the tstore_error called `err` says the same. */
#define STATUS(expected, call)                                                                    \
    do {                                                                                          \
        int32_t status_ = (call);                                                                 \
        if (status_ != (expected) || err.code != status_) {                                       \
            fprintf(stderr, "%s:%d: %s answers %s (err.code %d), not %s: %s\n", __FILE__,         \
                    __LINE__, #call, tstore_status_name(status_), (int)err.code, #expected,       \
                    err.message);                                                                 \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

#define OK(call) STATUS(TSTORE_OK, call)

/* A key or a value that is a string literal: its address and its size without the NUL. */
#define BYTES(literal) (literal), (sizeof(literal) - 1)

/* The value of `key` is the string literal `expected`. */
#define VALUE_IS(db, key, expected)                                             \
    do {                                                                        \
        char buffer_[4096];                                                     \
        size_t size_ = 0;                                                       \
        OK(tstore_get((db), BYTES(key), buffer_, sizeof buffer_, &size_, &err)); \
        CHECK(size_ == sizeof(expected) - 1);                                   \
        CHECK(memcmp(buffer_, expected, size_) == 0);                           \
    } while (0)

/* The next record of `iter` has the key and the value that the string literals say. */
#define NEXT_IS(iter, expected_key, expected_value)                                                   \
    do {                                                                                              \
        const void *key_ = NULL, *value_ = NULL;                                                      \
        size_t key_size_ = 0, value_size_ = 0;                                                        \
        OK(tstore_iter_next((iter), &key_, &key_size_, &value_, &value_size_, &err));                 \
        CHECK(key_size_ == sizeof(expected_key) - 1 && memcmp(key_, expected_key, key_size_) == 0);   \
        CHECK(value_size_ == sizeof(expected_value) - 1);                                             \
        CHECK(memcmp(value_, expected_value, value_size_) == 0);                                      \
    } while (0)

/* `iter` has no further record. */
#define NO_MORE(iter) STATUS(TSTORE_END, tstore_iter_next((iter), NULL, NULL, NULL, NULL, &err))

#endif
