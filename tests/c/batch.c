/* The changes of a batch take effect together, in their order, as often as it is written. */
#include "check.h"

static void changes_take_effect_together_and_in_order(void) {
    tstore_error err;
    tstore *db = NULL;
    tstore_batch *batch = NULL;
    tstore_snapshot *before = NULL;
    tstore_iter *iter = NULL;
    tstore_stats stats;
    int32_t type = -1;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_open("order.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("old"), BYTES("value"), &err));
    OK(tstore_batch_create(&batch, &err));
    CHECK(tstore_batch_count(batch) == 0);
    OK(tstore_write(db, batch, 0, &err));
    OK(tstore_batch_put(batch, BYTES("a"), BYTES("first"), &err));
    OK(tstore_batch_put(batch, BYTES("a"), BYTES("last"), &err));
    OK(tstore_batch_put(batch, BYTES("gone"), BYTES("x"), &err));
    OK(tstore_batch_delete(batch, BYTES("gone"), &err));
    OK(tstore_batch_delete(batch, BYTES("old"), &err));
    OK(tstore_batch_delete(batch, BYTES("never there"), &err));
    OK(tstore_batch_put_until(batch, BYTES("t"), BYTES("text"), TSTORE_TYPE_STRING, 0, &err));
    OK(tstore_batch_put_until(batch, BYTES("expired"), BYTES("x"), TSTORE_TYPE_BYTES, 1, &err));
    OK(tstore_batch_put(batch, NULL, 0, NULL, 0, &err));
    CHECK(tstore_batch_count(batch) == 9);
    /* Nothing happened yet. */
    OK(tstore_exists(db, BYTES("old"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("a"), &err));
    OK(tstore_snapshot_create(db, &before, &err));
    OK(tstore_write(db, batch, TSTORE_WRITE_WAIT, &err));
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.last_lsn >= 10 && stats.durable_lsn == stats.last_lsn);
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    NEXT_IS(iter, "", "");
    NEXT_IS(iter, "a", "last");
    NEXT_IS(iter, "t", "text");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_describe(db, BYTES("t"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_STRING);
    OK(tstore_snapshot_scan(before, NULL, 0, NULL, 0, 0, &iter, &err));
    NEXT_IS(iter, "old", "value");
    NO_MORE(iter);
    tstore_iter_free(iter);
    tstore_snapshot_free(before);
    tstore_batch_free(batch);
    OK(tstore_close(db, &err));
    OK(tstore_open("order.db", NULL, &db, &err));
    VALUE_IS(db, "a", "last");
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("old"), &err));
    OK(tstore_close(db, &err));
}

static void a_range_is_deleted_with_what_the_batch_put_into_it(void) {
    tstore_error err;
    tstore *db = NULL;
    tstore_batch *batch = NULL;
    tstore_iter *iter = NULL;
    OK(tstore_open("range.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("1"), &err));
    OK(tstore_put(db, BYTES("b"), BYTES("1"), &err));
    OK(tstore_put(db, BYTES("c"), BYTES("1"), &err));
    OK(tstore_batch_create(&batch, &err));
    OK(tstore_batch_put(batch, BYTES("bb"), BYTES("before"), &err));
    OK(tstore_batch_delete_range(batch, BYTES("b"), BYTES("c"), &err));
    OK(tstore_batch_put(batch, BYTES("ba"), BYTES("after"), &err));
    OK(tstore_write(db, batch, 0, &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    NEXT_IS(iter, "a", "1");
    NEXT_IS(iter, "ba", "after");
    NEXT_IS(iter, "c", "1");
    NO_MORE(iter);
    tstore_iter_free(iter);
    OK(tstore_batch_clear(batch, &err));
    CHECK(tstore_batch_count(batch) == 0);
    OK(tstore_batch_delete_range(batch, BYTES("b"), NULL, 0, &err));
    OK(tstore_write(db, batch, 0, &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    NEXT_IS(iter, "a", "1");
    NO_MORE(iter);
    tstore_iter_free(iter);
    tstore_batch_free(batch);
    OK(tstore_close(db, &err));
}

static void a_batch_is_tied_to_no_store_and_survives_what_is_refused(void) {
    tstore_error err;
    tstore *one = NULL, *two = NULL;
    tstore_batch *batch = NULL;
    OK(tstore_batch_create(&batch, &err));
    OK(tstore_batch_put(batch, BYTES("k"), BYTES("v"), &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_batch_put(batch, "k", TSTORE_KEY_SIZE_MAX + 1, "v", 1, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_batch_put(batch, "k", 1, "v", (size_t)TSTORE_VALUE_SIZE_MAX + 1, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT,
           tstore_batch_put_until(batch, BYTES("k"), BYTES("\xff"), TSTORE_TYPE_STRING, 0, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT,
           tstore_batch_put_until(batch, BYTES("k"), BYTES("v"), TSTORE_TYPE_BYTES, -1, &err));
    STATUS(TSTORE_E_TOO_LARGE, tstore_batch_delete_range(batch, "a", 1, "k", TSTORE_KEY_SIZE_MAX + 1, &err));
    CHECK(tstore_batch_count(batch) == 1);
    OK(tstore_open("one.db", NULL, &one, &err));
    OK(tstore_open("two.db", NULL, &two, &err));
    OK(tstore_write(one, batch, 0, &err));
    OK(tstore_write(one, batch, 0, &err));
    OK(tstore_write(two, batch, TSTORE_WRITE_NO_WAIT, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_write(two, batch, 4, &err));
    VALUE_IS(one, "k", "v");
    VALUE_IS(two, "k", "v");
    OK(tstore_close(one, &err));
    OK(tstore_close(two, &err));
    CHECK(tstore_batch_count(batch) == 1);
    tstore_batch_free(batch);
}

int main(void) {
    changes_take_effect_together_and_in_order();
    a_range_is_deleted_with_what_the_batch_put_into_it();
    a_batch_is_tied_to_no_store_and_survives_what_is_refused();
    return 0;
}
