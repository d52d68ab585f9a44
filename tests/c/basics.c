/* Open, put, get, update, delete, exists, describe, sync, stat, close: each does what the header says. */
#include "check.h"

/* The calling example of the design, word for word. */
static int example(void) {
    tstore *db = NULL;
    tstore_error err;
    if (tstore_open("my.db", NULL, &db, &err)) return 1;
    tstore_put(db, "exampleKey", 10, "exampleValue", 12, &err);
    char buf[64];
    size_t len;
    tstore_get(db, "exampleKey", 10, buf, sizeof buf, &len, &err);
    CHECK(len == 12 && memcmp(buf, "exampleValue", 12) == 0);
    return tstore_close(db, &err);
}

static void versions_of_header_and_library_agree(void) {
    char string[32];
    CHECK(strcmp(tstore_version_string(), TSTORE_VERSION_STRING) == 0);
    snprintf(string, sizeof string, "%d.%d.%d", TSTORE_VERSION_MAJOR, TSTORE_VERSION_MINOR,
             TSTORE_VERSION_PATCH);
    CHECK(strcmp(string, TSTORE_VERSION_STRING) == 0);
    CHECK(tstore_version_number() == TSTORE_VERSION_NUMBER);
    CHECK(TSTORE_VERSION_NUMBER ==
          TSTORE_VERSION_MAJOR * 1000000 + TSTORE_VERSION_MINOR * 1000 + TSTORE_VERSION_PATCH);
    CHECK(tstore_abi_version() == TSTORE_ABI_VERSION);
    CHECK(strstr(tstore_build_info(), TSTORE_VERSION_STRING) != NULL);
}

static void functions_for_constants_agree_with_them(void) {
    CHECK(tstore_key_size_max() == TSTORE_KEY_SIZE_MAX);
    CHECK(tstore_value_size_max() == TSTORE_VALUE_SIZE_MAX);
    CHECK(tstore_sizeof_error() == sizeof(tstore_error));
    CHECK(sizeof(tstore_error) == 312);
    CHECK(strcmp(tstore_status_name(TSTORE_E_LOCKED), "TSTORE_E_LOCKED") == 0);
    CHECK(strlen(tstore_status_message(TSTORE_E_LOCKED)) > 0);
    CHECK(tstore_status_is_retryable(TSTORE_E_CONFLICT) == 1);
    CHECK(tstore_status_is_retryable(TSTORE_E_CORRUPT) == 0);
    CHECK(tstore_status_is_retryable(TSTORE_OK) == 0);
}

static void put_get_update_delete(tstore *db) {
    tstore_error err;
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("a"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_delete(db, BYTES("a"), &err));
    OK(tstore_put(db, BYTES("a"), BYTES("one"), &err));
    OK(tstore_exists(db, BYTES("a"), &err));
    VALUE_IS(db, "a", "one");
    OK(tstore_put(db, BYTES("a"), BYTES("another one"), &err));
    VALUE_IS(db, "a", "another one");
    OK(tstore_put_with(db, BYTES("a"), BYTES("third"), TSTORE_TYPE_BYTES, 0, &err));
    OK(tstore_put_with(db, BYTES("a"), BYTES("fourth"), TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
    OK(tstore_put_with(db, BYTES("a"), BYTES("fifth"), TSTORE_TYPE_BYTES, TSTORE_WRITE_WAIT, &err));
    VALUE_IS(db, "a", "fifth");
    OK(tstore_delete(db, BYTES("a"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("a"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_delete(db, BYTES("a"), &err));
}

static void absent_and_empty_are_different(tstore *db) {
    tstore_error err;
    tstore_value *value = NULL;
    size_t size = 99;
    char buffer[1] = {'x'};
    OK(tstore_put(db, BYTES("empty"), NULL, 0, &err));
    OK(tstore_get(db, BYTES("empty"), buffer, 1, &size, &err));
    CHECK(size == 0 && buffer[0] == 'x');
    size = 99;
    OK(tstore_get(db, BYTES("empty"), NULL, 0, &size, &err));
    CHECK(size == 0);
    OK(tstore_get_value(db, BYTES("empty"), &value, &err));
    CHECK(tstore_value_data(value) != NULL && tstore_value_size(value) == 0);
    tstore_value_free(value);
    size = 99;
    STATUS(TSTORE_NOT_FOUND, tstore_get(db, BYTES("absent"), buffer, 1, &size, &err));
    CHECK(size == 99);
    STATUS(TSTORE_NOT_FOUND, tstore_get_value(db, BYTES("absent"), &value, &err));
    CHECK(value == NULL);
    /* The empty key is a key like any other. */
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, NULL, 0, &err));
    OK(tstore_put(db, NULL, 0, BYTES("of the empty key"), &err));
    VALUE_IS(db, "", "of the empty key");
    OK(tstore_delete(db, "", 0, &err));
}

static void bytes_are_kept_as_they_are(tstore *db) {
    tstore_error err;
    unsigned char key[256], value[256], back[256];
    size_t size;
    for (int i = 0; i < 256; i++) {
        key[i] = (unsigned char)i;
        value[i] = (unsigned char)(255 - i);
    }
    OK(tstore_put(db, key, sizeof key, value, sizeof value, &err));
    OK(tstore_get(db, key, sizeof key, back, sizeof back, &size, &err));
    CHECK(size == sizeof value && memcmp(back, value, size) == 0);
    /* A key is not the same as what it starts with. */
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, key, sizeof key - 1, &err));
    OK(tstore_delete(db, key, sizeof key, &err));
}

static void a_small_buffer_is_left_alone_and_the_size_told(tstore *db) {
    tstore_error err;
    char buffer[8] = "seven..";
    size_t size = 0;
    OK(tstore_put(db, BYTES("k"), BYTES("eightchr"), &err));
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_get(db, BYTES("k"), NULL, 0, &size, &err));
    CHECK(size == 8);
    size = 0;
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_get(db, BYTES("k"), buffer, 7, &size, &err));
    CHECK(size == 8 && strcmp(buffer, "seven..") == 0);
    OK(tstore_get(db, BYTES("k"), buffer, 8, &size, &err));
    CHECK(size == 8 && memcmp(buffer, "eightchr", 8) == 0);
}

static void describe_tells_size_and_type(tstore *db) {
    tstore_error err;
    size_t size = 0;
    int32_t type = -1;
    OK(tstore_put(db, BYTES("k"), BYTES("12345"), &err));
    OK(tstore_describe(db, BYTES("k"), &size, &type, &err));
    CHECK(size == 5 && type == TSTORE_TYPE_BYTES);
    OK(tstore_put_i64(db, BYTES("k"), 1, &err));
    OK(tstore_describe(db, BYTES("k"), &size, NULL, &err));
    CHECK(size == 8);
    OK(tstore_describe(db, BYTES("k"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_I64);
    STATUS(TSTORE_NOT_FOUND, tstore_describe(db, BYTES("absent"), &size, &type, &err));
}

static void stat_counts(tstore *db) {
    tstore_error err;
    tstore_stats before, after;
    memset(&before, 0, sizeof before);
    before.struct_size = sizeof before;
    after = before;
    OK(tstore_stat(db, &before, &err));
    OK(tstore_put(db, BYTES("counted 1"), BYTES("x"), &err));
    OK(tstore_put(db, BYTES("counted 2"), BYTES("x"), &err));
    OK(tstore_put(db, BYTES("counted 2"), BYTES("y"), &err));
    OK(tstore_sync(db, &err));
    OK(tstore_stat(db, &after, &err));
    CHECK(after.records == before.records + 2);
    CHECK(after.last_lsn == before.last_lsn + 3);
    CHECK(after.durable_lsn == after.last_lsn);
    CHECK(after.log_bytes > before.log_bytes);
    CHECK(after.segments >= 1 && after.struct_size == sizeof after);
}

static void a_struct_is_filled_up_to_its_size(tstore *db) {
    tstore_error err;
    struct {
        tstore_stats stats;
        unsigned char beyond[64];
    } larger;
    memset(&larger, 0xAA, sizeof larger);
    larger.stats.struct_size = sizeof larger;
    OK(tstore_stat(db, &larger.stats, &err));
    for (size_t i = 0; i < sizeof larger.beyond; i++) CHECK(larger.beyond[i] == 0xAA);
    larger.stats.struct_size = 0;
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_stat(db, &larger.stats, &err));
    CHECK(strstr(err.message, "stats->struct_size") != NULL);
}

static void a_value_keeps_its_bytes_while_its_key_changes(tstore *db) {
    tstore_error err;
    tstore_value *value = NULL;
    OK(tstore_put(db, BYTES("k"), BYTES("before"), &err));
    OK(tstore_get_value(db, BYTES("k"), &value, &err));
    OK(tstore_put(db, BYTES("k"), BYTES("after it"), &err));
    OK(tstore_delete(db, BYTES("k"), &err));
    CHECK(tstore_value_size(value) == 6 && memcmp(tstore_value_data(value), "before", 6) == 0);
    CHECK(tstore_value_type(value) == TSTORE_TYPE_BYTES);
    tstore_value_free(value);
}

static void the_error_is_written_by_every_call(tstore *db) {
    tstore_error err;
    memset(&err, 0xAA, sizeof err);
    OK(tstore_sync(db, &err));
    CHECK(err.os_errno == 0 && err.detail == 0 && err.offset == 0 && err.message[0] == '\0');
    CHECK(err.reserved0 == 0 && err.reserved[0] == 0 && err.reserved[3] == 0);
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("absent"), &err));
    CHECK(strlen(err.message) > 0);
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_sync(NULL, &err));
    OK(tstore_sync(db, &err));
    CHECK(err.message[0] == '\0');
}

int main(void) {
    tstore *db = NULL;
    tstore_error err;
    CHECK(example() == 0);
    versions_of_header_and_library_agree();
    functions_for_constants_agree_with_them();
    OK(tstore_open("basics.db", NULL, &db, &err));
    put_get_update_delete(db);
    absent_and_empty_are_different(db);
    bytes_are_kept_as_they_are(db);
    a_small_buffer_is_left_alone_and_the_size_told(db);
    describe_tells_size_and_type(db);
    stat_counts(db);
    a_struct_is_filled_up_to_its_size(db);
    a_value_keeps_its_bytes_while_its_key_changes(db);
    the_error_is_written_by_every_call(db);
    OK(tstore_close(db, &err));
    OK(tstore_close(NULL, &err));
    return 0;
}
