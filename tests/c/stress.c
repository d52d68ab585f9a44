/*
 * Everything at once, a bounded number of times: money moves between accounts in transactions while others put,
 * delete, scan and look at snapshots. The sum of all accounts is the same at every moment that anybody sees.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>

#include "check.h"

enum { ACCOUNTS = 12, INITIAL = 100, TRANSFERS = 150, LOOKS = 60, NOISE = 400 };

static tstore *db;

/* Which thread this is, and where its numbers come from. */
typedef struct {
    uint32_t thread, state;
} worker;

static uint32_t next_number(worker *w, uint32_t below) {
    w->state = w->state * 1664525u + 1013904223u;
    return (w->state >> 8) % below;
}

static size_t account_key(char *key, size_t room, uint32_t number) {
    return (size_t)snprintf(key, room, "account/%02u", (unsigned)number);
}

/* Moves `amount` from one account to another; TSTORE_NOT_FOUND where there is not enough. */
static int32_t move(tstore_txn *txn, uint32_t from, uint32_t to, int64_t amount, tstore_error *err) {
    char from_key[16], to_key[16];
    size_t from_size = account_key(from_key, sizeof from_key, from);
    size_t to_size = account_key(to_key, sizeof to_key, to), size;
    int64_t has = 0, gets = 0;
    uint64_t savepoint = 0;
    int32_t status = tstore_txn_get(txn, from_key, from_size, &has, sizeof has, &size, err);
    if (status == TSTORE_OK) status = tstore_txn_get(txn, to_key, to_size, &gets, sizeof gets, &size, err);
    if (status != TSTORE_OK) return status;
    has -= amount;
    gets += amount;
    status = tstore_txn_put(txn, from_key, from_size, &has, sizeof has, err);
    if (status == TSTORE_OK) status = tstore_txn_savepoint(txn, &savepoint, err);
    if (status == TSTORE_OK) status = tstore_txn_put(txn, to_key, to_size, "nonsense", 8, err);
    if (status == TSTORE_OK) status = tstore_txn_rollback_to(txn, savepoint, err);
    if (status == TSTORE_OK) status = tstore_txn_put(txn, to_key, to_size, &gets, sizeof gets, err);
    return status == TSTORE_OK && has < 0 ? TSTORE_NOT_FOUND : status;
}

static void *move_money(void *argument) {
    worker *w = argument;
    tstore_error err;
    for (int i = 0; i < TRANSFERS; i++) {
        uint32_t from = next_number(w, ACCOUNTS), to = (from + 1 + next_number(w, ACCOUNTS - 1)) % ACCOUNTS;
        int64_t amount = next_number(w, INITIAL / 2);
        int32_t status;
        do {
            tstore_txn *txn = NULL;
            status = tstore_txn_begin(db, &txn, &err);
            if (status == TSTORE_OK) status = move(txn, from, to, amount, &err);
            if (status == TSTORE_OK) status = tstore_txn_commit(txn, TSTORE_WRITE_NO_WAIT, &err);
            tstore_txn_free(txn);
        } while (status == TSTORE_E_CONFLICT);
        CHECK(status == TSTORE_OK || status == TSTORE_NOT_FOUND);
    }
    return NULL;
}

static void check_sum(tstore_iter *iter) {
    tstore_error err;
    const void *value;
    size_t size;
    int64_t sum = 0;
    int count = 0;
    int32_t status;
    while ((status = tstore_iter_next(iter, NULL, NULL, &value, &size, &err)) == TSTORE_OK) {
        int64_t balance;
        CHECK(size == sizeof balance);
        memcpy(&balance, value, sizeof balance);
        CHECK(balance >= 0);
        sum += balance;
        count++;
    }
    CHECK(status == TSTORE_END && count == ACCOUNTS && sum == ACCOUNTS * INITIAL);
    tstore_iter_free(iter);
}

/* Looks at all accounts as a snapshot, a scan, a batch of records, many keys and a transaction have them. */
static void *look_at_it(void *argument) {
    worker *w = argument;
    tstore_error err;
    for (int i = 0; i < LOOKS; i++) {
        uint32_t backward = next_number(w, 2) ? TSTORE_SCAN_BACKWARD : 0;
        tstore_snapshot *snapshot = NULL;
        tstore_txn *txn = NULL;
        tstore_iter *iter = NULL;
        char keys[ACCOUNTS * 16];
        size_t sizes[ACCOUNTS], keys_size = 0, used = 0;
        int64_t balances[ACCOUNTS], sum = 0;
        OK(tstore_snapshot_create(db, &snapshot, &err));
        OK(tstore_snapshot_scan(snapshot, BYTES("account/"), NULL, 0, TSTORE_SCAN_PREFIX | backward, &iter, &err));
        check_sum(iter);
        for (uint32_t account = 0; account < ACCOUNTS; account++) {
            sizes[account] = account_key(keys + keys_size, sizeof keys - keys_size, account);
            keys_size += sizes[account];
        }
        OK(tstore_snapshot_get_many(snapshot, ACCOUNTS, keys, sizes, balances, sizeof balances, sizes, &used, &err));
        CHECK(used == sizeof balances);
        for (int account = 0; account < ACCOUNTS; account++) sum += balances[account];
        CHECK(sum == ACCOUNTS * INITIAL);
        OK(tstore_scan(db, BYTES("account/"), &iter, &err));
        tstore_snapshot_free(snapshot);
        check_sum(iter);
        OK(tstore_txn_begin(db, &txn, &err));
        OK(tstore_txn_scan(txn, BYTES("account/"), BYTES("account0"), backward, &iter, &err));
        check_sum(iter);
        /* It only read, so it happened at the moment it began. */
        OK(tstore_txn_commit(txn, 0, &err));
        tstore_txn_free(txn);
    }
    return NULL;
}

/* Puts, deletes, counts and scans in a part of the keys of its own, and checks what it gets back. */
static void *make_noise(void *argument) {
    worker *w = argument;
    tstore_error err;
    tstore_batch *batch = NULL;
    char there[16] = {0};
    OK(tstore_batch_create(&batch, &err));
    for (int i = 0; i < NOISE; i++) {
        char key[32];
        uint32_t number = next_number(w, sizeof there);
        size_t size = (size_t)snprintf(key, sizeof key, "noise/%u/%02u", (unsigned)w->thread, (unsigned)number);
        tstore_value *value = NULL;
        tstore_iter *iter = NULL;
        switch (next_number(w, 6)) {
        case 0:
            OK(tstore_put(db, key, size, key, size, &err));
            there[number] = 1;
            break;
        case 1:
            STATUS(there[number] ? TSTORE_OK : TSTORE_NOT_FOUND, tstore_delete(db, key, size, &err));
            there[number] = 0;
            break;
        case 2:
            STATUS(there[number] ? TSTORE_OK : TSTORE_NOT_FOUND, tstore_get_value(db, key, size, &value, &err));
            if (value) CHECK(memcmp(tstore_value_data(value), key, size) == 0);
            tstore_value_free(value);
            break;
        case 3:
            OK(tstore_batch_clear(batch, &err));
            OK(tstore_batch_delete_range(batch, key, 8, "noise0", 6, &err));
            OK(tstore_batch_put(batch, key, size, key, size, &err));
            STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_write(db, batch, 1u << 31, &err));
            OK(tstore_batch_clear(batch, &err));
            OK(tstore_batch_put(batch, key, size, "x", 1, &err));
            OK(tstore_batch_put(batch, key, size, key, size, &err));
            OK(tstore_write(db, batch, TSTORE_WRITE_NO_WAIT, &err));
            there[number] = 1;
            break;
        case 4:
            OK(tstore_increment_u64(db, BYTES("operations"), 1, NULL, &err));
            break;
        default:
            OK(tstore_scan_range(db, key, 8, NULL, 0, TSTORE_SCAN_PREFIX | TSTORE_SCAN_KEYS_ONLY, &iter, &err));
            for (number = 0; number < sizeof there; number++)
                if (there[number]) OK(tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err));
            NO_MORE(iter);
            tstore_iter_free(iter);
        }
    }
    tstore_batch_free(batch);
    return NULL;
}

int main(void) {
    static void *(*const jobs[])(void *) = {move_money, move_money, look_at_it, make_noise, make_noise};
    enum { THREADS = sizeof jobs / sizeof *jobs };
    pthread_t threads[THREADS];
    worker workers[THREADS];
    tstore_error err;
    tstore_options *options = NULL;
    tstore_iter *iter = NULL;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_sync_mode(options, TSTORE_SYNC_ON_REQUEST, 0, &err));
    OK(tstore_options_set_segment_size_max(options, 4 << 20, &err));
    OK(tstore_open("stress.db", options, &db, &err));
    tstore_options_free(options);
    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        char key[16];
        int64_t balance = INITIAL;
        OK(tstore_put(db, key, account_key(key, sizeof key, account), &balance, sizeof balance, &err));
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].thread = i;
        workers[i].state = 2463534242u + i;
        CHECK(pthread_create(&threads[i], NULL, jobs[i], &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.snapshots == 0);
    OK(tstore_close(db, &err));
    /* And it is what the log has. */
    OK(tstore_open("stress.db", NULL, &db, &err));
    OK(tstore_scan(db, BYTES("account/"), &iter, &err));
    check_sum(iter);
    OK(tstore_close(db, &err));
    return 0;
}
