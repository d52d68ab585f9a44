/* Many keys are read with one call: present, absent, empty and repeated ones, from a store and a snapshot. */
#include "check.h"

static tstore *db;
static tstore_snapshot *snapshot;
static tstore_error err;

/* Reads from the snapshot if there is one, else from the store. */
static int32_t get_many(size_t count, const void *keys, const size_t *key_sizes, void *buffer, size_t buffer_size,
                        size_t *value_sizes, size_t *used) {
    if (snapshot)
        return tstore_snapshot_get_many(snapshot, count, keys, key_sizes, buffer, buffer_size, value_sizes, used,
                                        &err);
    return tstore_get_many(db, count, keys, key_sizes, buffer, buffer_size, value_sizes, used, &err);
}

static void values_follow_each_other_in_the_order_of_the_keys(void) {
    /* c, none, a, the empty key, b, c */
    static const char keys[] = "cnoneabc";
    const size_t key_sizes[] = {1, 4, 1, 0, 1, 1};
    size_t sizes[6], used = 0;
    char buffer[32];
    OK(get_many(6, keys, key_sizes, buffer, sizeof buffer, sizes, &used));
    CHECK(sizes[0] == 5 && sizes[1] == TSTORE_ABSENT && sizes[2] == 3 && sizes[3] == 7 && sizes[4] == 0);
    CHECK(sizes[5] == 5 && used == 20 && memcmp(buffer, "threeonenothingthree", 20) == 0);
    CHECK(TSTORE_ABSENT == SIZE_MAX && tstore_absent() == TSTORE_ABSENT);
}

static void what_is_needed_is_told(void) {
    static const char keys[] = "anonec";
    const size_t key_sizes[] = {1, 4, 1};
    char buffer[16];
    for (size_t room = 0; room < 12; room++) {
        size_t sizes[3] = {9, 9, 9}, used = 99;
        memset(buffer, 0x55, sizeof buffer);
        STATUS(room < 8 ? TSTORE_BUFFER_TOO_SMALL : TSTORE_OK,
               get_many(3, keys, key_sizes, room ? buffer : NULL, room, sizes, &used));
        CHECK(sizes[0] == 3 && sizes[1] == TSTORE_ABSENT && sizes[2] == 5 && used == 8);
        for (size_t i = room; i < sizeof buffer; i++) CHECK(buffer[i] == 0x55);
        if (room >= 8) CHECK(memcmp(buffer, "onethree", 8) == 0);
    }
}

static void sizes_may_go_where_they_came_from(void) {
    size_t sizes[] = {1, 1}, used = 0;
    char buffer[8];
    OK(get_many(2, "ca", sizes, buffer, sizeof buffer, sizes, &used));
    CHECK(sizes[0] == 5 && sizes[1] == 3 && memcmp(buffer, "threeone", 8) == 0);
}

static void nothing_and_no_bytes_are_fine(void) {
    size_t sizes[] = {0, 0}, used = 99;
    char buffer[16];
    OK(get_many(0, NULL, NULL, NULL, 0, NULL, &used));
    CHECK(used == 0);
    OK(get_many(2, NULL, sizes, buffer, sizeof buffer, sizes, &used));
    CHECK(sizes[0] == 7 && sizes[1] == 7 && used == 14);
}

static void what_is_not_acceptable_is_refused(void) {
    size_t key_sizes[] = {1, TSTORE_KEY_SIZE_MAX + 1}, sizes[] = {9, 9}, used = 99;
    char buffer[8];
    STATUS(TSTORE_E_TOO_LARGE, get_many(2, "a", key_sizes, buffer, sizeof buffer, sizes, &used));
    STATUS(TSTORE_E_NO_MEMORY, get_many(SIZE_MAX, "a", key_sizes, buffer, sizeof buffer, sizes, &used));
    STATUS(TSTORE_E_INVALID_ARGUMENT, get_many(1, NULL, key_sizes, buffer, sizeof buffer, sizes, &used));
    STATUS(TSTORE_E_INVALID_ARGUMENT, get_many(1, "a", NULL, buffer, sizeof buffer, sizes, &used));
    STATUS(TSTORE_E_INVALID_ARGUMENT, get_many(1, "a", key_sizes, NULL, sizeof buffer, sizes, &used));
    STATUS(TSTORE_E_INVALID_ARGUMENT, get_many(1, "a", key_sizes, buffer, sizeof buffer, NULL, &used));
    STATUS(TSTORE_E_INVALID_ARGUMENT, get_many(1, "a", key_sizes, buffer, sizeof buffer, sizes, NULL));
    CHECK(sizes[0] == 9 && sizes[1] == 9 && used == 99);
}

static void a_thousand_keys_are_no_other_matter(void) {
    enum { COUNT = 1000 };
    static char keys[COUNT * 4 + 1], values[COUNT * 4];
    static size_t sizes[COUNT];
    size_t used = 0, at = 0;
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(keys + i * 4, 5, "%04u", (unsigned)(i * 7919 % COUNT));
        sizes[i] = 4;
    }
    OK(get_many(COUNT, keys, sizes, values, sizeof values, sizes, &used));
    for (size_t i = 0; i < COUNT; i++) {
        size_t number = i * 7919 % COUNT;
        CHECK(sizes[i] == (number % 3 ? 4 : TSTORE_ABSENT));
        if (number % 3) {
            CHECK(memcmp(values + at, keys + i * 4, 4) == 0);
            at += 4;
        }
    }
    CHECK(used == at);
}

static void all_of_it(void) {
    values_follow_each_other_in_the_order_of_the_keys();
    what_is_needed_is_told();
    sizes_may_go_where_they_came_from();
    nothing_and_no_bytes_are_fine();
    what_is_not_acceptable_is_refused();
    a_thousand_keys_are_no_other_matter();
}

int main(void) {
    tstore_snapshot *moment = NULL;
    OK(tstore_open("many.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("one"), &err));
    OK(tstore_put(db, BYTES("b"), NULL, 0, &err));
    OK(tstore_put_string(db, BYTES("c"), BYTES("three"), &err));
    OK(tstore_put(db, NULL, 0, BYTES("nothing"), &err));
    for (unsigned i = 0; i < 1000; i++) {
        char key[8];
        snprintf(key, sizeof key, "%04u", i);
        if (i % 3) OK(tstore_put_with(db, key, 4, key, 4, TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
    }
    all_of_it();
    OK(tstore_snapshot_create(db, &moment, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("changed"), &err));
    OK(tstore_put(db, BYTES("none"), BYTES("new"), &err));
    OK(tstore_delete_range(db, BYTES("0"), BYTES(":"), NULL, &err));
    snapshot = moment;
    all_of_it();
    tstore_snapshot_free(moment);
    OK(tstore_close(db, &err));
    return 0;
}
