/* Sizes at the limits work; sizes over them are refused before a byte is read. */
#include "check.h"

static void keys(tstore *db) {
    tstore_error err;
    tstore_iter *iter = NULL;
    tstore_value *value = NULL;
    const void *key = NULL;
    size_t size = 0;
    char *longest = (char *)malloc(TSTORE_KEY_SIZE_MAX + 1);
    CHECK(longest != NULL);
    memset(longest, 'k', TSTORE_KEY_SIZE_MAX + 1);
    OK(tstore_put(db, longest, TSTORE_KEY_SIZE_MAX, BYTES("of the longest key"), &err));
    OK(tstore_exists(db, longest, TSTORE_KEY_SIZE_MAX, &err));
    OK(tstore_scan(db, longest, TSTORE_KEY_SIZE_MAX, &iter, &err));
    OK(tstore_iter_next(iter, &key, &size, NULL, NULL, &err));
    CHECK(size == TSTORE_KEY_SIZE_MAX && memcmp(key, longest, size) == 0);
    tstore_iter_free(iter);
    OK(tstore_delete(db, longest, TSTORE_KEY_SIZE_MAX, &err));

    STATUS(TSTORE_E_TOO_LARGE, tstore_put(db, longest, 65536, BYTES("x"), &err));
    CHECK(strstr(err.message, "65536") != NULL && strstr(err.message, "65535") != NULL);
    STATUS(TSTORE_E_TOO_LARGE, tstore_put_i64(db, longest, 65536, 1, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_get(db, longest, 65536, NULL, 0, &size, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_exists(db, longest, 65536, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_delete(db, longest, 65536, &err));
    free(longest);

    /* The key has one byte: reading any more of it would be noticed by valgrind or the sanitizers. */
    char *tiny = (char *)malloc(1);
    CHECK(tiny != NULL);
    *tiny = 'k';
    STATUS(TSTORE_E_TOO_LARGE, tstore_put(db, tiny, SIZE_MAX, BYTES("x"), &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_get_value(db, tiny, SIZE_MAX / 2, &value, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_scan(db, tiny, SIZE_MAX, &iter, &err));
    CHECK(value == NULL && iter == NULL);
    free(tiny);
}

static void values(tstore *db) {
    tstore_error err;
    const size_t large = (size_t)5 << 20;
    tstore_value *value = NULL;
    char *bytes = (char *)malloc(large), *tiny = (char *)malloc(1);
    CHECK(bytes != NULL && tiny != NULL);
    for (size_t i = 0; i < large; i++) bytes[i] = (char)(i * 31 >> 3);
    OK(tstore_put(db, BYTES("large"), bytes, large, &err));
    OK(tstore_get_value(db, BYTES("large"), &value, &err));
    CHECK(tstore_value_size(value) == large && memcmp(tstore_value_data(value), bytes, large) == 0);
    tstore_value_free(value);
    free(bytes);

    *tiny = 'v';
    OK(tstore_put(db, BYTES("k"), BYTES("as it was"), &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_put(db, BYTES("k"), tiny, (size_t)TSTORE_VALUE_SIZE_MAX + 1, &err));
    CHECK(strstr(err.message, "1073741825") != NULL);
    STATUS(TSTORE_E_TOO_LARGE, tstore_put(db, BYTES("k"), tiny, SIZE_MAX, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_put_with(db, BYTES("k"), tiny, SIZE_MAX, TSTORE_TYPE_BYTES, 0, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_put_string(db, BYTES("k"), tiny, SIZE_MAX, &err));
    VALUE_IS(db, "k", "as it was");
    free(tiny);
}

int main(void) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open("limits.db", NULL, &db, &err));
    keys(db);
    values(db);
    OK(tstore_close(db, &err));
    OK(tstore_open("limits.db", NULL, &db, &err));
    size_t size = 0;
    OK(tstore_describe(db, BYTES("large"), &size, NULL, &err));
    CHECK(size == (size_t)5 << 20);
    OK(tstore_close(db, &err));
    return 0;
}
