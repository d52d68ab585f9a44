/*
 * A full disk: the put that does not fit is refused, nothing acknowledged is lost, and with space it goes on.
 *
 * The limit on the size of files stands in for the disk: it needs no privileges, and where it is reached the
 * kernel would end the process if the library let it come to that.
 */
#define _XOPEN_SOURCE 700
#include <sys/resource.h>

#include "check.h"

enum { VALUE_SIZE = 1 << 20, MANY = 200 };

static void limit_files_to(rlim_t size) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = size == 0 ? limit.rlim_max : size;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* The value number i. */
static void fill(char *value, int i) {
    memset(value, 'a' + i % 26, VALUE_SIZE);
}

static void all_are_there(tstore *db, int count) {
    tstore_error err;
    char *wanted = (char *)malloc(VALUE_SIZE);
    CHECK(wanted != NULL);
    for (int i = 0; i < count; i++) {
        tstore_value *value = NULL;
        OK(tstore_get_value(db, &i, sizeof i, &value, &err));
        fill(wanted, i);
        CHECK(tstore_value_size(value) == VALUE_SIZE);
        CHECK(memcmp(tstore_value_data(value), wanted, VALUE_SIZE) == 0);
        tstore_value_free(value);
    }
    VALUE_IS(db, "small", "before");
    free(wanted);
}

static void a_full_disk_refuses_and_loses_nothing(const char *path, int32_t write_mode) {
    tstore *db = NULL;
    tstore_error err;
    tstore_options *options = NULL;
    char *value = (char *)malloc(VALUE_SIZE);
    int count = 0;
    int32_t status = TSTORE_OK;
    CHECK(value != NULL);
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_write_mode(options, write_mode, &err));
    OK(tstore_open(path, options, &db, &err));
    OK(tstore_put(db, BYTES("small"), BYTES("before"), &err));
    /* Less than the smallest segment: the one there is cannot be followed by another. */
    limit_files_to((4 << 20) - 4096);
    for (; count < MANY && status == TSTORE_OK; count++) {
        fill(value, count);
        status = tstore_put_with(db, &count, sizeof count, value, VALUE_SIZE, TSTORE_TYPE_BYTES,
                                 TSTORE_WRITE_NO_WAIT, &err);
    }
    count--;
    CHECK(status == TSTORE_E_NO_SPACE && err.code == status && err.os_errno != 0);
    CHECK(strstr(err.message, "no space left") != NULL && strstr(err.message, "nothing was written") != NULL);
    /* Refused again, and still everything can be read. */
    STATUS(TSTORE_E_NO_SPACE, tstore_put(db, &count, sizeof count, value, VALUE_SIZE, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_exists(db, &count, sizeof count, &err));
    all_are_there(db, count);
    /* With space it goes on. */
    limit_files_to(0);
    OK(tstore_put(db, &count, sizeof count, value, VALUE_SIZE, &err));
    count++;
    all_are_there(db, count);
    OK(tstore_close(db, &err));
    OK(tstore_open(path, options, &db, &err));
    all_are_there(db, count);
    OK(tstore_close(db, &err));
    tstore_options_free(options);
    free(value);
}

static void a_store_on_a_full_disk_can_be_opened_and_read(void) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open("read.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("small"), BYTES("before"), &err));
    OK(tstore_close(db, &err));
    limit_files_to(4096);
    OK(tstore_open("read.db", NULL, &db, &err));
    VALUE_IS(db, "small", "before");
    STATUS(TSTORE_E_NO_SPACE, tstore_put(db, BYTES("small"), BYTES("after"), &err));
    VALUE_IS(db, "small", "before");
    limit_files_to(0);
    OK(tstore_put(db, BYTES("small"), BYTES("after"), &err));
    OK(tstore_close(db, &err));
    OK(tstore_open("read.db", NULL, &db, &err));
    VALUE_IS(db, "small", "after");
    OK(tstore_close(db, &err));
}

int main(void) {
    a_full_disk_refuses_and_loses_nothing("full.db", TSTORE_WRITE_MODE_AUTO);
    a_full_disk_refuses_and_loses_nothing("full-pwrite.db", TSTORE_WRITE_MODE_PWRITE);
    a_store_on_a_full_disk_can_be_opened_and_read();
    return 0;
}
