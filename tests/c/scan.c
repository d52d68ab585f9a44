/*
 * Scans between bounds, in both directions, with seeks and in batches: the same for iterators of a store, of a
 * snapshot and of a transaction.
 */
#include "check.h"

/* What a scan is made of: the one that is not NULL. */
typedef struct {
    tstore *db;
    tstore_snapshot *snapshot;
    tstore_txn *txn;
} source;

static tstore_iter *scan(const source *from_source, const char *from, size_t from_size, const char *to,
                         size_t to_size, uint32_t flags) {
    tstore_iter *iter = NULL;
    tstore_error err;
    if (from_source->db) OK(tstore_scan_range(from_source->db, from, from_size, to, to_size, flags, &iter, &err));
    if (from_source->snapshot)
        OK(tstore_snapshot_scan(from_source->snapshot, from, from_size, to, to_size, flags, &iter, &err));
    if (from_source->txn) OK(tstore_txn_scan(from_source->txn, from, from_size, to, to_size, flags, &iter, &err));
    return iter;
}

/* The keys that are left, of one letter each, are those of `expected`, with the letter twice as their value. */
static void leaves(tstore_iter *iter, int keys_only, const char *expected) {
    tstore_error err;
    const char *key, *value;
    size_t key_size, value_size;
    for (; *expected; expected++) {
        OK(tstore_iter_next(iter, (const void **)&key, &key_size, (const void **)&value, &value_size, &err));
        CHECK(key_size == 1 && *key == *expected);
        CHECK(value != NULL && value_size == (keys_only ? 0 : 2));
        CHECK(keys_only || (value[0] == *expected && value[1] == *expected));
        CHECK(tstore_iter_value_type(iter) == TSTORE_TYPE_STRING);
    }
    NO_MORE(iter);
    NO_MORE(iter);
}

static void shows(const source *s, const char *from, const char *to, uint32_t flags, const char *expected) {
    char backward[16] = {0};
    size_t count = strlen(expected);
    tstore_iter *iter = scan(s, from, strlen(from), to, strlen(to), flags);
    leaves(iter, 0, expected);
    tstore_iter_free(iter);
    iter = scan(s, from, strlen(from), to, strlen(to), flags | TSTORE_SCAN_KEYS_ONLY);
    leaves(iter, 1, expected);
    tstore_iter_free(iter);
    for (size_t i = 0; i < count; i++) backward[i] = expected[count - 1 - i];
    iter = scan(s, from, strlen(from), to, strlen(to), flags | TSTORE_SCAN_BACKWARD);
    leaves(iter, 0, backward);
    tstore_iter_free(iter);
}

/* The keys are b, d, f and h. */
static void bounds_are_the_smaller_and_the_larger_key(const source *s) {
    shows(s, "", "", 0, "bdfh");
    shows(s, "d", "", 0, "dfh");
    shows(s, "c", "", 0, "dfh");
    shows(s, "", "f", 0, "bd");
    shows(s, "d", "h", 0, "df");
    shows(s, "c", "g", 0, "df");
    shows(s, "d", "h", TSTORE_SCAN_TO_INCLUSIVE, "dfh");
    shows(s, "d", "h", TSTORE_SCAN_FROM_EXCLUSIVE, "f");
    shows(s, "d", "h", TSTORE_SCAN_FROM_EXCLUSIVE | TSTORE_SCAN_TO_INCLUSIVE, "fh");
    shows(s, "d", "d", 0, "");
    shows(s, "d", "d", TSTORE_SCAN_TO_INCLUSIVE, "d");
    shows(s, "d", "d", TSTORE_SCAN_FROM_EXCLUSIVE | TSTORE_SCAN_TO_INCLUSIVE, "");
    shows(s, "h", "b", 0, "");
    shows(s, "h", "b", TSTORE_SCAN_TO_INCLUSIVE, "");
    shows(s, "i", "", 0, "");
    shows(s, "", "", TSTORE_SCAN_FROM_EXCLUSIVE | TSTORE_SCAN_TO_INCLUSIVE, "bdfh");
    shows(s, "d", "", TSTORE_SCAN_PREFIX, "d");
    shows(s, "", "", TSTORE_SCAN_PREFIX, "bdfh");
    shows(s, "c", "", TSTORE_SCAN_PREFIX, "");
    shows(s, "\xff", "", TSTORE_SCAN_PREFIX, "");
}

static void a_seek_goes_to_the_first_key_that_is_not_before(const source *s) {
    tstore_error err;
    tstore_iter *iter = scan(s, BYTES("c"), BYTES("h"), 0);
    leaves(iter, 0, "df");
    OK(tstore_iter_seek(iter, BYTES("e"), &err));
    CHECK(tstore_iter_value_type(iter) == TSTORE_E_INVALID_ARGUMENT);
    leaves(iter, 0, "f");
    OK(tstore_iter_seek(iter, BYTES("d"), &err));
    leaves(iter, 0, "df");
    /* Never beyond the bounds. */
    OK(tstore_iter_seek(iter, BYTES("a"), &err));
    leaves(iter, 0, "df");
    OK(tstore_iter_seek(iter, NULL, 0, &err));
    leaves(iter, 0, "df");
    OK(tstore_iter_seek(iter, BYTES("z"), &err));
    leaves(iter, 0, "");
    tstore_iter_free(iter);
    iter = scan(s, BYTES("b"), BYTES("h"), TSTORE_SCAN_BACKWARD);
    OK(tstore_iter_seek(iter, BYTES("e"), &err));
    leaves(iter, 0, "db");
    OK(tstore_iter_seek(iter, BYTES("z"), &err));
    leaves(iter, 0, "fdb");
    OK(tstore_iter_seek(iter, BYTES("a"), &err));
    leaves(iter, 0, "");
    tstore_iter_free(iter);
}

/* Goes through a batch of records as the header shows it; the keys that were met go to `keys`. */
static size_t letters_of(const char *buffer, size_t used, size_t count, char *keys) {
    uint32_t head[3];
    size_t met = 0;
    for (size_t at = 0; at < used; at += (sizeof head + head[0] + head[1] + 3) / 4 * 4) {
        size_t end;
        memcpy(head, buffer + at, sizeof head);
        CHECK(head[0] == 1 && head[1] == 2 && head[2] == TSTORE_TYPE_STRING);
        keys[met] = buffer[at + sizeof head];
        CHECK(buffer[at + 13] == keys[met] && buffer[at + 14] == keys[met]);
        end = at + sizeof head + 3;
        CHECK(end % 4 == 3 && buffer[end] == 0);
        met++;
    }
    CHECK(met == count && used == met * 16);
    return met;
}

static void batches_hold_whole_records(const source *s) {
    tstore_error err;
    char buffer[128];
    /* Each record takes 12 + 1 + 2 bytes and one of padding. */
    for (size_t size = 0; size < sizeof buffer; size++) {
        size_t count = 77, used = 77;
        char keys[16] = {0};
        tstore_iter *iter = scan(s, NULL, 0, NULL, 0, 0);
        memset(buffer, 0x55, sizeof buffer);
        if (size < 16) {
            STATUS(TSTORE_BUFFER_TOO_SMALL,
                   tstore_iter_next_batch(iter, size ? buffer : NULL, size, &count, &used, &err));
            CHECK(used == 16 && count == 77);
            STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_iter_next_batch(iter, NULL, 0, NULL, &used, &err));
            /* Nothing was lost. */
            leaves(iter, 0, "bdfh");
        } else {
            size_t met = 0;
            int32_t status;
            /* At an address that is aligned for nothing. */
            char *place = buffer + size % 4;
            size_t room = size - size % 4;
            while ((status = tstore_iter_next_batch(iter, place, room, &count, &used, &err)) == TSTORE_OK) {
                CHECK(used <= room && (count == room / 16 || met + count == 4));
                CHECK(tstore_iter_value_type(iter) == TSTORE_E_INVALID_ARGUMENT);
                met += letters_of(place, used, count, keys + met);
            }
            CHECK(status == TSTORE_END && strcmp(keys, "bdfh") == 0);
            STATUS(TSTORE_END, tstore_iter_next_batch(iter, place, room, &count, &used, &err));
            NO_MORE(iter);
        }
        for (size_t i = size; i < sizeof buffer; i++) CHECK(buffer[i] == 0x55);
        tstore_iter_free(iter);
    }
}

static void batches_and_single_steps_may_be_mixed(const source *s) {
    tstore_error err;
    char buffer[40], keys[4];
    size_t count, used;
    tstore_iter *iter = scan(s, NULL, 0, NULL, 0, TSTORE_SCAN_BACKWARD);
    NEXT_IS(iter, "h", "hh");
    OK(tstore_iter_next_batch(iter, buffer, sizeof buffer, &count, &used, &err));
    CHECK(letters_of(buffer, used, count, keys) == 2 && keys[0] == 'f' && keys[1] == 'd');
    NEXT_IS(iter, "b", "bb");
    STATUS(TSTORE_END, tstore_iter_next_batch(iter, buffer, sizeof buffer, &count, &used, &err));
    OK(tstore_iter_seek(iter, BYTES("d"), &err));
    OK(tstore_iter_next_batch(iter, buffer, sizeof buffer, NULL, &used, &err));
    CHECK(letters_of(buffer, used, 2, keys) == 2 && keys[0] == 'd' && keys[1] == 'b');
    NO_MORE(iter);
    tstore_iter_free(iter);
    iter = scan(s, NULL, 0, NULL, 0, TSTORE_SCAN_KEYS_ONLY);
    OK(tstore_iter_next_batch(iter, buffer, 16, &count, &used, &err));
    CHECK(count == 1 && used == 16 && memcmp(buffer + 12, "b\0\0\0", 4) == 0);
    tstore_iter_free(iter);
}

static void all_of_it(const source *s) {
    bounds_are_the_smaller_and_the_larger_key(s);
    a_seek_goes_to_the_first_key_that_is_not_before(s);
    batches_hold_whole_records(s);
    batches_and_single_steps_may_be_mixed(s);
}

static void put_letters(tstore *db, const char *letters) {
    tstore_error err;
    for (; *letters; letters++) {
        char value[3] = {*letters, *letters, 0};
        OK(tstore_put_string(db, letters, 1, value, 2, &err));
    }
}

static void a_scan_is_the_same_wherever_it_is_made(void) {
    tstore_error err;
    source s = {NULL, NULL, NULL};
    OK(tstore_open("same.db", NULL, &s.db, &err));
    put_letters(s.db, "fbhd");
    all_of_it(&s);
    tstore *db = s.db;
    s.db = NULL;
    OK(tstore_snapshot_create(db, &s.snapshot, &err));
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, NULL, &err));
    all_of_it(&s);
    tstore_snapshot_free(s.snapshot);
    s.snapshot = NULL;
    /* Half of the records from the store, half from the transaction. */
    put_letters(db, "acfgh");
    OK(tstore_txn_begin(db, &s.txn, &err));
    OK(tstore_txn_put_until(s.txn, "b", 1, "bb", 2, TSTORE_TYPE_STRING, 0, &err));
    OK(tstore_txn_put_until(s.txn, "d", 1, "dd", 2, TSTORE_TYPE_STRING, 0, &err));
    OK(tstore_txn_delete(s.txn, "a", 1, &err));
    OK(tstore_txn_delete(s.txn, "c", 1, &err));
    OK(tstore_txn_delete(s.txn, "g", 1, &err));
    all_of_it(&s);
    OK(tstore_txn_commit(s.txn, 0, &err));
    tstore_txn_free(s.txn);
    s.txn = NULL;
    s.db = db;
    all_of_it(&s);
    OK(tstore_close(db, &err));
}

static void the_empty_key_can_be_left_out(void) {
    tstore_error err;
    tstore *db = NULL;
    tstore_iter *iter = NULL;
    OK(tstore_open("empty.db", NULL, &db, &err));
    OK(tstore_put(db, NULL, 0, BYTES("nothing"), &err));
    OK(tstore_put(db, BYTES("k"), NULL, 0, &err));
    OK(tstore_scan_range(db, NULL, 0, NULL, 0, 0, &iter, &err));
    NEXT_IS(iter, "", "nothing");
    NEXT_IS(iter, "k", "");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_scan_range(db, NULL, 0, NULL, 0, TSTORE_SCAN_FROM_EXCLUSIVE, &iter, &err));
    NEXT_IS(iter, "k", "");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_close(db, &err));
}

static void pages_follow_each_other_and_records_of_every_size_fit(void) {
    enum { COUNT = 300, PAGE = 7 };
    static char buffer[4096], value[1000];
    tstore_error err;
    tstore *db = NULL;
    tstore_iter *iter = NULL;
    char key[16], last[16] = "";
    size_t last_size = 0, seen = 0, used;
    OK(tstore_open("pages.db", NULL, &db, &err));
    for (unsigned i = 0; i < COUNT; i++) {
        memset(value, (int)i, sizeof value);
        snprintf(key, sizeof key, "%04u", i);
        OK(tstore_put_with(db, key, 4, value, i * 3 % sizeof value, TSTORE_TYPE_BYTES, TSTORE_WRITE_NO_WAIT, &err));
    }
    /* Each page is a scan of its own, from behind the last key of the one before. */
    for (size_t on_page = PAGE; on_page == PAGE;) {
        const void *found;
        size_t size;
        OK(tstore_scan_range(db, last, last_size, NULL, 0, TSTORE_SCAN_FROM_EXCLUSIVE, &iter, &err));
        for (on_page = 0; on_page < PAGE; on_page++, seen++) {
            if (tstore_iter_next(iter, &found, &size, NULL, NULL, &err) != TSTORE_OK) break;
            memcpy(last, found, size);
            last_size = size;
        }
        tstore_iter_free(iter);
    }
    CHECK(seen == COUNT && memcmp(last, "0299", 4) == 0);
    seen = 0;
    OK(tstore_scan_range(db, NULL, 0, NULL, 0, 0, &iter, &err));
    for (size_t room = 0;; room = (room + 331) % sizeof buffer) {
        int32_t status = tstore_iter_next_batch(iter, buffer, room, NULL, &used, &err);
        uint32_t head[3];
        if (status == TSTORE_END) break;
        if (status == TSTORE_BUFFER_TOO_SMALL) {
            CHECK(used > room && used <= 12 + 4 + sizeof value);
            continue;
        }
        CHECK(status == TSTORE_OK && used <= room);
        for (size_t at = 0; at < used; at += (sizeof head + head[0] + head[1] + 3) / 4 * 4, seen++) {
            memcpy(head, buffer + at, sizeof head);
            snprintf(key, sizeof key, "%04u", (unsigned)seen);
            CHECK(head[0] == 4 && memcmp(buffer + at + sizeof head, key, 4) == 0);
            CHECK(head[1] == seen * 3 % sizeof value);
            for (size_t i = 0; i < head[1]; i++) CHECK(buffer[at + 16 + i] == (char)seen);
        }
    }
    CHECK(seen == COUNT);
    tstore_iter_free(iter);
    OK(tstore_close(db, &err));
}

int main(void) {
    a_scan_is_the_same_wherever_it_is_made();
    the_empty_key_can_be_left_out();
    pages_follow_each_other_and_records_of_every_size_fit();
    return 0;
}
