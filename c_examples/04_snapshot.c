/*
 * Introduces: the store as it was at one moment, while it goes on changing.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/04_snapshot.c -Lbuild/lib -ltinystoredb -o snapshot
 * Run:    LD_LIBRARY_PATH=build/lib ./snapshot my.db
 */
#include <stdio.h>

#include "tinystoredb.h"

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* Prints what a key has in the snapshot, and what it has now. */
static int compare(tstore *db, const tstore_snapshot *snapshot) {
    tstore_error err;
    char then[32], now[32];
    size_t then_size, now_size;

    if (tstore_snapshot_get(snapshot, "price", 5, then, sizeof then, &then_size, &err) != TSTORE_OK)
        return fail("get", &err);
    if (tstore_get(db, "price", 5, now, sizeof now, &now_size, &err) != TSTORE_OK) return fail("get", &err);
    printf("the price was %.*s and is %.*s\n", (int)then_size, then, (int)now_size, now);
    return 0;
}

/* Counts the records of the snapshot. */
static int count(const tstore_snapshot *snapshot) {
    tstore_error err;
    tstore_iter *iter = NULL;
    int records = 0;
    int32_t status;

    if (tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, TSTORE_SCAN_KEYS_ONLY, &iter, &err) != TSTORE_OK)
        return fail("scan", &err);
    while ((status = tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err)) == TSTORE_OK) records++;
    tstore_iter_free(iter);
    if (status != TSTORE_END) return fail("next", &err);
    printf("there were %d records\n", records);
    return 0;
}

static int use(tstore *db) {
    tstore_error err;
    tstore_snapshot *snapshot = NULL;
    int failed;

    if (tstore_delete_range(db, NULL, 0, NULL, 0, NULL, &err) != TSTORE_OK) return fail("delete", &err);
    if (tstore_put(db, "price", 5, "10", 2, &err) != TSTORE_OK) return fail("put", &err);
    if (tstore_put(db, "stock", 5, "7", 1, &err) != TSTORE_OK) return fail("put", &err);

    /* Costs nothing to make and holds nobody up; what it alone still needs takes space, so free it soon. */
    if (tstore_snapshot_create(db, &snapshot, &err) != TSTORE_OK) return fail("snapshot", &err);
    failed = tstore_put(db, "price", 5, "12", 2, &err) != TSTORE_OK ||
             tstore_put(db, "colour", 6, "red", 3, &err) != TSTORE_OK;
    if (failed) fail("put", &err);
    failed = failed || compare(db, snapshot) || count(snapshot);
    tstore_snapshot_free(snapshot);
    return failed;
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "snapshot.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
