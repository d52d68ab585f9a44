/*
 * Misuse: each function with each of its pointers NULL in turn, wrong handles, wrong numbers. The answer is
 * TSTORE_E_INVALID_ARGUMENT with a message that names the parameter; nothing crashes, nothing is written.
 *
 * tests/c_api.rs checks that every exported function is called here.
 */
#include "check.h"

/* The call refuses its argument `name`, with an error to write to and without one. `call` uses `e`. */
#define REFUSES(name, call)                                                                 \
    do {                                                                                    \
        tstore_error *e = &err;                                                             \
        memset(&err, 0xAA, sizeof err);                                                     \
        STATUS(TSTORE_E_INVALID_ARGUMENT, call);                                            \
        if (strstr(err.message, name) == NULL) {                                            \
            fprintf(stderr, "%s:%d: %s is not in the message: %s\n", __FILE__, __LINE__, name, \
                    err.message);                                                           \
            exit(1);                                                                        \
        }                                                                                   \
        e = NULL;                                                                           \
        CHECK((call) == TSTORE_E_INVALID_ARGUMENT);                                         \
    } while (0)

static tstore_error err;

static int32_t never_called(void *ctx, const tstore_progress *progress) {
    (void)ctx;
    (void)progress;
    return 1;
}

static void the_store(tstore *db) {
    tstore *out = NULL;
    size_t size = 0;
    char buffer[8];
    tstore_value *value = NULL;
    tstore_iter *iter = NULL;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;

    REFUSES("path", tstore_open(NULL, NULL, &out, e));
    REFUSES("db", tstore_open("another.db", NULL, NULL, e));
    CHECK(tstore_close(NULL, NULL) == TSTORE_OK);

    REFUSES("db", tstore_put(NULL, "k", 1, "v", 1, e));
    REFUSES("key", tstore_put(db, NULL, 1, "v", 1, e));
    REFUSES("value", tstore_put(db, "k", 1, NULL, 1, e));

    REFUSES("db", tstore_put_with(NULL, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("key", tstore_put_with(db, NULL, 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value", tstore_put_with(db, "k", 1, NULL, 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value_type", tstore_put_with(db, "k", 1, "v", 1, 7, 0, e));
    REFUSES("value_type", tstore_put_with(db, "k", 1, "v", 1, INT32_MIN, 0, e));
    REFUSES("flags", tstore_put_with(db, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 4, e));
    REFUSES("flags", tstore_put_with(db, "k", 1, "v", 1, TSTORE_TYPE_BYTES, UINT32_MAX, e));
    REFUSES("flags", tstore_put_with(db, "k", 1, "v", 1, TSTORE_TYPE_BYTES,
                                     TSTORE_WRITE_WAIT | TSTORE_WRITE_NO_WAIT, e));

    REFUSES("db", tstore_get(NULL, "k", 1, buffer, sizeof buffer, &size, e));
    REFUSES("key", tstore_get(db, NULL, 1, buffer, sizeof buffer, &size, e));
    REFUSES("buffer", tstore_get(db, "k", 1, NULL, sizeof buffer, &size, e));
    REFUSES("value_size", tstore_get(db, "k", 1, buffer, sizeof buffer, NULL, e));

    REFUSES("db", tstore_exists(NULL, "k", 1, e));
    REFUSES("key", tstore_exists(db, NULL, 1, e));
    REFUSES("db", tstore_describe(NULL, "k", 1, NULL, NULL, e));
    REFUSES("key", tstore_describe(db, NULL, 1, NULL, NULL, e));
    REFUSES("db", tstore_delete(NULL, "k", 1, e));
    REFUSES("key", tstore_delete(db, NULL, 1, e));
    REFUSES("db", tstore_sync(NULL, e));
    REFUSES("db", tstore_stat(NULL, &stats, e));
    REFUSES("stats", tstore_stat(db, NULL, e));

    value = (tstore_value *)&size;
    REFUSES("db", tstore_get_value(NULL, "k", 1, &value, e));
    CHECK(value == NULL);
    value = (tstore_value *)&size;
    REFUSES("key", tstore_get_value(db, NULL, 1, &value, e));
    CHECK(value == NULL);
    REFUSES("value", tstore_get_value(db, "k", 1, NULL, e));

    iter = (tstore_iter *)&size;
    REFUSES("db", tstore_scan(NULL, NULL, 0, &iter, e));
    CHECK(iter == NULL);
    iter = (tstore_iter *)&size;
    REFUSES("prefix", tstore_scan(db, NULL, 1, &iter, e));
    CHECK(iter == NULL);
    REFUSES("iter", tstore_scan(db, NULL, 0, NULL, e));
    REFUSES("iter", tstore_iter_next(NULL, NULL, NULL, NULL, NULL, e));
    CHECK(tstore_iter_value_type(NULL) == TSTORE_E_INVALID_ARGUMENT);
    tstore_iter_free(NULL);

    CHECK(tstore_value_data(NULL) == NULL);
    CHECK(tstore_value_size(NULL) == 0);
    CHECK(tstore_value_type(NULL) == TSTORE_E_INVALID_ARGUMENT);
    tstore_value_free(NULL);

    /* Not one of these calls wrote anything. */
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.records == 0);
}

static void the_types(tstore *db) {
    int64_t i;
    uint64_t u;
    double f;
    int32_t b;
    char buffer[8];
    size_t size;
    REFUSES("db", tstore_put_string(NULL, "k", 1, "v", 1, e));
    REFUSES("key", tstore_put_string(db, NULL, 1, "v", 1, e));
    REFUSES("string", tstore_put_string(db, "k", 1, NULL, 1, e));
    REFUSES("db", tstore_get_string(NULL, "k", 1, buffer, sizeof buffer, &size, e));
    REFUSES("key", tstore_get_string(db, NULL, 1, buffer, sizeof buffer, &size, e));
    REFUSES("buffer", tstore_get_string(db, "k", 1, NULL, sizeof buffer, &size, e));
    REFUSES("string_size", tstore_get_string(db, "k", 1, buffer, sizeof buffer, NULL, e));
    REFUSES("db", tstore_put_i64(NULL, "k", 1, 1, e));
    REFUSES("key", tstore_put_i64(db, NULL, 1, 1, e));
    REFUSES("db", tstore_get_i64(NULL, "k", 1, &i, e));
    REFUSES("key", tstore_get_i64(db, NULL, 1, &i, e));
    REFUSES("value", tstore_get_i64(db, "k", 1, NULL, e));
    REFUSES("db", tstore_put_u64(NULL, "k", 1, 1, e));
    REFUSES("key", tstore_put_u64(db, NULL, 1, 1, e));
    REFUSES("db", tstore_get_u64(NULL, "k", 1, &u, e));
    REFUSES("key", tstore_get_u64(db, NULL, 1, &u, e));
    REFUSES("value", tstore_get_u64(db, "k", 1, NULL, e));
    REFUSES("db", tstore_put_f64(NULL, "k", 1, 1, e));
    REFUSES("key", tstore_put_f64(db, NULL, 1, 1, e));
    REFUSES("db", tstore_get_f64(NULL, "k", 1, &f, e));
    REFUSES("key", tstore_get_f64(db, NULL, 1, &f, e));
    REFUSES("value", tstore_get_f64(db, "k", 1, NULL, e));
    REFUSES("db", tstore_put_bool(NULL, "k", 1, 1, e));
    REFUSES("key", tstore_put_bool(db, NULL, 1, 1, e));
    REFUSES("db", tstore_get_bool(NULL, "k", 1, &b, e));
    REFUSES("key", tstore_get_bool(db, NULL, 1, &b, e));
    REFUSES("value", tstore_get_bool(db, "k", 1, NULL, e));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
}

static void the_options(void) {
    tstore_options *options = NULL;
    REFUSES("options", tstore_options_create(NULL, e));
    REFUSES("options", tstore_options_set_create_if_missing(NULL, 1, e));
    REFUSES("options", tstore_options_set_error_if_exists(NULL, 1, e));
    REFUSES("options", tstore_options_set_sync_mode(NULL, TSTORE_SYNC_ALWAYS, 0, e));
    REFUSES("options", tstore_options_set_write_mode(NULL, TSTORE_WRITE_MODE_AUTO, e));
    REFUSES("options", tstore_options_set_segment_size_max(NULL, 4 << 20, e));
    tstore_options_free(NULL);

    OK(tstore_options_create(&options, &err));
    REFUSES("mode", tstore_options_set_sync_mode(options, 3, 0, e));
    REFUSES("mode", tstore_options_set_sync_mode(options, -1, 0, e));
    REFUSES("interval_ms", tstore_options_set_sync_mode(options, TSTORE_SYNC_ALWAYS, 5, e));
    REFUSES("interval", tstore_options_set_sync_mode(options, TSTORE_SYNC_INTERVAL, 3600001, e));
    REFUSES("interval", tstore_options_set_sync_mode(options, TSTORE_SYNC_INTERVAL, UINT64_MAX, e));
    REFUSES("mode", tstore_options_set_write_mode(options, 3, e));
    REFUSES("mode", tstore_options_set_write_mode(options, INT32_MAX, e));
    REFUSES("segment_size_max", tstore_options_set_segment_size_max(options, 0, e));
    REFUSES("segment_size_max", tstore_options_set_segment_size_max(options, (4 << 20) + 1, e));
    REFUSES("segment_size_max", tstore_options_set_segment_size_max(options, UINT64_MAX, e));
    OK(tstore_options_set_segment_size_max(options, UINT64_C(4) << 30, &err));
    tstore_options_free(options);
}

static void the_import(tstore *db) {
    tstore_import_report report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    REFUSES("db", tstore_import_go(NULL, "file", 0, NULL, NULL, &report, e));
    REFUSES("path", tstore_import_go(db, NULL, 0, NULL, NULL, &report, e));
    REFUSES("flags", tstore_import_go(db, "file", 4, never_called, NULL, &report, e));
    REFUSES("report", tstore_import_go(db, "file", TSTORE_IMPORT_KEEP_GOING, NULL, NULL, NULL, e));
    report.struct_size = 175;
    REFUSES("report->struct_size", tstore_import_go(db, "file", 0, NULL, NULL, &report, e));
}

static void the_iterators(tstore *db) {
    tstore_iter *iter = (tstore_iter *)&err;
    size_t count, used;
    char buffer[16];
    REFUSES("db", tstore_scan_range(NULL, "a", 1, "b", 1, 0, &iter, e));
    CHECK(iter == NULL);
    REFUSES("from", tstore_scan_range(db, NULL, 1, "b", 1, 0, &iter, e));
    REFUSES("to", tstore_scan_range(db, "a", 1, NULL, 1, 0, &iter, e));
    REFUSES("flags", tstore_scan_range(db, "a", 1, "b", 1, 32, &iter, e));
    REFUSES("flags", tstore_scan_range(db, "a", 1, "b", 1, UINT32_MAX, &iter, e));
    REFUSES("to", tstore_scan_range(db, "a", 1, "b", 1, TSTORE_SCAN_PREFIX, &iter, e));
    REFUSES("flags", tstore_scan_range(db, "a", 1, NULL, 0, TSTORE_SCAN_PREFIX | TSTORE_SCAN_TO_INCLUSIVE, &iter, e));
    REFUSES("flags",
            tstore_scan_range(db, "a", 1, NULL, 0, TSTORE_SCAN_PREFIX | TSTORE_SCAN_FROM_EXCLUSIVE, &iter, e));
    CHECK(iter == NULL);
    REFUSES("iter", tstore_scan_range(db, "a", 1, "b", 1, 0, NULL, e));
    STATUS(TSTORE_E_TOO_LARGE, tstore_scan_range(db, "a", 1, "b", TSTORE_KEY_SIZE_MAX + 1, 0, &iter, &err));
    OK(tstore_scan_range(db, "a", 1, "b", 1, TSTORE_SCAN_BACKWARD, &iter, &err));
    REFUSES("iter", tstore_iter_seek(NULL, "a", 1, e));
    REFUSES("key", tstore_iter_seek(iter, NULL, 1, e));
    STATUS(TSTORE_E_TOO_LARGE, tstore_iter_seek(iter, "a", TSTORE_KEY_SIZE_MAX + 1, &err));
    REFUSES("iter", tstore_iter_next_batch(NULL, buffer, sizeof buffer, &count, &used, e));
    REFUSES("buffer", tstore_iter_next_batch(iter, NULL, 1, &count, &used, e));
    REFUSES("used", tstore_iter_next_batch(iter, buffer, sizeof buffer, &count, NULL, e));
    NO_MORE(iter);
    tstore_iter_free(iter);
}

static void the_updates(tstore *db) {
    tstore_value *value = (tstore_value *)&err;
    int64_t i = 7;
    uint64_t u = 7;
    size_t size = 7;
    const int32_t is = TSTORE_EXPECT_VALUE;
    REFUSES("db", tstore_compare_and_swap(NULL, "k", 1, is, "a", 1, "b", 1, e));
    REFUSES("key", tstore_compare_and_swap(db, NULL, 1, is, "a", 1, "b", 1, e));
    REFUSES("expected", tstore_compare_and_swap(db, "k", 1, is, NULL, 1, "b", 1, e));
    REFUSES("value", tstore_compare_and_swap(db, "k", 1, is, "a", 1, NULL, 1, e));
    REFUSES("expectation", tstore_compare_and_swap(db, "k", 1, 3, NULL, 0, "b", 1, e));
    REFUSES("expectation", tstore_compare_and_swap(db, "k", 1, -1, "a", 1, "b", 1, e));
    REFUSES("expected", tstore_compare_and_swap(db, "k", 1, TSTORE_EXPECT_ABSENT, "a", 1, "b", 1, e));
    REFUSES("expected", tstore_compare_and_swap(db, "k", 1, TSTORE_EXPECT_ANY, "a", 1, "b", 1, e));
    REFUSES("db", tstore_compare_and_delete(NULL, "k", 1, "a", 1, e));
    REFUSES("key", tstore_compare_and_delete(db, NULL, 1, "a", 1, e));
    REFUSES("expected", tstore_compare_and_delete(db, "k", 1, NULL, 1, e));
    REFUSES("db", tstore_put_if_absent(NULL, "k", 1, "a", 1, e));
    REFUSES("key", tstore_put_if_absent(db, NULL, 1, "a", 1, e));
    REFUSES("value", tstore_put_if_absent(db, "k", 1, NULL, 1, e));
    REFUSES("db", tstore_take(NULL, "k", 1, &value, e));
    CHECK(value == NULL);
    REFUSES("key", tstore_take(db, NULL, 1, &value, e));
    REFUSES("value", tstore_take(db, "k", 1, NULL, e));
    REFUSES("db", tstore_increment_i64(NULL, "k", 1, 1, &i, e));
    REFUSES("key", tstore_increment_i64(db, NULL, 1, 1, &i, e));
    REFUSES("sum", tstore_increment_i64(db, "k", 1, 1, (int64_t *)((char *)&i + 1), e));
    REFUSES("db", tstore_increment_u64(NULL, "k", 1, 1, &u, e));
    REFUSES("key", tstore_increment_u64(db, NULL, 1, 1, &u, e));
    REFUSES("sum", tstore_increment_u64(db, "k", 1, 1, (uint64_t *)((char *)&u + 1), e));
    REFUSES("db", tstore_append(NULL, "k", 1, "a", 1, &size, e));
    REFUSES("key", tstore_append(db, NULL, 1, "a", 1, &size, e));
    REFUSES("bytes", tstore_append(db, "k", 1, NULL, 1, &size, e));
    REFUSES("db", tstore_delete_range(NULL, "a", 1, "z", 1, &u, e));
    REFUSES("from", tstore_delete_range(db, NULL, 1, "z", 1, &u, e));
    REFUSES("to", tstore_delete_range(db, "a", 1, NULL, 1, &u, e));
    REFUSES("count", tstore_delete_range(db, "a", 1, "z", 1, (uint64_t *)((char *)&u + 1), e));
    CHECK(i == 7 && u == 7 && size == 7);
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
}

static void the_expiry(tstore *db) {
    int64_t ms = 7;
    REFUSES("db", tstore_put_until(NULL, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 0, 0, e));
    REFUSES("key", tstore_put_until(db, NULL, 1, "v", 1, TSTORE_TYPE_BYTES, 0, 0, e));
    REFUSES("value", tstore_put_until(db, "k", 1, NULL, 1, TSTORE_TYPE_BYTES, 0, 0, e));
    REFUSES("value_type", tstore_put_until(db, "k", 1, "v", 1, 7, 0, 0, e));
    REFUSES("expires_at", tstore_put_until(db, "k", 1, "v", 1, TSTORE_TYPE_BYTES, -1, 0, e));
    REFUSES("flags", tstore_put_until(db, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 0, 4, e));
    REFUSES("db", tstore_expire(NULL, "k", 1, 0, e));
    REFUSES("key", tstore_expire(db, NULL, 1, 0, e));
    REFUSES("expires_at", tstore_expire(db, "k", 1, INT64_MIN, e));
    REFUSES("db", tstore_persist(NULL, "k", 1, e));
    REFUSES("key", tstore_persist(db, NULL, 1, e));
    REFUSES("db", tstore_remaining(NULL, "k", 1, &ms, e));
    REFUSES("key", tstore_remaining(db, NULL, 1, &ms, e));
    REFUSES("ms", tstore_remaining(db, "k", 1, NULL, e));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
}

static void the_batches(tstore *db) {
    tstore_batch *batch = NULL;
    REFUSES("batch", tstore_batch_create(NULL, e));
    OK(tstore_batch_create(&batch, &err));
    REFUSES("batch", tstore_batch_put(NULL, "k", 1, "v", 1, e));
    REFUSES("key", tstore_batch_put(batch, NULL, 1, "v", 1, e));
    REFUSES("value", tstore_batch_put(batch, "k", 1, NULL, 1, e));
    REFUSES("batch", tstore_batch_put_until(NULL, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("key", tstore_batch_put_until(batch, NULL, 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value", tstore_batch_put_until(batch, "k", 1, NULL, 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value_type", tstore_batch_put_until(batch, "k", 1, "v", 1, -1, 0, e));
    REFUSES("expires_at", tstore_batch_put_until(batch, "k", 1, "v", 1, TSTORE_TYPE_BYTES, -1, e));
    REFUSES("batch", tstore_batch_delete(NULL, "k", 1, e));
    REFUSES("key", tstore_batch_delete(batch, NULL, 1, e));
    REFUSES("batch", tstore_batch_delete_range(NULL, "a", 1, "b", 1, e));
    REFUSES("from", tstore_batch_delete_range(batch, NULL, 1, "b", 1, e));
    REFUSES("to", tstore_batch_delete_range(batch, "a", 1, NULL, 1, e));
    REFUSES("batch", tstore_batch_clear(NULL, e));
    CHECK(tstore_batch_count(NULL) == 0 && tstore_batch_count((tstore_batch *)db) == 0);
    CHECK(tstore_batch_count(batch) == 0);
    OK(tstore_batch_put(batch, "k", 1, "v", 1, &err));
    REFUSES("db", tstore_write(NULL, batch, 0, e));
    REFUSES("batch", tstore_write(db, NULL, 0, e));
    REFUSES("batch", tstore_write(db, (tstore_batch *)db, 0, e));
    REFUSES("flags", tstore_write(db, batch, 4, e));
    REFUSES("flags", tstore_write(db, batch, TSTORE_WRITE_WAIT | TSTORE_WRITE_NO_WAIT, e));
    tstore_batch_free(NULL);
    tstore_batch_free((tstore_batch *)db);
    tstore_batch_free(batch);
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
}

static void the_snapshots(tstore *db) {
    tstore_snapshot *snapshot = (tstore_snapshot *)&err;
    tstore_value *value = (tstore_value *)&err;
    tstore_iter *iter = (tstore_iter *)&err;
    size_t size = 7, key_size = 1, used = 7;
    char buffer[8];
    REFUSES("db", tstore_snapshot_create(NULL, &snapshot, e));
    CHECK(snapshot == NULL);
    REFUSES("snapshot", tstore_snapshot_create(db, NULL, e));
    REFUSES("snapshot", tstore_snapshot_exists((tstore_snapshot *)db, "k", 1, e));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    REFUSES("snapshot", tstore_snapshot_get(NULL, "k", 1, buffer, sizeof buffer, &size, e));
    REFUSES("key", tstore_snapshot_get(snapshot, NULL, 1, buffer, sizeof buffer, &size, e));
    REFUSES("buffer", tstore_snapshot_get(snapshot, "k", 1, NULL, 1, &size, e));
    REFUSES("value_size", tstore_snapshot_get(snapshot, "k", 1, buffer, sizeof buffer, NULL, e));
    REFUSES("snapshot", tstore_snapshot_get_value(NULL, "k", 1, &value, e));
    CHECK(value == NULL);
    REFUSES("key", tstore_snapshot_get_value(snapshot, NULL, 1, &value, e));
    REFUSES("value", tstore_snapshot_get_value(snapshot, "k", 1, NULL, e));
    REFUSES("snapshot", tstore_snapshot_exists(NULL, "k", 1, e));
    REFUSES("key", tstore_snapshot_exists(snapshot, NULL, 1, e));
    REFUSES("db", tstore_get_many(NULL, 1, "k", &key_size, buffer, sizeof buffer, &size, &used, e));
    REFUSES("keys", tstore_get_many(db, 1, NULL, &key_size, buffer, sizeof buffer, &size, &used, e));
    REFUSES("key_sizes", tstore_get_many(db, 1, "k", NULL, buffer, sizeof buffer, &size, &used, e));
    REFUSES("buffer", tstore_get_many(db, 1, "k", &key_size, NULL, 1, &size, &used, e));
    REFUSES("value_sizes", tstore_get_many(db, 1, "k", &key_size, buffer, sizeof buffer, NULL, &used, e));
    REFUSES("used", tstore_get_many(db, 1, "k", &key_size, buffer, sizeof buffer, &size, NULL, e));
    REFUSES("key_sizes", tstore_get_many(db, 1, "k", (size_t *)((char *)&key_size + 1), NULL, 0, &size, &used, e));
    REFUSES("snapshot", tstore_snapshot_get_many(NULL, 1, "k", &key_size, buffer, 8, &size, &used, e));
    REFUSES("keys", tstore_snapshot_get_many(snapshot, 1, NULL, &key_size, buffer, 8, &size, &used, e));
    REFUSES("key_sizes", tstore_snapshot_get_many(snapshot, 1, "k", NULL, buffer, 8, &size, &used, e));
    REFUSES("buffer", tstore_snapshot_get_many(snapshot, 1, "k", &key_size, NULL, 8, &size, &used, e));
    REFUSES("value_sizes", tstore_snapshot_get_many(snapshot, 1, "k", &key_size, buffer, 8, NULL, &used, e));
    REFUSES("used", tstore_snapshot_get_many(snapshot, 1, "k", &key_size, buffer, 8, &size, NULL, e));
    REFUSES("snapshot", tstore_snapshot_scan(NULL, NULL, 0, NULL, 0, 0, &iter, e));
    CHECK(iter == NULL);
    REFUSES("from", tstore_snapshot_scan(snapshot, NULL, 1, NULL, 0, 0, &iter, e));
    REFUSES("to", tstore_snapshot_scan(snapshot, NULL, 0, NULL, 1, 0, &iter, e));
    REFUSES("flags", tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, 32, &iter, e));
    REFUSES("iter", tstore_snapshot_scan(snapshot, NULL, 0, NULL, 0, 0, NULL, e));
    CHECK(size == 7 && used == 7 && tstore_snapshot_lsn(NULL) == 0);
    CHECK(tstore_snapshot_lsn((tstore_snapshot *)db) == 0);
    tstore_snapshot_free(NULL);
    tstore_snapshot_free((tstore_snapshot *)db);
    tstore_snapshot_free(snapshot);
}

static void the_transactions(tstore *db) {
    tstore_txn *txn = (tstore_txn *)&err;
    tstore_value *value = (tstore_value *)&err;
    tstore_iter *iter = (tstore_iter *)&err;
    size_t size = 7;
    uint64_t number = 7;
    char buffer[8];
    REFUSES("db", tstore_txn_begin(NULL, &txn, e));
    CHECK(txn == NULL);
    REFUSES("txn", tstore_txn_begin(db, NULL, e));
    REFUSES("txn", tstore_txn_commit((tstore_txn *)db, 0, e));
    OK(tstore_txn_begin(db, &txn, &err));
    REFUSES("txn", tstore_txn_get(NULL, "k", 1, buffer, sizeof buffer, &size, e));
    REFUSES("key", tstore_txn_get(txn, NULL, 1, buffer, sizeof buffer, &size, e));
    REFUSES("buffer", tstore_txn_get(txn, "k", 1, NULL, 1, &size, e));
    REFUSES("value_size", tstore_txn_get(txn, "k", 1, buffer, sizeof buffer, NULL, e));
    REFUSES("txn", tstore_txn_get_value(NULL, "k", 1, &value, e));
    CHECK(value == NULL);
    REFUSES("key", tstore_txn_get_value(txn, NULL, 1, &value, e));
    REFUSES("value", tstore_txn_get_value(txn, "k", 1, NULL, e));
    REFUSES("txn", tstore_txn_exists(NULL, "k", 1, e));
    REFUSES("key", tstore_txn_exists(txn, NULL, 1, e));
    REFUSES("txn", tstore_txn_put(NULL, "k", 1, "v", 1, e));
    REFUSES("key", tstore_txn_put(txn, NULL, 1, "v", 1, e));
    REFUSES("value", tstore_txn_put(txn, "k", 1, NULL, 1, e));
    REFUSES("txn", tstore_txn_put_until(NULL, "k", 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("key", tstore_txn_put_until(txn, NULL, 1, "v", 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value", tstore_txn_put_until(txn, "k", 1, NULL, 1, TSTORE_TYPE_BYTES, 0, e));
    REFUSES("value_type", tstore_txn_put_until(txn, "k", 1, "v", 1, 7, 0, e));
    REFUSES("expires_at", tstore_txn_put_until(txn, "k", 1, "v", 1, TSTORE_TYPE_BYTES, -1, e));
    REFUSES("txn", tstore_txn_delete(NULL, "k", 1, e));
    REFUSES("key", tstore_txn_delete(txn, NULL, 1, e));
    REFUSES("txn", tstore_txn_delete_range(NULL, "a", 1, "z", 1, &number, e));
    REFUSES("from", tstore_txn_delete_range(txn, NULL, 1, "z", 1, &number, e));
    REFUSES("to", tstore_txn_delete_range(txn, "a", 1, NULL, 1, &number, e));
    REFUSES("txn", tstore_txn_scan(NULL, NULL, 0, NULL, 0, 0, &iter, e));
    CHECK(iter == NULL);
    REFUSES("from", tstore_txn_scan(txn, NULL, 1, NULL, 0, 0, &iter, e));
    REFUSES("to", tstore_txn_scan(txn, NULL, 0, NULL, 1, 0, &iter, e));
    REFUSES("flags", tstore_txn_scan(txn, NULL, 0, NULL, 0, 32, &iter, e));
    REFUSES("iter", tstore_txn_scan(txn, NULL, 0, NULL, 0, 0, NULL, e));
    REFUSES("txn", tstore_txn_savepoint(NULL, &number, e));
    REFUSES("savepoint", tstore_txn_savepoint(txn, NULL, e));
    REFUSES("txn", tstore_txn_rollback_to(NULL, 1, e));
    REFUSES("savepoint", tstore_txn_rollback_to(txn, 1, e));
    REFUSES("txn", tstore_txn_commit(NULL, 0, e));
    REFUSES("flags", tstore_txn_commit(txn, 4, e));
    REFUSES("flags", tstore_txn_commit(txn, TSTORE_WRITE_WAIT | TSTORE_WRITE_NO_WAIT, e));
    REFUSES("txn", tstore_txn_rollback(NULL, e));
    CHECK(size == 7 && number == 7);
    /* Still running, in spite of all this. */
    OK(tstore_txn_commit(txn, 0, &err));
    tstore_txn_free(NULL);
    tstore_txn_free((tstore_txn *)db);
    tstore_txn_free(txn);
}

static void wrong_handles(tstore *db) {
    /* Something that is no handle at all, and an address where none can be. */
    uint64_t words[64] = {0};
    void *odd = (char *)words + 1;
    tstore_iter *iter = NULL;
    tstore_value *value = NULL;
    tstore_options *options = NULL;
    tstore_snapshot *snapshot = NULL;
    tstore_txn *txn = NULL;
    tstore_batch *batch = NULL;
    tstore *out = NULL;
    size_t size = 0;
    OK(tstore_put(db, "k", 1, "v", 1, &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    OK(tstore_get_value(db, "k", 1, &value, &err));
    OK(tstore_options_create(&options, &err));
    OK(tstore_snapshot_create(db, &snapshot, &err));
    OK(tstore_txn_begin(db, &txn, &err));
    OK(tstore_batch_create(&batch, &err));
    void *const wrong_stores[] = {iter, value, options, snapshot, txn, batch, words, odd};
    for (size_t i = 0; i < sizeof wrong_stores / sizeof *wrong_stores; i++) {
        tstore *wrong = (tstore *)wrong_stores[i];
        REFUSES("db", tstore_put(wrong, "k", 1, "x", 1, e));
        REFUSES("db", tstore_get(wrong, "k", 1, NULL, 0, &size, e));
        REFUSES("db", tstore_sync(wrong, e));
        REFUSES("db", tstore_close(wrong, e));
    }
    REFUSES("misaligned", tstore_sync((tstore *)odd, e));
    REFUSES("misaligned", tstore_get(db, "k", 1, NULL, 0, (size_t *)odd, e));
    REFUSES("misaligned", tstore_stat(db, (tstore_stats *)odd, e));
    CHECK(tstore_sync(db, (tstore_error *)odd) == TSTORE_OK);
    REFUSES("iter", tstore_iter_next((tstore_iter *)db, NULL, NULL, NULL, NULL, e));
    REFUSES("iter", tstore_iter_next((tstore_iter *)words, NULL, NULL, NULL, NULL, e));
    REFUSES("options", tstore_open("another.db", (tstore_options *)db, &out, e));
    REFUSES("snapshot", tstore_snapshot_exists((tstore_snapshot *)txn, "k", 1, e));
    REFUSES("txn", tstore_txn_exists((tstore_txn *)snapshot, "k", 1, e));
    REFUSES("txn", tstore_txn_rollback((tstore_txn *)batch, e));
    REFUSES("batch", tstore_batch_clear((tstore_batch *)txn, e));
    REFUSES("iter", tstore_iter_seek((tstore_iter *)snapshot, "k", 1, e));
    REFUSES("snapshot", tstore_snapshot_exists((tstore_snapshot *)odd, "k", 1, e));
    REFUSES("txn", tstore_txn_exists((tstore_txn *)words, "k", 1, e));
    CHECK(tstore_value_data((tstore_value *)iter) == NULL);
    CHECK(tstore_value_size((tstore_value *)words) == 0);
    /* Freeing what is not of the type does nothing: all of them are still usable. */
    tstore_iter_free((tstore_iter *)value);
    tstore_value_free((tstore_value *)iter);
    tstore_options_free((tstore_options *)db);
    tstore_value_free((tstore_value *)words);
    OK(tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
    CHECK(tstore_value_size(value) == 1);
    OK(tstore_sync(db, &err));
    tstore_snapshot_free((tstore_snapshot *)txn);
    tstore_txn_free((tstore_txn *)batch);
    tstore_batch_free((tstore_batch *)snapshot);
    OK(tstore_snapshot_exists(snapshot, "k", 1, &err));
    OK(tstore_txn_commit(txn, 0, &err));
    OK(tstore_write(db, batch, 0, &err));
    tstore_snapshot_free(snapshot);
    tstore_txn_free(txn);
    tstore_batch_free(batch);
    tstore_options_free(options);
    tstore_value_free(value);
    tstore_iter_free(iter);
}

static void functions_that_cannot_be_misused(void) {
    CHECK(strcmp(tstore_status_name(12345), "TSTORE_?") == 0);
    CHECK(strcmp(tstore_status_message(INT32_MIN), "unknown status") == 0);
    CHECK(tstore_status_is_retryable(12345) == 0);
    CHECK(tstore_sizeof_error() == sizeof(tstore_error));
    CHECK(tstore_version_string() != NULL && tstore_build_info() != NULL);
    CHECK(tstore_version_number() > 0 && tstore_abi_version() > 0);
    CHECK(tstore_key_size_max() > 0 && tstore_value_size_max() > 0);
    CHECK(tstore_absent() == TSTORE_ABSENT && tstore_clock_ms() > 0);
}

int main(void) {
    tstore *db = NULL;
    OK(tstore_open("misuse.db", NULL, &db, &err));
    the_store(db);
    the_types(db);
    the_options();
    the_import(db);
    the_iterators(db);
    the_updates(db);
    the_expiry(db);
    the_batches(db);
    the_snapshots(db);
    the_transactions(db);
    wrong_handles(db);
    functions_that_cannot_be_misused();
    OK(tstore_close(db, &err));
    return 0;
}
