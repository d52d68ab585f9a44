/*
 * Introduces: one store and several threads: no locks of your own, one iterator or transaction for each.
 *
 * Build:  make lib
 *         cc -std=c99 -Iinclude c_examples/06_threads.c -Lbuild/lib -ltinystoredb -lpthread -o threads
 * Run:    LD_LIBRARY_PATH=build/lib ./threads my.db
 */
#define _POSIX_C_SOURCE 200809L /* pthread.h */

#include <pthread.h>
#include <stdio.h>

#include "tinystoredb.h"

enum { THREADS = 4, VISITS = 25 };

/* Says what went wrong. */
static int fail(const char *what, const tstore_error *err) {
    fprintf(stderr, "%s: %s (%s)\n", what, err->message, tstore_status_name(err->code));
    return 1;
}

/* A thread: counts visits, and notes each under a key of its own. Returns NULL if that worked. */
static void *visit(void *argument) {
    tstore *db = argument;
    tstore_error err; /* each call writes the one it is given: one for each thread */
    int i;

    for (i = 0; i < VISITS; i++) {
        char key[32];
        uint64_t number;
        int size;
        /* Two threads never get the same number. */
        if (tstore_increment_u64(db, "visits", 6, 1, &number, &err) != TSTORE_OK) {
            fail("increment", &err);
            return argument;
        }
        size = snprintf(key, sizeof key, "visit/%06u", (unsigned)number);
        if (tstore_put(db, key, (size_t)size, NULL, 0, &err) != TSTORE_OK) {
            fail("put", &err);
            return argument;
        }
    }
    return NULL;
}

static int use(tstore *db) {
    pthread_t threads[THREADS];
    tstore_error err;
    uint64_t visits = 0, noted = 0;
    int i, started = 0, failed = 0;

    if (tstore_put_u64(db, "visits", 6, 0, &err) != TSTORE_OK) return fail("put", &err);
    while (started < THREADS && pthread_create(&threads[started], NULL, visit, db) == 0) started++;
    for (i = 0; i < started; i++) {
        void *result;
        pthread_join(threads[i], &result);
        if (result != NULL) failed = 1;
    }
    if (started < THREADS) fprintf(stderr, "threads: the system refused one\n");
    if (failed || started < THREADS) return 1;
    if (tstore_get_u64(db, "visits", 6, &visits, &err) != TSTORE_OK) return fail("get", &err);
    /* All keys that begin with "visit/": '0' is the byte after '/'. */
    if (tstore_delete_range(db, "visit/", 6, "visit0", 6, &noted, &err) != TSTORE_OK) return fail("delete", &err);
    printf("%u visits, %u of them noted\n", (unsigned)visits, (unsigned)noted);
    return 0;
}

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "threads.db";
    tstore *db = NULL;
    tstore_error err;
    int failed;

    if (tstore_open(path, NULL, &db, &err) != TSTORE_OK) return fail("open", &err);
    failed = use(db);
    /* Wait for your threads before you close. */
    if (tstore_close(db, &err) != TSTORE_OK) return fail("close", &err);
    return failed;
}
