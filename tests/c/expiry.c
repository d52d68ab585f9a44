/*
 * Expired records are absent in every call. Where a test needs a record to expire, it waits for the clock, and
 * tries again with more time where it was too slow; nothing depends on how fast it is.
 */
#include "check.h"

static tstore *db;
static tstore_error err;

static const int64_t far = INT64_MAX, past = 1;

static int32_t put_until(const char *key, int64_t expires_at) {
    return tstore_put_until(db, key, strlen(key), BYTES("v"), TSTORE_TYPE_BYTES, expires_at, 0, &err);
}

static void what_is_past_is_absent_everywhere(void) {
    tstore_iter *iter = NULL;
    tstore_value *value = NULL;
    size_t size = 0, key_size = 1, value_size = 0;
    uint64_t count = 99;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(put_until("a", far));
    OK(put_until("b", past));
    OK(put_until("c", 0));
    VALUE_IS(db, "a", "v");
    STATUS(TSTORE_NOT_FOUND, tstore_get(db, "b", 1, NULL, 0, &size, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_get_value(db, "b", 1, &value, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "b", 1, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_describe(db, "b", 1, NULL, NULL, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_delete(db, "b", 1, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_take(db, "b", 1, &value, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_expire(db, "b", 1, far, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_persist(db, "b", 1, &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_delete(db, "b", 1, BYTES("v"), &err));
    OK(tstore_get_many(db, 1, "b", &key_size, NULL, 0, &value_size, &size, &err));
    CHECK(value_size == TSTORE_ABSENT && size == 0);
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    NEXT_IS(iter, "a", "v");
    NEXT_IS(iter, "c", "v");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.records == 3);
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, &count, &err));
    CHECK(count == 2);
    OK(put_until("b", past));
    OK(tstore_put_if_absent(db, "b", 1, BYTES("new"), &err));
    VALUE_IS(db, "b", "new");
}

static void the_time_that_is_left_is_told_and_changed(void) {
    int64_t ms = 7;
    STATUS(TSTORE_NOT_FOUND, tstore_remaining(db, BYTES("none"), &ms, &err));
    CHECK(ms == 7);
    OK(tstore_put(db, BYTES("k"), BYTES("v"), &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms == -1);
    OK(tstore_expire(db, BYTES("k"), tstore_clock_ms() + 1000000000, &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms > 0 && ms <= 1000000000);
    OK(tstore_expire(db, BYTES("k"), 0, &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms == -1);
    OK(tstore_expire(db, BYTES("k"), far, &err));
    OK(tstore_persist(db, BYTES("k"), &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms == -1);
    VALUE_IS(db, "k", "v");
    OK(tstore_expire(db, BYTES("k"), past, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("k"), &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_expire(db, BYTES("k"), -1, &err));
    CHECK(strstr(err.message, "expires_at") != NULL);
    CHECK(tstore_clock_ms() > INT64_C(1700000000000));
}

static void a_put_removes_it_and_a_change_of_a_part_keeps_it(void) {
    int64_t ms = 0;
    int32_t type = -1;
    OK(put_until("k", far));
    OK(tstore_append(db, BYTES("k"), BYTES("w"), NULL, &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms > 0);
    OK(tstore_put(db, BYTES("k"), BYTES("v"), &err));
    OK(tstore_remaining(db, BYTES("k"), &ms, &err));
    CHECK(ms == -1);
    OK(tstore_put_until(db, BYTES("n"), "\x01\0\0\0\0\0\0\0", 8, TSTORE_TYPE_I64, far, TSTORE_WRITE_WAIT, &err));
    OK(tstore_increment_i64(db, BYTES("n"), 1, NULL, &err));
    OK(tstore_remaining(db, BYTES("n"), &ms, &err));
    CHECK(ms > 0);
    OK(tstore_expire(db, BYTES("n"), far - 1, &err));
    OK(tstore_describe(db, BYTES("n"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_I64);
    OK(tstore_put_i64(db, BYTES("n"), 5, &err));
    OK(tstore_remaining(db, BYTES("n"), &ms, &err));
    CHECK(ms == -1);
}

/* The record has expired for the store, and was there for the snapshot and the transaction when they began. */
static void snapshots_and_transactions_keep_their_time(void) {
    for (int64_t time = 20;; time *= 2) {
        tstore_snapshot *snapshot = NULL;
        tstore_txn *txn = NULL;
        tstore_iter *iter = NULL;
        int64_t expires_at = tstore_clock_ms() + time;
        int in_time;
        OK(put_until("short", expires_at));
        OK(tstore_snapshot_create(db, &snapshot, &err));
        OK(tstore_txn_begin(db, &txn, &err));
        OK(tstore_scan(db, BYTES("short"), &iter, &err));
        in_time = tstore_clock_ms() < expires_at;
        while (in_time && tstore_clock_ms() < expires_at) {
        }
        if (in_time) {
            STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("short"), &err));
            OK(tstore_snapshot_exists(snapshot, BYTES("short"), &err));
            NEXT_IS(iter, "short", "v");
            OK(tstore_txn_exists(txn, BYTES("short"), &err));
            OK(tstore_txn_put(txn, BYTES("other"), BYTES("x"), &err));
            /* It acted on a record that is not there any more. */
            STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(txn, 0, &err));
        }
        tstore_iter_free(iter);
        tstore_txn_free(txn);
        tstore_snapshot_free(snapshot);
        if (in_time) return;
    }
}

static uint64_t records(void) {
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_stat(db, &stats, &err));
    return stats.records;
}

/* What gives the place of an expired record back, and what does not: see tstore_put_until. */
static void an_expired_record_stays_until_it_is_written_or_deleted_in_a_batch(void) {
    tstore_batch *batch = NULL;
    tstore_txn *txn = NULL;
    uint64_t before, count = 99;
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, NULL, &err));
    before = records();
    OK(put_until("x1", past));
    OK(put_until("x2", past));
    OK(put_until("x3", past));
    OK(put_until("x4", past));
    STATUS(TSTORE_NOT_FOUND, tstore_delete(db, BYTES("x1"), &err));
    OK(tstore_delete_range(db, BYTES("x"), BYTES("y"), &count, &err));
    CHECK(count == 0);
    OK(tstore_txn_begin(db, &txn, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_txn_delete(txn, BYTES("x1"), &err));
    OK(tstore_txn_commit(txn, 0, &err));
    tstore_txn_free(txn);
    CHECK(records() == before + 4);
    OK(tstore_batch_create(&batch, &err));
    OK(tstore_batch_delete(batch, BYTES("x1"), &err));
    OK(tstore_write(db, batch, 0, &err));
    CHECK(records() == before + 3);
    OK(tstore_batch_clear(batch, &err));
    OK(tstore_batch_delete_range(batch, BYTES("x2"), BYTES("x3"), &err));
    OK(tstore_write(db, batch, 0, &err));
    tstore_batch_free(batch);
    CHECK(records() == before + 2);
    OK(tstore_put(db, BYTES("x3"), BYTES("v"), &err));
    CHECK(records() == before + 2);
    /* A range that has a key to delete takes along what has expired between. */
    OK(tstore_delete_range(db, BYTES("x"), BYTES("y"), &count, &err));
    CHECK(count == 1 && records() == before);
}

static void expiry_is_there_after_reopening(void) {
    int64_t ms = 0;
    OK(put_until("kept", far));
    OK(put_until("gone", past));
    OK(tstore_close(db, &err));
    OK(tstore_open("expiry.db", NULL, &db, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("gone"), &err));
    OK(tstore_remaining(db, BYTES("kept"), &ms, &err));
    CHECK(ms > 0);
}

int main(void) {
    OK(tstore_open("expiry.db", NULL, &db, &err));
    what_is_past_is_absent_everywhere();
    the_time_that_is_left_is_told_and_changed();
    a_put_removes_it_and_a_change_of_a_part_keeps_it();
    snapshots_and_transactions_keep_their_time();
    an_expired_record_stays_until_it_is_written_or_deleted_in_a_batch();
    expiry_is_there_after_reopening();
    OK(tstore_close(db, &err));
    return 0;
}
