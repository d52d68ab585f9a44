/* One handle, several threads: each reads what it wrote, and a handle moves between threads. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

enum { THREADS = 4, KEYS = 200 };

static tstore *db;

static void *write_and_read(void *argument) {
    int thread = *(int *)argument;
    tstore_error err;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            char key[32], buffer[32];
            size_t size = 0;
            int key_size = snprintf(key, sizeof key, "%d/%03d/%d", thread, i, round);
            OK(tstore_put_with(db, key, 5, key, (size_t)key_size, TSTORE_TYPE_STRING,
                               TSTORE_WRITE_NO_WAIT, &err));
            OK(tstore_get(db, key, 5, buffer, sizeof buffer, &size, &err));
            CHECK(size == (size_t)key_size && memcmp(buffer, key, size) == 0);
        }
    }
    return NULL;
}

static void *next(void *argument) {
    tstore_error err;
    OK(tstore_iter_next((tstore_iter *)argument, NULL, NULL, NULL, NULL, &err));
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    tstore_error err;
    tstore_iter *iter = NULL;
    size_t count = 0;
    OK(tstore_open("threads.db", NULL, &db, &err));
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, write_and_read, &numbers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    /* One step on another thread, the rest here. */
    CHECK(pthread_create(&threads[0], NULL, next, iter) == 0 && pthread_join(threads[0], NULL) == 0);
    for (count = 1; tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err) == TSTORE_OK; count++) {
    }
    CHECK(err.code == TSTORE_END && count == THREADS * KEYS);
    tstore_iter_free(iter);
    OK(tstore_close(db, &err));
    return 0;
}
