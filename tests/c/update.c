/* Changes that rest on the value before: made in one piece, or refused without a trace. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

static tstore *db;

static void a_value_is_swapped_for_the_expected_one_only(void) {
    tstore_error err;
    const int32_t value = TSTORE_EXPECT_VALUE, absent = TSTORE_EXPECT_ABSENT, any = TSTORE_EXPECT_ANY;
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, value, BYTES("x"), BYTES("1"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, value, NULL, 0, BYTES("1"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, any, NULL, 0, BYTES("1"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
    OK(tstore_compare_and_swap(db, "k", 1, absent, NULL, 0, BYTES("1"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, absent, NULL, 0, BYTES("2"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, value, BYTES("11"), BYTES("2"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_swap(db, "k", 1, value, NULL, 0, BYTES("2"), &err));
    VALUE_IS(db, "k", "1");
    OK(tstore_compare_and_swap(db, "k", 1, value, BYTES("1"), BYTES("2"), &err));
    OK(tstore_compare_and_swap(db, "k", 1, any, NULL, 0, NULL, 0, &err));
    VALUE_IS(db, "k", "");
    OK(tstore_compare_and_swap(db, "k", 1, value, NULL, 0, BYTES("3"), &err));
    VALUE_IS(db, "k", "3");
    STATUS(TSTORE_MISMATCH, tstore_compare_and_delete(db, "k", 1, BYTES("2"), &err));
    OK(tstore_compare_and_delete(db, "k", 1, BYTES("3"), &err));
    STATUS(TSTORE_MISMATCH, tstore_compare_and_delete(db, "k", 1, BYTES("3"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, "k", 1, &err));
}

static void the_first_put_wins_and_one_take_gets_it(void) {
    tstore_error err;
    tstore_value *value = NULL;
    OK(tstore_put_if_absent(db, BYTES("job"), BYTES("first"), &err));
    STATUS(TSTORE_EXISTS, tstore_put_if_absent(db, BYTES("job"), BYTES("second"), &err));
    OK(tstore_take(db, BYTES("job"), &value, &err));
    CHECK(tstore_value_size(value) == 5 && memcmp(tstore_value_data(value), "first", 5) == 0);
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("job"), &err));
    tstore_value_free(value);
    value = (tstore_value *)&err;
    STATUS(TSTORE_NOT_FOUND, tstore_take(db, BYTES("job"), &value, &err));
    CHECK(value == NULL);
    OK(tstore_put_u64(db, BYTES("typed"), 7, &err));
    OK(tstore_take(db, BYTES("typed"), &value, &err));
    CHECK(tstore_value_type(value) == TSTORE_TYPE_U64);
    tstore_value_free(value);
}

static void counters_add_and_refuse_what_is_out_of_range(void) {
    tstore_error err;
    int64_t i = 7, stored = 0;
    uint64_t u = 7;
    OK(tstore_increment_i64(db, BYTES("i"), -5, &i, &err));
    CHECK(i == -5);
    OK(tstore_increment_i64(db, BYTES("i"), 0, NULL, &err));
    OK(tstore_increment_i64(db, BYTES("i"), INT64_MIN + 5, &i, &err));
    CHECK(i == INT64_MIN);
    STATUS(TSTORE_E_OVERFLOW, tstore_increment_i64(db, BYTES("i"), -1, &i, &err));
    OK(tstore_increment_i64(db, BYTES("i"), INT64_MAX, &i, &err));
    CHECK(i == -1);
    OK(tstore_get_i64(db, BYTES("i"), &stored, &err));
    CHECK(stored == -1);
    STATUS(TSTORE_E_OVERFLOW, tstore_increment_u64(db, BYTES("u"), -1, &u, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("u"), &err));
    OK(tstore_put_u64(db, BYTES("u"), UINT64_MAX - 1, &err));
    OK(tstore_increment_u64(db, BYTES("u"), 1, &u, &err));
    CHECK(u == UINT64_MAX);
    STATUS(TSTORE_E_OVERFLOW, tstore_increment_u64(db, BYTES("u"), 1, &u, &err));
    OK(tstore_increment_u64(db, BYTES("u"), INT64_MIN, &u, &err));
    CHECK(u == (uint64_t)INT64_MAX);
    STATUS(TSTORE_WRONG_TYPE, tstore_increment_i64(db, BYTES("u"), 1, &i, &err));
    CHECK(err.detail == TSTORE_TYPE_U64);
    OK(tstore_put(db, BYTES("bytes"), "\0\0\0\0\0\0\0\0", 8, &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_increment_u64(db, BYTES("bytes"), 1, &u, &err));
    CHECK(err.detail == TSTORE_TYPE_BYTES && i == -1 && u == (uint64_t)INT64_MAX);
}

static void bytes_are_appended_to_bytes_and_text_to_text(void) {
    tstore_error err;
    size_t size = 0;
    int32_t type = -1;
    OK(tstore_append(db, BYTES("log"), BYTES("a"), &size, &err));
    OK(tstore_append(db, BYTES("log"), NULL, 0, NULL, &err));
    OK(tstore_append(db, BYTES("log"), BYTES("\xff"), &size, &err));
    CHECK(size == 2);
    VALUE_IS(db, "log", "a\xff");
    OK(tstore_put_string(db, BYTES("text"), BYTES("one"), &err));
    OK(tstore_append(db, BYTES("text"), BYTES(" two"), &size, &err));
    CHECK(size == 7);
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_append(db, BYTES("text"), BYTES("\xff"), &size, &err));
    VALUE_IS(db, "text", "one two");
    OK(tstore_describe(db, BYTES("text"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_STRING && size == 7);
    OK(tstore_put_i64(db, BYTES("number"), 1, &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_append(db, BYTES("number"), BYTES("1"), &size, &err));
    CHECK(err.detail == TSTORE_TYPE_I64);
    STATUS(TSTORE_E_TOO_LARGE,
           tstore_append(db, BYTES("text"), "x", (size_t)TSTORE_VALUE_SIZE_MAX + 1, &size, &err));
}

static void a_range_is_deleted_and_counted(void) {
    tstore_error err;
    tstore_iter *iter = NULL;
    uint64_t count = 99;
    char key[8];
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, NULL, &err));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%03d", i);
        OK(tstore_put_with(db, key, 3, key, 3, TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
    }
    OK(tstore_delete_range(db, BYTES("5"), BYTES("5"), &count, &err));
    CHECK(count == 0);
    OK(tstore_delete_range(db, BYTES("6"), BYTES("5"), &count, &err));
    CHECK(count == 0);
    OK(tstore_delete_range(db, BYTES("001"), BYTES("998"), &count, &err));
    CHECK(count == 997);
    OK(tstore_delete_range(db, BYTES("001"), BYTES("998"), &count, &err));
    CHECK(count == 0);
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    NEXT_IS(iter, "000", "000");
    NEXT_IS(iter, "998", "998");
    NEXT_IS(iter, "999", "999");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_delete_range(db, BYTES("999"), NULL, 0, &count, &err));
    CHECK(count == 1);
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, &count, &err));
    CHECK(count == 2);
}

enum { THREADS = 3, ROUNDS = 100 };

static void *count_up(void *unused) {
    tstore_error err;
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t seen = 0;
        size_t size = 0;
        OK(tstore_increment_u64(db, BYTES("counter"), 1, NULL, &err));
        /* The same by hand, until nobody came between. */
        for (int32_t status = TSTORE_MISMATCH; status != TSTORE_OK;) {
            uint64_t next = 1;
            status = tstore_get(db, BYTES("swapped"), &seen, sizeof seen, &size, &err);
            CHECK(status == TSTORE_OK || status == TSTORE_NOT_FOUND);
            if (status == TSTORE_OK) next = seen + 1;
            status = tstore_compare_and_swap(db, BYTES("swapped"),
                                             status == TSTORE_OK ? TSTORE_EXPECT_VALUE : TSTORE_EXPECT_ABSENT,
                                             &seen, status == TSTORE_OK ? sizeof seen : 0, &next, sizeof next,
                                             &err);
            CHECK(status == TSTORE_OK || status == TSTORE_MISMATCH);
        }
    }
    return NULL;
}

static void no_thread_loses_the_change_of_another(void) {
    pthread_t threads[THREADS];
    tstore_error err;
    uint64_t sum = 0;
    size_t size = 0;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, count_up, NULL) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    OK(tstore_get_u64(db, BYTES("counter"), &sum, &err));
    CHECK(sum == THREADS * ROUNDS);
    OK(tstore_get(db, BYTES("swapped"), &sum, sizeof sum, &size, &err));
    CHECK(size == sizeof sum && sum == THREADS * ROUNDS);
}

int main(void) {
    tstore_error err;
    tstore_options *options = NULL;
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_sync_mode(options, TSTORE_SYNC_ON_REQUEST, 0, &err));
    OK(tstore_open("update.db", options, &db, &err));
    tstore_options_free(options);
    a_value_is_swapped_for_the_expected_one_only();
    the_first_put_wins_and_one_take_gets_it();
    counters_add_and_refuse_what_is_out_of_range();
    bytes_are_appended_to_bytes_and_text_to_text();
    a_range_is_deleted_and_counted();
    no_thread_loses_the_change_of_another();
    OK(tstore_close(db, &err));
    return 0;
}
