/* Import of a file of the Go TinyStoreDB: the first value wins, damage has a place, progress can cancel. */
#include "check.h"

/* Appends a member to `file` as the Go program wrote it; of less than 100 bytes: a size takes one. */
static void member(FILE *file, const char *text) {
    unsigned char size = (unsigned char)strlen(text);
    unsigned char head[8] = {0, 0, 0, 0, 0, 12, 0, 0};
    head[3] = (unsigned char)(size + 4);
    head[4] = (unsigned char)(size + 3);
    head[7] = size;
    CHECK(fwrite(head, 1, sizeof head, file) == sizeof head && fwrite(text, 1, size, file) == size);
}

static void create(const char *path, int damaged) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    member(file, "a"), member(file, "first a");
    member(file, "b"), member(file, "only b");
    member(file, "a"), member(file, "second a");
    if (damaged) {
        CHECK(fputs("garbage", file) >= 0);
    } else {
        member(file, "c"), member(file, "only c");
    }
    CHECK(fclose(file) == 0);
}

/* Bytes of the pairs before the damage. */
#define UNDAMAGED (6 * 8 + 1 + 7 + 1 + 6 + 1 + 8)

static tstore_import_report empty_report(void) {
    tstore_import_report report;
    memset(&report, 0, sizeof report);
    report.struct_size = sizeof report;
    return report;
}

static void the_first_value_of_a_key_wins(void) {
    tstore *db = NULL;
    tstore_error err;
    tstore_import_report report = empty_report();
    OK(tstore_open("good.db", NULL, &db, &err));
    OK(tstore_import_go(db, "good.bin", 0, NULL, NULL, &report, &err));
    CHECK(report.pairs_read == 4 && report.imported == 3 && report.duplicates == 1 && report.existing == 0);
    CHECK(report.damaged == 0 && report.stopped_at == 0 && report.damage[0] == '\0');
    CHECK(report.struct_size == sizeof report);
    VALUE_IS(db, "a", "first a");
    VALUE_IS(db, "b", "only b");
    VALUE_IS(db, "c", "only c");
    int32_t type = -1;
    OK(tstore_describe(db, BYTES("a"), NULL, &type, &err));
    CHECK(type == TSTORE_TYPE_STRING);
    OK(tstore_close(db, &err));
}

static void keys_of_the_store_are_kept_unless_asked(void) {
    tstore *db = NULL;
    tstore_error err;
    tstore_import_report report = empty_report();
    OK(tstore_open("existing.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("a"), BYTES("mine"), &err));
    OK(tstore_import_go(db, "good.bin", 0, NULL, NULL, &report, &err));
    CHECK(report.imported == 2 && report.existing == 1);
    VALUE_IS(db, "a", "mine");
    OK(tstore_import_go(db, "good.bin", TSTORE_IMPORT_OVERWRITE, NULL, NULL, &report, &err));
    CHECK(report.imported == 3 && report.existing == 0);
    VALUE_IS(db, "a", "first a");
    /* The report may be left out. */
    OK(tstore_import_go(db, "good.bin", 0, NULL, NULL, NULL, &err));
    OK(tstore_close(db, &err));
}

static void a_damaged_file_is_refused_unless_asked(void) {
    tstore *db = NULL;
    tstore_error err;
    tstore_stats stats;
    tstore_import_report report = empty_report();
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    OK(tstore_open("damaged.db", NULL, &db, &err));
    report.imported = 77;
    STATUS(TSTORE_E_DAMAGED_IMPORT, tstore_import_go(db, "damaged.bin", 0, NULL, NULL, &report, &err));
    CHECK(err.offset == UNDAMAGED && report.imported == 77);
    OK(tstore_stat(db, &stats, &err));
    CHECK(stats.records == 0);
    OK(tstore_import_go(db, "damaged.bin", TSTORE_IMPORT_KEEP_GOING, NULL, NULL, &report, &err));
    CHECK(report.damaged == 1 && report.stopped_at == UNDAMAGED && strlen(report.damage) > 0);
    CHECK(report.pairs_read == 3 && report.imported == 2 && report.duplicates == 1);
    VALUE_IS(db, "a", "first a");
    VALUE_IS(db, "b", "only b");
    OK(tstore_close(db, &err));
}

static int32_t count_calls(void *ctx, const tstore_progress *progress) {
    int *calls = (int *)ctx;
    CHECK(progress->struct_size >= sizeof *progress);
    CHECK(progress->done_bytes <= progress->total_bytes);
    *calls += 1;
    return 0;
}

static int32_t cancel(void *ctx, const tstore_progress *progress) {
    CHECK(ctx == NULL && progress != NULL);
    return 1;
}

static void progress_is_told_and_can_cancel(void) {
    tstore *db = NULL;
    tstore_error err;
    int calls = 0;
    tstore_import_report report = empty_report();
    OK(tstore_open("progress.db", NULL, &db, &err));
    STATUS(TSTORE_E_CANCELLED, tstore_import_go(db, "good.bin", 0, cancel, NULL, &report, &err));
    CHECK(report.pairs_read == 0);
    OK(tstore_import_go(db, "good.bin", TSTORE_IMPORT_OVERWRITE, count_calls, &calls, &report, &err));
    CHECK(calls > 0 && report.imported == 3);
    OK(tstore_close(db, &err));
}

static void a_file_that_is_not_there_is_an_error(void) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open("missing.db", NULL, &db, &err));
    int32_t status = tstore_import_go(db, "no-such-file.bin", 0, NULL, NULL, NULL, &err);
    CHECK(status < 0 && err.code == status && strstr(err.message, "no-such-file.bin") != NULL);
    OK(tstore_close(db, &err));
}

int main(void) {
    create("good.bin", 0);
    create("damaged.bin", 1);
    the_first_value_of_a_key_wins();
    keys_of_the_store_are_kept_unless_asked();
    a_damaged_file_is_refused_unless_asked();
    progress_is_told_and_can_cancel();
    a_file_that_is_not_there_is_an_error();
    return 0;
}
