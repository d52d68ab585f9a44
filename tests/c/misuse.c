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

static void wrong_handles(tstore *db) {
    /* Something that is no handle at all, and an address where none can be. */
    uint64_t words[64] = {0};
    void *odd = (char *)words + 1;
    tstore_iter *iter = NULL;
    tstore_value *value = NULL;
    tstore_options *options = NULL;
    tstore *out = NULL;
    size_t size = 0;
    OK(tstore_put(db, "k", 1, "v", 1, &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    OK(tstore_get_value(db, "k", 1, &value, &err));
    OK(tstore_options_create(&options, &err));
    void *const wrong_stores[] = {iter, value, options, words, odd};
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
}

int main(void) {
    tstore *db = NULL;
    OK(tstore_open("misuse.db", NULL, &db, &err));
    the_store(db);
    the_types(db);
    the_options();
    the_import(db);
    wrong_handles(db);
    functions_that_cannot_be_misused();
    OK(tstore_close(db, &err));
    return 0;
}
