/*
 * Introduces: several changes that take effect together, or not at all.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/03_batch.c -Lbuild/lib -ltinystoredb -o batch
 * Run:    LD_LIBRARY_PATH=build/lib ./batch my.db
 */
#include <stdio.h>

#include "tinystoredb.h"

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* Gathers the changes for renaming a user. Nothing happens to the store yet. The range is all keys that begin with
   "user/ann/": it ends before the prefix with its last byte one larger, and '0' comes after '/'. */
static int32_t gather(tstore_batch *batch, tstore_error *err) {
    int32_t status = tstore_batch_delete_range(batch, "user/ann/", 9, "user/ann0", 9, err);
    if (status == TSTORE_OK) status = tstore_batch_put(batch, "user/anna/mail", 14, "anna@example.org", 16, err);
    if (status == TSTORE_OK) status = tstore_batch_put(batch, "user/anna/city", 14, "Elmford", 7, err);
    return status;
}

static int use(tstore *db) {
    tstore_error err;
    tstore_batch *batch = NULL;
    int32_t status;
    char city[32];
    size_t size;

    if (tstore_put(db, "user/ann/mail", 13, "ann@example.org", 15, &err) != TSTORE_OK) return fail("put", &err);

    if (tstore_batch_create(&batch, &err) != TSTORE_OK) return fail("batch", &err);
    status = gather(batch, &err);
    printf("%zu changes\n", tstore_batch_count(batch));
    /* One commit: whoever reads, and a store after a crash, has all of it or none of it. */
    if (status == TSTORE_OK) status = tstore_write(db, batch, 0, &err);
    tstore_batch_free(batch);
    if (status != TSTORE_OK) return fail("write", &err);

    status = tstore_exists(db, "user/ann/mail", 13, &err);
    if (status < 0) return fail("exists", &err);
    printf("user/ann/mail is %s\n", status == TSTORE_OK ? "there" : "gone");
    if (tstore_get(db, "user/anna/city", 14, city, sizeof city, &size, &err) != TSTORE_OK) return fail("get", &err);
    printf("user/anna/city is %.*s\n", (int)size, city);
    return 0;
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "batch.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
