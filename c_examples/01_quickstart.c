/*
 * Introduces: opening a store, putting and getting a value, closing; how to deal with errors.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/01_quickstart.c -Lbuild/lib -ltinystoredb -o quickstart
 * Run:    LD_LIBRARY_PATH=build/lib ./quickstart my.db
 */
#include <stdio.h>

#include "tinystoredb.h"

/* Says what went wrong. Every message of the library names the cause and what to do about it. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* All that is done with the open store; 0 if it worked. */
static int use(tstore *db) {
    tstore_error err;
    char value[64];
    size_t size;

    /* When this returns TSTORE_OK, the value is on the device. */
    if (tstore_put(db, "exampleKey", 10, "exampleValue", 12, &err) != TSTORE_OK) return fail("put", &err);

    /* Keys and values are bytes with a size; nothing is appended to them, so print with the size. */
    if (tstore_get(db, "exampleKey", 10, value, sizeof value, &size, &err) != TSTORE_OK) return fail("get", &err);
    printf("exampleKey is %.*s\n", (int)size, value);

    /* A positive status is no failure, just another answer. */
    switch (tstore_get(db, "otherKey", 8, value, sizeof value, &size, &err)) {
    case TSTORE_OK:
        printf("otherKey is %.*s\n", (int)size, value);
        return 0;
    case TSTORE_NOT_FOUND:
        printf("otherKey is not there\n");
        return 0;
    default:
        return fail("get", &err);
    }
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "quickstart.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
