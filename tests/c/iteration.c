/* A scan visits each record with its prefix once, in byte order; its end and a failure are different. */
#include "check.h"

static void order_is_that_of_unsigned_bytes(tstore *db) {
    static const struct {
        const char *bytes;
        size_t size;
    } keys[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"\0\1", 2}, {"a", 1}, {"a\0", 2}, {"aa", 2}, {"ab", 2},
                {"b", 1}, {"\x7f", 1}, {"\x80", 1}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}};
    const size_t count = sizeof keys / sizeof *keys;
    tstore_error err;
    tstore_iter *iter = NULL;
    const void *key, *value;
    size_t key_size, value_size;
    for (size_t i = 0; i < count; i++) {
        /* 5 and 14 share no factor, so this is every index once, out of order. */
        size_t at = i * 5 % count;
        OK(tstore_put(db, keys[at].bytes, keys[at].size, &at, sizeof at, &err));
    }
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    for (size_t i = 0; i < count; i++) {
        OK(tstore_iter_next(iter, &key, &key_size, &value, &value_size, &err));
        CHECK(key_size == keys[i].size && memcmp(key, keys[i].bytes, key_size) == 0);
        CHECK(value_size == sizeof i && memcmp(value, &i, sizeof i) == 0);
    }
    STATUS(TSTORE_END, tstore_iter_next(iter, &key, &key_size, &value, &value_size, &err));
    STATUS(TSTORE_END, tstore_iter_next(iter, &key, &key_size, &value, &value_size, &err));
    tstore_iter_free(iter);
    for (size_t i = 0; i < count; i++) OK(tstore_delete(db, keys[i].bytes, keys[i].size, &err));
    OK(tstore_scan(db, "", 0, &iter, &err));
    STATUS(TSTORE_END, tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
    tstore_iter_free(iter);
}

static size_t count_with_prefix(tstore *db, const char *prefix, size_t prefix_size) {
    tstore_error err;
    tstore_iter *iter = NULL;
    const void *key;
    size_t key_size, count = 0;
    int32_t status;
    OK(tstore_scan(db, prefix, prefix_size, &iter, &err));
    while ((status = tstore_iter_next(iter, &key, &key_size, NULL, NULL, &err)) == TSTORE_OK) {
        CHECK(key_size >= prefix_size && (prefix_size == 0 || memcmp(key, prefix, prefix_size) == 0));
        count++;
    }
    CHECK(status == TSTORE_END);
    tstore_iter_free(iter);
    return count;
}

static void a_prefix_bounds_the_scan(tstore *db) {
    tstore_error err;
    OK(tstore_put(db, BYTES("user:1"), BYTES("a"), &err));
    OK(tstore_put(db, BYTES("user:2"), BYTES("b"), &err));
    OK(tstore_put(db, BYTES("user;"), BYTES("c"), &err));
    OK(tstore_put(db, BYTES("user"), BYTES("d"), &err));
    OK(tstore_put(db, BYTES("\xff\xff""1"), BYTES("e"), &err));
    CHECK(count_with_prefix(db, BYTES("")) == 5);
    CHECK(count_with_prefix(db, BYTES("user")) == 4);
    CHECK(count_with_prefix(db, BYTES("user:")) == 2);
    CHECK(count_with_prefix(db, BYTES("user:1")) == 1);
    CHECK(count_with_prefix(db, BYTES("user:11")) == 0);
    CHECK(count_with_prefix(db, BYTES("v")) == 0);
    CHECK(count_with_prefix(db, BYTES("\xff\xff")) == 1);
    CHECK(count_with_prefix(db, BYTES("\xff\xff\xff")) == 0);
}

static void a_record_has_its_type_and_value(tstore *db) {
    tstore_error err;
    tstore_iter *iter = NULL;
    const void *value;
    size_t size;
    OK(tstore_put(db, BYTES("t:0"), NULL, 0, &err));
    OK(tstore_put_string(db, BYTES("t:1"), BYTES("text"), &err));
    OK(tstore_put_i64(db, BYTES("t:2"), 7, &err));
    OK(tstore_put_u64(db, BYTES("t:3"), 7, &err));
    OK(tstore_put_f64(db, BYTES("t:4"), 7, &err));
    OK(tstore_put_bool(db, BYTES("t:5"), 1, &err));
    OK(tstore_scan(db, BYTES("t:"), &iter, &err));
    CHECK(tstore_iter_value_type(iter) == TSTORE_E_INVALID_ARGUMENT);
    for (int32_t type = TSTORE_TYPE_BYTES; type <= TSTORE_TYPE_BOOL; type++) {
        OK(tstore_iter_next(iter, NULL, NULL, &value, &size, &err));
        CHECK(tstore_iter_value_type(iter) == type);
        CHECK(value != NULL);
        if (type == TSTORE_TYPE_BYTES) CHECK(size == 0);
        if (type == TSTORE_TYPE_STRING) CHECK(size == 4 && memcmp(value, "text", 4) == 0);
        if (type == TSTORE_TYPE_I64) CHECK(size == 8 && memcmp(value, "\x07\0\0\0\0\0\0\0", 8) == 0);
        if (type == TSTORE_TYPE_BOOL) CHECK(size == 1 && memcmp(value, "\x01", 1) == 0);
    }
    STATUS(TSTORE_END, tstore_iter_next(iter, NULL, NULL, &value, &size, &err));
    CHECK(tstore_iter_value_type(iter) == TSTORE_E_INVALID_ARGUMENT);
    tstore_iter_free(iter);
}

static void many_records_are_all_visited(tstore *db) {
    enum { COUNT = 5000 };
    tstore_error err;
    tstore_iter *iter = NULL;
    const void *key;
    size_t key_size;
    char expected[16];
    for (unsigned i = 0; i < COUNT; i++) {
        /* 7919 is a prime, so this is every number below COUNT once. */
        snprintf(expected, sizeof expected, "many:%06u", i * 7919u % COUNT);
        OK(tstore_put_with(db, expected, 11, expected, 11, TSTORE_TYPE_STRING, TSTORE_WRITE_NO_WAIT, &err));
    }
    OK(tstore_scan(db, BYTES("many:"), &iter, &err));
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(expected, sizeof expected, "many:%06u", i);
        OK(tstore_iter_next(iter, &key, &key_size, NULL, NULL, &err));
        CHECK(key_size == 11 && memcmp(key, expected, 11) == 0);
    }
    STATUS(TSTORE_END, tstore_iter_next(iter, &key, &key_size, NULL, NULL, &err));
    tstore_iter_free(iter);
}

int main(void) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open("iteration.db", NULL, &db, &err));
    order_is_that_of_unsigned_bytes(db);
    a_prefix_bounds_the_scan(db);
    a_record_has_its_type_and_value(db);
    many_records_are_all_visited(db);
    OK(tstore_close(db, &err));
    return 0;
}
