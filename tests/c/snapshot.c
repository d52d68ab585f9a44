/* A snapshot answers as the store was, whatever happens to the store, and from every thread. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

static void reads_are_those_of_its_moment(void) {
    tstore_error err;
    tstore *db = NULL;
    tstore_snapshot *empty = NULL, *snapshot = NULL;
    tstore_value *value = NULL;
    tstore_iter *iter = NULL;
    char buffer[16];
    size_t size = 99;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_open("moment.db", NULL, &db, &err));
    OK(tstore_snapshot_create(db, &empty, &err));
    CHECK(tstore_snapshot_lsn(empty) == 0);
    OK(tstore_put(db, BYTES("a"), BYTES("1"), &err));
    OK(tstore_put_string(db, BYTES("b"), BYTES("two"), &err));
    OK(tstore_put(db, BYTES("c"), NULL, 0, &err));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    OK(tstore_stat(db, &stats, &err));
    CHECK(tstore_snapshot_lsn(snapshot) >= 3 && tstore_snapshot_lsn(snapshot) == stats.last_lsn);
    CHECK(stats.snapshots == 2);
    OK(tstore_put(db, BYTES("a"), BYTES("changed"), &err));
    OK(tstore_delete(db, BYTES("b"), &err));
    OK(tstore_put(db, BYTES("d"), BYTES("new"), &err));

    OK(tstore_snapshot_get(snapshot, BYTES("a"), buffer, sizeof buffer, &size, &err));
    CHECK(size == 1 && buffer[0] == '1');
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_snapshot_get(snapshot, BYTES("b"), buffer, 2, &size, &err));
    CHECK(size == 3);
    OK(tstore_snapshot_get(snapshot, BYTES("c"), NULL, 0, &size, &err));
    CHECK(size == 0);
    STATUS(TSTORE_NOT_FOUND, tstore_snapshot_get(snapshot, BYTES("d"), buffer, sizeof buffer, &size, &err));
    OK(tstore_snapshot_exists(snapshot, BYTES("b"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_snapshot_exists(snapshot, BYTES("d"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_snapshot_exists(empty, BYTES("a"), &err));
    OK(tstore_snapshot_get_value(snapshot, BYTES("b"), &value, &err));
    CHECK(tstore_value_type(value) == TSTORE_TYPE_STRING && tstore_value_size(value) == 3);
    OK(tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, 0, &iter, &err));
    NEXT_IS(iter, "a", "1");
    NEXT_IS(iter, "b", "two");

    /* What was made of it goes on without it. */
    tstore_snapshot_free(snapshot);
    OK(tstore_put(db, BYTES("c"), BYTES("late"), &err));
    NEXT_IS(iter, "c", "");
    NO_MORE(iter);
    OK(tstore_iter_seek(iter, BYTES("b"), &err));
    NEXT_IS(iter, "b", "two");
    CHECK(memcmp(tstore_value_data(value), "two", 3) == 0);
    tstore_iter_free(iter);
    tstore_value_free(value);
    OK(tstore_snapshot_scan(empty, NULL, 0, NULL, 0, TSTORE_SCAN_BACKWARD, &iter, &err));
    NO_MORE(iter);
    tstore_iter_free(iter);
    tstore_snapshot_free(empty);
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.snapshots == 0 && stats.oldest_snapshot_ms == 0 && stats.records == 3);
    OK(tstore_close(db, &err));
}

static void a_snapshot_of_a_closed_store_answers_closed(void) {
    tstore_error err;
    tstore *db = NULL;
    tstore_snapshot *snapshot = NULL;
    tstore_value *value = NULL;
    tstore_iter *iter = NULL;
    size_t key_size = 1, value_size = 0, used = 0;
    OK(tstore_open("closed.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("1"), &err));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    OK(tstore_close(db, &err));
    STATUS(TSTORE_E_CLOSED, tstore_snapshot_get(snapshot, BYTES("a"), NULL, 0, &used, &err));
    STATUS(TSTORE_E_CLOSED, tstore_snapshot_get_value(snapshot, BYTES("a"), &value, &err));
    STATUS(TSTORE_E_CLOSED, tstore_snapshot_exists(snapshot, BYTES("a"), &err));
    STATUS(TSTORE_E_CLOSED,
           tstore_snapshot_get_many(snapshot, 1, "a", &key_size, NULL, 0, &value_size, &used, &err));
    STATUS(TSTORE_E_CLOSED, tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, 0, &iter, &err));
    CHECK(value == NULL && iter == NULL && value_size == 0 && used == 0 && tstore_snapshot_lsn(snapshot) > 0);
    /* Nor does it keep the store locked. */
    OK(tstore_open("closed.db", NULL, &db, &err));
    OK(tstore_close(db, &err));
    tstore_snapshot_free(snapshot);
}

static void there_may_be_very_many(void) {
    enum { COUNT = 700 };
    static tstore_snapshot *snapshots[COUNT];
    tstore_error err;
    tstore *db = NULL;
    tstore_options *options = NULL;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_sync_mode(options, TSTORE_SYNC_ON_REQUEST, 0, &err));
    OK(tstore_open("many.db", options, &db, &err));
    tstore_options_free(options);
    for (int i = 0; i < COUNT; i++) {
        OK(tstore_put(db, BYTES("counter"), &i, sizeof i, &err));
        OK(tstore_snapshot_create(db, &snapshots[i], &err));
    }
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.snapshots == COUNT && stats.snapshot_versions == COUNT - 1 && stats.snapshot_bytes > 0);
    for (int i = COUNT - 1; i >= 0; i--) {
        int found = -1;
        size_t size;
        OK(tstore_snapshot_get(snapshots[i], BYTES("counter"), &found, sizeof found, &size, &err));
        CHECK(found == i);
        if (i % 2) tstore_snapshot_free(snapshots[i]);
    }
    for (int i = 0; i < COUNT; i += 2) tstore_snapshot_free(snapshots[i]);
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.snapshots == 0);
    OK(tstore_close(db, &err));
}

static void figures_that_an_older_program_does_not_know_are_left_out(void) {
    /* As many bytes as the struct had at first; what follows is not the library's to write. */
    enum { FIRST_SIZE = 56 };
    tstore_error err;
    tstore *db = NULL;
    tstore_snapshot *snapshot = NULL;
    tstore_stats stats;
    memset(&stats, 0x55, sizeof stats);
    stats.struct_size = FIRST_SIZE;
    OK(tstore_open("figures.db", NULL, &db, &err));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.struct_size == FIRST_SIZE && stats.records == 0 && stats.durable_lsn == 0);
    for (size_t i = FIRST_SIZE; i < sizeof stats; i++) CHECK(((char *)&stats)[i] == 0x55);
    tstore_snapshot_free(snapshot);
    OK(tstore_close(db, &err));
}

static void *read_it(void *argument) {
    const tstore_snapshot *snapshot = argument;
    tstore_error err;
    for (int round = 0; round < 50; round++) {
        char buffer[8];
        size_t size;
        tstore_iter *iter = NULL;
        OK(tstore_snapshot_get(snapshot, BYTES("k"), buffer, sizeof buffer, &size, &err));
        CHECK(size == 3 && memcmp(buffer, "old", 3) == 0);
        OK(tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, 0, &iter, &err));
        NEXT_IS(iter, "k", "old");
        NO_MORE(iter);
        tstore_iter_free(iter);
    }
    return NULL;
}

static void several_threads_read_one(void) {
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    tstore_error err;
    tstore *db = NULL;
    tstore_snapshot *snapshot = NULL;
    OK(tstore_open("threads.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("k"), BYTES("old"), &err));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, read_it, snapshot) == 0);
    for (int i = 0; i < 50; i++) {
        OK(tstore_put_with(db, BYTES("k"), BYTES("new"), TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
        OK(tstore_put_with(db, &i, sizeof i, NULL, 0, TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    tstore_snapshot_free(snapshot);
    OK(tstore_close(db, &err));
}

int main(void) {
    reads_are_those_of_its_moment();
    a_snapshot_of_a_closed_store_answers_closed();
    there_may_be_very_many();
    figures_that_an_older_program_does_not_know_are_left_out();
    several_threads_read_one();
    return 0;
}
