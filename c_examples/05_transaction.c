/*
 * Introduces: reads and writes that belong together, done again where somebody else came between.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/05_transaction.c -Lbuild/lib -ltinystoredb -o transaction
 * Run:    LD_LIBRARY_PATH=build/lib ./transaction my.db
 */
#include <stdio.h>

#include "tinystoredb.h"

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* Every balance here has 8 bytes, in the byte order of this machine. */
static int32_t balance(tstore_txn *txn, const char *account, int64_t *amount, tstore_error *err) {
    size_t size;
    *amount = 0; /* a shorter value would leave bytes of it unset */
    return tstore_txn_get(txn, account, 1, amount, sizeof *amount, &size, err);
}

/* Moves money between two accounts, named by one letter each, if there is enough. Reads and writes as often as it
   likes: what was read holds at the commit, or the commit refuses. */
static int32_t move(tstore_txn *txn, const char *from, const char *to, int64_t amount, int *enough,
                    tstore_error *err) {
    int64_t has, gets;
    int32_t status = balance(txn, from, &has, err);
    if (status == TSTORE_OK) status = balance(txn, to, &gets, err);
    if (status != TSTORE_OK) return status;
    *enough = has >= amount;
    if (!*enough) return TSTORE_OK;
    has -= amount;
    gets += amount;
    status = tstore_txn_put(txn, from, 1, &has, sizeof has, err);
    if (status == TSTORE_OK) status = tstore_txn_put(txn, to, 1, &gets, sizeof gets, err);
    return status;
}

/* Does it as often as it takes until nobody comes between. */
static int32_t transfer(tstore *db, const char *from, const char *to, int64_t amount, int *enough,
                        tstore_error *err) {
    int32_t status;
    do {
        tstore_txn *txn = NULL;
        status = tstore_txn_begin(db, &txn, err);
        if (status == TSTORE_OK) status = move(txn, from, to, amount, enough, err);
        if (status == TSTORE_OK) status = tstore_txn_commit(txn, 0, err);
        tstore_txn_free(txn); /* rolls back what was not committed */
    } while (status == TSTORE_E_CONFLICT);
    return status;
}

static int use(tstore *db) {
    tstore_error err;
    int64_t a = 100, b = 20;
    size_t size;
    int enough;

    if (tstore_put(db, "a", 1, &a, sizeof a, &err) != TSTORE_OK) return fail("put", &err);
    if (tstore_put(db, "b", 1, &b, sizeof b, &err) != TSTORE_OK) return fail("put", &err);

    if (transfer(db, "a", "b", 30, &enough, &err) != TSTORE_OK) return fail("transfer", &err);
    if (transfer(db, "b", "a", 1000, &enough, &err) != TSTORE_OK) return fail("transfer", &err);
    printf("1000 from b: %s\n", enough ? "done" : "there is not that much");

    if (tstore_get(db, "a", 1, &a, sizeof a, &size, &err) != TSTORE_OK) return fail("get", &err);
    if (tstore_get(db, "b", 1, &b, sizeof b, &size, &err) != TSTORE_OK) return fail("get", &err);
    printf("a has %d, b has %d\n", (int)a, (int)b);
    return 0;
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "transaction.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
