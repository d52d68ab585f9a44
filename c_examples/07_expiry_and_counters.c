/*
 * Introduces: records that expire, counters, and changes that rest on what is there.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/07_expiry_and_counters.c -Lbuild/lib -ltinystoredb -o counters
 * Run:    LD_LIBRARY_PATH=build/lib ./counters my.db
 */
#include <stdio.h>

#include "tinystoredb.h"

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* A session that ends by itself. Its record reads as absent then, but stays in the index until the key is written,
   or deleted in a batch: see tstore_put_until. */
static int session(tstore *db) {
    tstore_error err;
    int64_t now = tstore_clock_ms(), left;
    int32_t status;

    if (tstore_put_until(db, "session", 7, "ann", 3, TSTORE_TYPE_STRING, now + 60000, 0, &err) != TSTORE_OK)
        return fail("put", &err);
    if (tstore_remaining(db, "session", 7, &left, &err) != TSTORE_OK) return fail("remaining", &err);
    printf("the session ends within a minute: %s\n", left >= 0 && left <= 60000 ? "yes" : "no");

    /* A time that is past: from now on the key is absent in every call. */
    if (tstore_expire(db, "session", 7, now - 1, &err) != TSTORE_OK) return fail("expire", &err);
    status = tstore_exists(db, "session", 7, &err);
    if (status < 0) return fail("exists", &err);
    printf("the session is %s\n", status == TSTORE_OK ? "there" : "over");
    return 0;
}

static int counter(tstore *db) {
    tstore_error err;
    uint64_t hits = 0;

    if (tstore_put_u64(db, "hits", 4, 40, &err) != TSTORE_OK) return fail("put", &err);
    if (tstore_increment_u64(db, "hits", 4, 2, &hits, &err) != TSTORE_OK) return fail("increment", &err);
    printf("%u hits\n", (unsigned)hits);
    /* Refused instead of wrapped around. */
    if (tstore_increment_u64(db, "hits", 4, -43, &hits, &err) != TSTORE_E_OVERFLOW) return fail("increment", &err);
    printf("43 less: %s\n", tstore_status_message(TSTORE_E_OVERFLOW));
    return 0;
}

/* Of several workers one gets the job. */
static int job(tstore *db) {
    tstore_error err;
    int round;

    if (tstore_put(db, "job", 3, "free", 4, &err) != TSTORE_OK) return fail("put", &err);
    for (round = 1; round <= 2; round++) {
        switch (tstore_compare_and_swap(db, "job", 3, TSTORE_EXPECT_VALUE, "free", 4, "taken", 5, &err)) {
        case TSTORE_OK:
            printf("worker %d has the job\n", round);
            break;
        case TSTORE_MISMATCH:
            printf("worker %d is too late\n", round);
            break;
        default:
            return fail("compare and swap", &err);
        }
    }
    return 0;
}

static int use(tstore *db) {
    return session(db) || counter(db) || job(db);
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "counters.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
