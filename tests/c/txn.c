/* Transactions: what they see, what they conflict with, what is left of them when they end. */
#include "check.h"

static tstore *db;
static tstore_error err;

static tstore_txn *begin(void) {
    tstore_txn *txn = NULL;
    OK(tstore_txn_begin(db, &txn, &err));
    return txn;
}

/* The value of `key` in `txn` is the string literal `expected`. */
#define TXN_VALUE_IS(txn, key, expected)                                             \
    do {                                                                             \
        char buffer_[64];                                                            \
        size_t size_ = 0;                                                            \
        OK(tstore_txn_get((txn), BYTES(key), buffer_, sizeof buffer_, &size_, &err)); \
        CHECK(size_ == sizeof(expected) - 1 && memcmp(buffer_, expected, size_) == 0); \
    } while (0)

/* Begins with these three records and no others. */
static void fresh(void) {
    OK(tstore_delete_range(db, NULL, 0, NULL, 0, NULL, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("1"), &err));
    OK(tstore_put(db, BYTES("b"), BYTES("2"), &err));
    OK(tstore_put(db, BYTES("c"), BYTES("3"), &err));
}

static void writes_are_seen_by_itself_and_after_the_commit_by_all(void) {
    tstore_txn *txn = begin();
    tstore_value *value = NULL;
    size_t size = 0;
    int32_t type = -1;
    uint64_t count = 99;
    OK(tstore_txn_put(txn, BYTES("a"), BYTES("mine"), &err));
    OK(tstore_txn_put_until(txn, BYTES("s"), BYTES("text"), TSTORE_TYPE_STRING, 0, &err));
    OK(tstore_txn_put_until(txn, BYTES("gone"), BYTES("x"), TSTORE_TYPE_BYTES, 1, &err));
    OK(tstore_txn_delete(txn, BYTES("b"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_txn_delete(txn, BYTES("b"), &err));
    TXN_VALUE_IS(txn, "a", "mine");
    TXN_VALUE_IS(txn, "c", "3");
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_txn_get(txn, BYTES("a"), NULL, 0, &size, &err));
    CHECK(size == 4);
    STATUS(TSTORE_NOT_FOUND, tstore_txn_exists(txn, BYTES("b"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_txn_exists(txn, BYTES("gone"), &err));
    OK(tstore_txn_exists(txn, BYTES("s"), &err));
    OK(tstore_txn_get_value(txn, BYTES("s"), &value, &err));
    OK(tstore_txn_delete_range(txn, BYTES("c"), BYTES("s"), &count, &err));
    CHECK(count == 1);
    VALUE_IS(db, "a", "1");
    VALUE_IS(db, "b", "2");
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("s"), &err));
    OK(tstore_txn_commit(txn, TSTORE_WRITE_WAIT, &err));
    VALUE_IS(db, "a", "mine");
    VALUE_IS(db, "s", "text");
    OK(tstore_describe(db, BYTES("s"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_STRING);
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("b"), &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("c"), &err));
    tstore_txn_free(txn);
    CHECK(tstore_value_size(value) == 4 && memcmp(tstore_value_data(value), "text", 4) == 0);
    CHECK(tstore_value_type(value) == TSTORE_TYPE_STRING);
    tstore_value_free(value);
}

static void what_changed_since_it_was_read_is_a_conflict(void) {
    tstore_txn *txn = begin();
    TXN_VALUE_IS(txn, "a", "1");
    OK(tstore_txn_put(txn, BYTES("b"), BYTES("mine"), &err));
    OK(tstore_put(db, BYTES("a"), BYTES("theirs"), &err));
    TXN_VALUE_IS(txn, "a", "1");
    STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(txn, 0, &err));
    CHECK(tstore_status_is_retryable(TSTORE_E_CONFLICT));
    VALUE_IS(db, "b", "2");
    /* It has ended. */
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_commit(txn, 0, &err));
    tstore_txn_free(txn);
}

static void a_key_that_was_absent_and_came_is_a_conflict(void) {
    tstore_txn *txn = begin();
    STATUS(TSTORE_NOT_FOUND, tstore_txn_exists(txn, BYTES("new"), &err));
    OK(tstore_txn_put(txn, BYTES("b"), BYTES("mine"), &err));
    OK(tstore_put(db, BYTES("new"), BYTES("theirs"), &err));
    STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(txn, 0, &err));
    tstore_txn_free(txn);
}

static void a_phantom_is_a_conflict_where_the_scan_came_by(void) {
    tstore_iter *iter = NULL;
    tstore_txn *txn = begin();
    OK(tstore_txn_scan(txn, BYTES("a"), BYTES("c"), 0, &iter, &err));
    NEXT_IS(iter, "a", "1");
    NEXT_IS(iter, "b", "2");
    NO_MORE(iter);
    OK(tstore_txn_put(txn, BYTES("sum"), BYTES("3"), &err));
    OK(tstore_put(db, BYTES("aa"), BYTES("phantom"), &err));
    STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(txn, 0, &err));
    tstore_iter_free(iter);
    tstore_txn_free(txn);

    /* Behind the bound of the scan nothing was read. */
    txn = begin();
    OK(tstore_txn_scan(txn, BYTES("a"), BYTES("c"), 0, &iter, &err));
    while (tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err) == TSTORE_OK) {
    }
    CHECK(err.code == TSTORE_END);
    OK(tstore_txn_put(txn, BYTES("sum"), BYTES("3"), &err));
    OK(tstore_put(db, BYTES("c"), BYTES("elsewhere"), &err));
    OK(tstore_txn_commit(txn, 0, &err));
    VALUE_IS(db, "sum", "3");
    tstore_iter_free(iter);
    tstore_txn_free(txn);
}

static void a_range_that_was_deleted_and_got_a_key_is_a_conflict(void) {
    uint64_t count = 0;
    tstore_txn *txn = begin();
    OK(tstore_txn_delete_range(txn, BYTES("a"), NULL, 0, &count, &err));
    CHECK(count == 3);
    OK(tstore_put(db, BYTES("late"), BYTES("x"), &err));
    STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(txn, 0, &err));
    VALUE_IS(db, "a", "1");
    tstore_txn_free(txn);
}

static void write_skew_is_refused(void) {
    tstore_txn *one = begin(), *two = begin();
    /* Each sees that the other key is still there, and deletes its own. */
    OK(tstore_txn_exists(one, BYTES("b"), &err));
    OK(tstore_txn_exists(two, BYTES("a"), &err));
    OK(tstore_txn_delete(one, BYTES("a"), &err));
    OK(tstore_txn_delete(two, BYTES("b"), &err));
    OK(tstore_txn_commit(two, 0, &err));
    STATUS(TSTORE_E_CONFLICT, tstore_txn_commit(one, 0, &err));
    OK(tstore_exists(db, BYTES("a"), &err));
    tstore_txn_free(one);
    tstore_txn_free(two);
}

static void blind_writes_and_mere_reads_do_not_conflict(void) {
    tstore_txn *writes = begin(), *reads = begin();
    OK(tstore_txn_put(writes, BYTES("a"), BYTES("blind"), &err));
    TXN_VALUE_IS(reads, "a", "1");
    OK(tstore_put(db, BYTES("a"), BYTES("theirs"), &err));
    OK(tstore_txn_commit(writes, 0, &err));
    VALUE_IS(db, "a", "blind");
    TXN_VALUE_IS(reads, "a", "1");
    OK(tstore_txn_commit(reads, 0, &err));
    tstore_txn_free(writes);
    tstore_txn_free(reads);
}

/* Adds 1 to the number of letters in the value of "n". Somebody else gets in between, twice. */
static int32_t add_letter(tstore_txn *txn, int *interruptions) {
    char value[16];
    size_t size = 0;
    int32_t status = tstore_txn_get(txn, BYTES("n"), value, sizeof value - 1, &size, &err);
    if (status < 0) return status;
    if ((*interruptions)-- > 0) OK(tstore_append(db, BYTES("n"), BYTES("o"), NULL, &err));
    value[size] = 'm';
    return tstore_txn_put(txn, BYTES("n"), value, size + 1, &err);
}

static void the_loop_of_the_header_ends_with_the_change_made(void) {
    int interruptions = 2, rounds = 0;
    int32_t status;
    do {
        tstore_txn *txn = NULL;
        status = tstore_txn_begin(db, &txn, &err);
        if (status == TSTORE_OK) status = add_letter(txn, &interruptions);
        if (status == TSTORE_OK) status = tstore_txn_commit(txn, 0, &err);
        tstore_txn_free(txn);
        rounds++;
    } while (status == TSTORE_E_CONFLICT);
    CHECK(status == TSTORE_OK && rounds == 3);
    VALUE_IS(db, "n", "oom");
}

static void savepoints_take_writes_back(void) {
    uint64_t first = 0, second = 0, third = 0;
    tstore_txn *txn = begin();
    OK(tstore_txn_put(txn, BYTES("a"), BYTES("kept"), &err));
    OK(tstore_txn_savepoint(txn, &first, &err));
    OK(tstore_txn_put(txn, BYTES("a"), BYTES("undone"), &err));
    OK(tstore_txn_delete(txn, BYTES("b"), &err));
    OK(tstore_txn_savepoint(txn, &second, &err));
    OK(tstore_txn_put(txn, BYTES("new"), BYTES("undone"), &err));
    CHECK(first > 0 && second != first);
    OK(tstore_txn_rollback_to(txn, second, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_txn_exists(txn, BYTES("new"), &err));
    TXN_VALUE_IS(txn, "a", "undone");
    OK(tstore_txn_rollback_to(txn, first, &err));
    TXN_VALUE_IS(txn, "a", "kept");
    TXN_VALUE_IS(txn, "b", "2");
    /* The later one went with what it stood for, the earlier one stays. */
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_rollback_to(txn, second, &err));
    CHECK(strstr(err.message, "savepoint") != NULL);
    OK(tstore_txn_savepoint(txn, &third, &err));
    CHECK(third != second);
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_rollback_to(txn, second, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_rollback_to(txn, 0, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_rollback_to(txn, UINT64_MAX, &err));
    OK(tstore_txn_put(txn, BYTES("c"), BYTES("undone"), &err));
    OK(tstore_txn_rollback_to(txn, first, &err));
    OK(tstore_txn_rollback_to(txn, first, &err));
    OK(tstore_txn_commit(txn, 0, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_rollback_to(txn, first, &err));
    STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_savepoint(txn, &first, &err));
    tstore_txn_free(txn);
    VALUE_IS(db, "a", "kept");
    VALUE_IS(db, "b", "2");
    VALUE_IS(db, "c", "3");
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("new"), &err));
}

static void an_iterator_shows_writes_that_are_still_ahead(void) {
    tstore_iter *iter = NULL;
    tstore_txn *txn = begin();
    char buffer[16];
    size_t used = 0;
    OK(tstore_txn_scan(txn, NULL, 0, NULL, 0, 0, &iter, &err));
    NEXT_IS(iter, "a", "1");
    OK(tstore_txn_put(txn, BYTES("A"), BYTES("behind"), &err));
    OK(tstore_txn_put(txn, BYTES("aa"), BYTES("ahead"), &err));
    OK(tstore_txn_put(txn, BYTES("b"), BYTES("changed"), &err));
    OK(tstore_txn_delete(txn, BYTES("c"), &err));
    NEXT_IS(iter, "aa", "ahead");
    /* A record that does not fit into a batch is shown as it is when it does. */
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_iter_next_batch(iter, buffer, sizeof buffer, NULL, &used, &err));
    CHECK(used == 20);
    OK(tstore_txn_put(txn, BYTES("b"), BYTES("xyz"), &err));
    OK(tstore_iter_next_batch(iter, buffer, sizeof buffer, NULL, &used, &err));
    CHECK(used == 16 && memcmp(buffer + 12, "bxyz", 4) == 0);
    OK(tstore_txn_put(txn, BYTES("d"), BYTES("last"), &err));
    NEXT_IS(iter, "d", "last");
    NO_MORE(iter);
    OK(tstore_iter_seek(iter, BYTES("A"), &err));
    NEXT_IS(iter, "A", "behind");
    tstore_iter_free(iter);
    tstore_txn_free(txn);
}

static void after_its_end_only_frees_remain(void) {
    tstore_iter *iter = NULL, *later = NULL;
    tstore_value *value = NULL;
    size_t size = 7;
    uint64_t number = 7;
    for (int how = 0; how < 3; how++) {
        tstore_txn *txn = begin();
        OK(tstore_txn_put(txn, BYTES("a"), BYTES("of the transaction"), &err));
        OK(tstore_txn_scan(txn, NULL, 0, NULL, 0, 0, &iter, &err));
        NEXT_IS(iter, "a", "of the transaction");
        /* What is refused does not end it. */
        STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_commit(txn, 64, &err));
        TXN_VALUE_IS(txn, "a", "of the transaction");
        if (how == 0) OK(tstore_txn_commit(txn, 0, &err));
        if (how == 1) OK(tstore_txn_rollback(txn, &err));
        if (how < 2) {
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_get(txn, BYTES("a"), NULL, 0, &size, &err));
            CHECK(strstr(err.message, "ended") != NULL);
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_get_value(txn, BYTES("a"), &value, &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_exists(txn, BYTES("a"), &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_put(txn, BYTES("a"), BYTES("x"), &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_delete(txn, BYTES("a"), &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_delete_range(txn, "a", 1, "b", 1, &number, &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_scan(txn, NULL, 0, NULL, 0, 0, &later, &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_savepoint(txn, &number, &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_txn_commit(txn, 0, &err));
            OK(tstore_txn_rollback(txn, &err));
            CHECK(size == 7 && number == 7 && value == NULL && later == NULL);
            if (how == 0) VALUE_IS(db, "a", "of the transaction");
        }
        if (how == 2) tstore_txn_free(txn);
        STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
        STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_iter_seek(iter, BYTES("a"), &err));
        tstore_iter_free(iter);
        if (how < 2) tstore_txn_free(txn);
        if (how > 0) VALUE_IS(db, "a", "1");
        fresh();
    }
}

static void one_of_a_closed_store_answers_closed_and_leaves_no_trace(void) {
    tstore_txn *txn = begin();
    tstore_iter *iter = NULL;
    size_t size = 0;
    OK(tstore_txn_put(txn, BYTES("a"), BYTES("never"), &err));
    OK(tstore_txn_scan(txn, NULL, 0, NULL, 0, 0, &iter, &err));
    OK(tstore_close(db, &err));
    STATUS(TSTORE_E_CLOSED, tstore_txn_get(txn, BYTES("b"), NULL, 0, &size, &err));
    STATUS(TSTORE_E_CLOSED, tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
    STATUS(TSTORE_E_CLOSED, tstore_txn_commit(txn, 0, &err));
    OK(tstore_open("txn.db", NULL, &db, &err));
    VALUE_IS(db, "a", "1");
    tstore_txn_free(txn);
    tstore_iter_free(iter);
}

int main(void) {
    static void (*const tests[])(void) = {
        writes_are_seen_by_itself_and_after_the_commit_by_all,
        what_changed_since_it_was_read_is_a_conflict,
        a_key_that_was_absent_and_came_is_a_conflict,
        a_phantom_is_a_conflict_where_the_scan_came_by,
        a_range_that_was_deleted_and_got_a_key_is_a_conflict,
        write_skew_is_refused,
        blind_writes_and_mere_reads_do_not_conflict,
        the_loop_of_the_header_ends_with_the_change_made,
        savepoints_take_writes_back,
        an_iterator_shows_writes_that_are_still_ahead,
        after_its_end_only_frees_remain,
        one_of_a_closed_store_answers_closed_and_leaves_no_trace,
    };
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_open("txn.db", NULL, &db, &err));
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        fresh();
        tests[i]();
        /* Nothing that was freed holds a snapshot. */
        OK(tstore_stat(db, &stats, &err));
        CHECK(stats.snapshots == 0);
    }
    OK(tstore_close(db, &err));
    return 0;
}
