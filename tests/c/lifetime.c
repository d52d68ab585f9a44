/* Iterators and values outlive their store without harm, and are freed in any order. */
#include "check.h"

static tstore *open_with_records(const char *path) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open(path, NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("value of a"), &err));
    OK(tstore_put(db, BYTES("b"), BYTES("value of b"), &err));
    OK(tstore_put(db, BYTES("c"), BYTES("value of c"), &err));
    return db;
}

static void an_iterator_of_a_closed_store_answers_closed(void) {
    tstore_error err;
    tstore_iter *started = NULL, *fresh = NULL, *ended = NULL;
    tstore *db = open_with_records("iter.db");
    const void *key = NULL;
    size_t key_size = 0;
    OK(tstore_scan(db, NULL, 0, &started, &err));
    OK(tstore_iter_next(started, &key, &key_size, NULL, NULL, &err));
    OK(tstore_scan(db, NULL, 0, &fresh, &err));
    OK(tstore_scan(db, BYTES("none"), &ended, &err));
    STATUS(TSTORE_END, tstore_iter_next(ended, NULL, NULL, NULL, NULL, &err));
    OK(tstore_close(db, &err));
    /* What was borrowed before stays borrowed until the next call on the iterator. */
    CHECK(key_size == 1 && memcmp(key, "a", 1) == 0);
    for (int i = 0; i < 3; i++) {
        STATUS(TSTORE_E_CLOSED, tstore_iter_next(started, &key, &key_size, NULL, NULL, &err));
        STATUS(TSTORE_E_CLOSED, tstore_iter_next(fresh, &key, &key_size, NULL, NULL, &err));
        STATUS(TSTORE_END, tstore_iter_next(ended, &key, &key_size, NULL, NULL, &err));
        CHECK(tstore_iter_value_type(started) == TSTORE_E_INVALID_ARGUMENT);
    }
    tstore_iter_free(fresh);
    tstore_iter_free(started);
    tstore_iter_free(ended);
}

static void a_value_of_a_closed_store_keeps_its_bytes(void) {
    tstore_error err;
    tstore_value *first = NULL, *second = NULL;
    tstore *db = open_with_records("value.db");
    OK(tstore_get_value(db, BYTES("a"), &first, &err));
    OK(tstore_get_value(db, BYTES("b"), &second, &err));
    OK(tstore_close(db, &err));
    CHECK(tstore_value_size(first) == 10 && memcmp(tstore_value_data(first), "value of a", 10) == 0);
    tstore_value_free(first);
    CHECK(tstore_value_size(second) == 10 && memcmp(tstore_value_data(second), "value of b", 10) == 0);
    tstore_value_free(second);
}

static void what_is_left_over_does_not_keep_the_store_locked(void) {
    tstore_error err;
    tstore_value *value = NULL;
    tstore_iter *iter = NULL;
    tstore *db = open_with_records("locked.db");
    OK(tstore_get_value(db, BYTES("a"), &value, &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    OK(tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
    OK(tstore_close(db, &err));
    OK(tstore_open("locked.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("new"), &err));
    VALUE_IS(db, "a", "new");
    /* The old iterator belongs to the handle that is gone, not to the new one. */
    STATUS(TSTORE_E_CLOSED, tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
    CHECK(memcmp(tstore_value_data(value), "value of a", 10) == 0);
    OK(tstore_close(db, &err));
    tstore_iter_free(iter);
    tstore_value_free(value);
}

static void options_may_go_as_soon_as_the_store_is_open(void) {
    tstore_error err;
    tstore_options *options = NULL;
    tstore *first = NULL, *second = NULL;
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_sync_mode(options, TSTORE_SYNC_ON_REQUEST, 0, &err));
    OK(tstore_open("first.db", options, &first, &err));
    OK(tstore_open("second.db", options, &second, &err));
    tstore_options_free(options);
    OK(tstore_put(first, BYTES("k"), BYTES("1"), &err));
    OK(tstore_put(second, BYTES("k"), BYTES("2"), &err));
    VALUE_IS(first, "k", "1");
    VALUE_IS(second, "k", "2");
    OK(tstore_close(first, &err));
    OK(tstore_close(second, &err));
}

int main(void) {
    an_iterator_of_a_closed_store_answers_closed();
    a_value_of_a_closed_store_keeps_its_bytes();
    what_is_left_over_does_not_keep_the_store_locked();
    options_may_go_as_soon_as_the_store_is_open();
    return 0;
}
