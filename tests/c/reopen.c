/* What was acknowledged is there after closing and opening again, in every sync and write mode. */
#include "check.h"

static void everything_is_there_again(const char *path, const tstore_options *options) {
    tstore *db = NULL;
    tstore_error err;
    tstore_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_open(path, options, &db, &err));
    OK(tstore_put(db, BYTES("kept"), BYTES("1"), &err));
    OK(tstore_put(db, BYTES("updated"), BYTES("old"), &err));
    OK(tstore_put(db, BYTES("updated"), BYTES("new"), &err));
    OK(tstore_put(db, BYTES("deleted"), BYTES("x"), &err));
    OK(tstore_delete(db, BYTES("deleted"), &err));
    OK(tstore_put(db, BYTES("empty"), NULL, 0, &err));
    OK(tstore_close(db, &err));
    for (int round = 0; round < 4; round++) {
        char key[16];
        int size = snprintf(key, sizeof key, "round %d", round);
        OK(tstore_open(path, options, &db, &err));
        VALUE_IS(db, "kept", "1");
        VALUE_IS(db, "updated", "new");
        VALUE_IS(db, "empty", "");
        STATUS(TSTORE_NOT_FOUND, tstore_exists(db, BYTES("deleted"), &err));
        OK(tstore_stat(db, &stats, &err));
        CHECK(stats.records == 3 + (uint64_t)round);
        CHECK(stats.last_lsn >= 6 + (uint64_t)round);
        OK(tstore_put(db, key, (size_t)size, key, (size_t)size, &err));
        OK(tstore_close(db, &err));
    }
}

int main(void) {
    static const struct {
        int32_t sync_mode;
        uint64_t interval_ms;
        int32_t write_mode;
    } modes[] = {{TSTORE_SYNC_ALWAYS, 0, TSTORE_WRITE_MODE_AUTO},
                 {TSTORE_SYNC_INTERVAL, 0, TSTORE_WRITE_MODE_AUTO},
                 {TSTORE_SYNC_INTERVAL, 50, TSTORE_WRITE_MODE_PWRITE},
                 {TSTORE_SYNC_ON_REQUEST, 0, TSTORE_WRITE_MODE_PWRITE}};
    tstore_error err;
    everything_is_there_again("defaults.db", NULL);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char path[32];
        tstore_options *options = NULL;
        snprintf(path, sizeof path, "mode%u.db", (unsigned)i);
        OK(tstore_options_create(&options, &err));
        OK(tstore_options_set_sync_mode(options, modes[i].sync_mode, modes[i].interval_ms, &err));
        OK(tstore_options_set_write_mode(options, modes[i].write_mode, &err));
        OK(tstore_options_set_segment_size_max(options, 4 << 20, &err));
        everything_is_there_again(path, options);
        tstore_options_free(options);
    }
    return 0;
}
