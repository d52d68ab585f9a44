/*
 * Introduces: walking over records in the order of their keys: all with a prefix, a range, backward,
 * page by page.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/02_scan.c -Lbuild/lib -ltinystoredb -o scan
 * Run:    LD_LIBRARY_PATH=build/lib ./scan my.db
 */
#include <stdio.h>
#include <string.h>

#include "tinystoredb.h"

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* Prints the records that are left, or `most` of them, and frees the iterator. 0 if that worked. */
static int print(tstore_iter *iter, int most) {
    tstore_error err;
    const void *key, *value;
    size_t key_size, value_size;
    int32_t status = TSTORE_OK;

    /* Key and value belong to the iterator, until the next call on it. */
    while (most-- > 0 && (status = tstore_iter_next(iter, &key, &key_size, &value, &value_size, &err)) == TSTORE_OK)
        printf("  %.*s = %.*s\n", (int)key_size, (const char *)key, (int)value_size, (const char *)value);
    tstore_iter_free(iter);
    /* The end and a failure are different answers. */
    return status == TSTORE_OK || status == TSTORE_END ? 0 : fail("next", &err);
}

static int use(tstore *db) {
    static const char *const towns[] = {"town/Ashby", "town/Birchwood", "town/Elmford", "town/Oakham", "zoo"};
    tstore_error err;
    tstore_iter *iter = NULL;
    size_t i;

    for (i = 0; i < sizeof towns / sizeof *towns; i++)
        if (tstore_put(db, towns[i], strlen(towns[i]), "here", 4, &err) != TSTORE_OK) return fail("put", &err);

    printf("all towns:\n");
    if (tstore_scan(db, "town/", 5, &iter, &err) != TSTORE_OK) return fail("scan", &err);
    if (print(iter, 100)) return 1;

    /* From is taken in, to is not. No bytes are no bound. */
    printf("from B up to O:\n");
    if (tstore_scan_range(db, "town/B", 6, "town/O", 6, 0, &iter, &err) != TSTORE_OK) return fail("scan", &err);
    if (print(iter, 100)) return 1;

    /* From is the smaller key in either direction. */
    printf("the last two, backward:\n");
    if (tstore_scan_range(db, NULL, 0, NULL, 0, TSTORE_SCAN_BACKWARD, &iter, &err) != TSTORE_OK)
        return fail("scan", &err);
    if (print(iter, 2)) return 1;

    /* The next page of a list, when all that is known is the last key of the page before. */
    printf("two behind Birchwood:\n");
    if (tstore_scan_range(db, "town/Birchwood", 14, NULL, 0, TSTORE_SCAN_FROM_EXCLUSIVE, &iter, &err) != TSTORE_OK)
        return fail("scan", &err);
    return print(iter, 2);
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "scan.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
