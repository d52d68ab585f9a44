/* A value is read as the type it was stored as, and as no other. */
#include <float.h>
#include <math.h>

#include "check.h"

static void numbers_come_back_exactly(tstore *db) {
    static const int64_t signed_numbers[] = {0, 1, -1, 42, INT64_MAX, INT64_MIN};
    static const uint64_t unsigned_numbers[] = {0, 1, UINT64_MAX, (uint64_t)INT64_MAX + 1};
    static const double floats[] = {0.0, -0.0, 1.5, DBL_MAX, -DBL_MIN, HUGE_VAL, -HUGE_VAL};
    tstore_error err;
    for (size_t i = 0; i < sizeof signed_numbers / sizeof *signed_numbers; i++) {
        int64_t back = 77;
        OK(tstore_put_i64(db, BYTES("n"), signed_numbers[i], &err));
        OK(tstore_get_i64(db, BYTES("n"), &back, &err));
        CHECK(back == signed_numbers[i]);
    }
    for (size_t i = 0; i < sizeof unsigned_numbers / sizeof *unsigned_numbers; i++) {
        uint64_t back = 77;
        OK(tstore_put_u64(db, BYTES("n"), unsigned_numbers[i], &err));
        OK(tstore_get_u64(db, BYTES("n"), &back, &err));
        CHECK(back == unsigned_numbers[i]);
    }
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        double back = 77;
        OK(tstore_put_f64(db, BYTES("n"), floats[i], &err));
        OK(tstore_get_f64(db, BYTES("n"), &back, &err));
        CHECK(memcmp(&back, &floats[i], sizeof back) == 0);
    }
    double nan_back = 0, nan_value = HUGE_VAL - HUGE_VAL;
    OK(tstore_put_f64(db, BYTES("n"), nan_value, &err));
    OK(tstore_get_f64(db, BYTES("n"), &nan_back, &err));
    CHECK(memcmp(&nan_back, &nan_value, sizeof nan_back) == 0);
}

static void truth_values_are_0_or_1(tstore *db) {
    tstore_error err;
    int32_t back = 77;
    OK(tstore_put_bool(db, BYTES("b"), 0, &err));
    OK(tstore_get_bool(db, BYTES("b"), &back, &err));
    CHECK(back == 0);
    OK(tstore_put_bool(db, BYTES("b"), -8, &err));
    OK(tstore_get_bool(db, BYTES("b"), &back, &err));
    CHECK(back == 1);
}

static void strings_end_with_a_nul(tstore *db) {
    tstore_error err;
    char buffer[16];
    size_t size = 0;
    OK(tstore_put_string(db, BYTES("s"), BYTES("h\xc3\xa4llo"), &err));
    memset(buffer, 'x', sizeof buffer);
    OK(tstore_get_string(db, BYTES("s"), buffer, 7, &size, &err));
    CHECK(size == 6 && strcmp(buffer, "h\xc3\xa4llo") == 0 && buffer[7] == 'x');
    memset(buffer, 'x', sizeof buffer);
    size = 0;
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_get_string(db, BYTES("s"), buffer, 6, &size, &err));
    CHECK(size == 6 && buffer[0] == 'x');
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_get_string(db, BYTES("s"), NULL, 0, &size, &err));
    CHECK(size == 6);
    /* The empty string needs room for its NUL; a NUL within a string is a character. */
    OK(tstore_put_string(db, BYTES("s"), NULL, 0, &err));
    STATUS(TSTORE_BUFFER_TOO_SMALL, tstore_get_string(db, BYTES("s"), NULL, 0, &size, &err));
    CHECK(size == 0);
    OK(tstore_get_string(db, BYTES("s"), buffer, 1, &size, &err));
    CHECK(size == 0 && buffer[0] == '\0');
    OK(tstore_put_string(db, BYTES("s"), BYTES("a\0b"), &err));
    OK(tstore_get_string(db, BYTES("s"), buffer, sizeof buffer, &size, &err));
    CHECK(size == 3 && memcmp(buffer, "a\0b", 4) == 0);
}

static void what_is_no_utf8_is_no_string(tstore *db) {
    static const char *const bad[] = {"\x80", "a\xff", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                     "\xc0\xaf"};
    tstore_error err;
    OK(tstore_put_string(db, BYTES("s"), BYTES("good"), &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_put_string(db, BYTES("s"), bad[i], strlen(bad[i]), &err));
        CHECK(strstr(err.message, "UTF-8") != NULL);
    }
    VALUE_IS(db, "s", "good");
}

static void another_type_is_told_by_name(tstore *db) {
    tstore_error err;
    int64_t i = 77;
    uint64_t u = 77;
    double f = 77;
    int32_t b = 77;
    char buffer[16];
    size_t size = 77;
    OK(tstore_put_f64(db, BYTES("k"), 1.0, &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_get_i64(db, BYTES("k"), &i, &err));
    CHECK(strstr(err.message, "f64") != NULL && strstr(err.message, "i64") != NULL);
    CHECK(err.detail == TSTORE_TYPE_F64);
    STATUS(TSTORE_WRONG_TYPE, tstore_get_u64(db, BYTES("k"), &u, &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_get_bool(db, BYTES("k"), &b, &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_get_string(db, BYTES("k"), buffer, sizeof buffer, &size, &err));
    OK(tstore_put(db, BYTES("k"), BYTES("12345678"), &err));
    STATUS(TSTORE_WRONG_TYPE, tstore_get_f64(db, BYTES("k"), &f, &err));
    CHECK(strstr(err.message, "bytes") != NULL && err.detail == TSTORE_TYPE_BYTES);
    /* Nothing was written to the outputs. */
    CHECK(i == 77 && u == 77 && f == 77 && b == 77 && size == 77);
    /* As bytes every type can be read. */
    OK(tstore_put_i64(db, BYTES("k"), 258, &err));
    VALUE_IS(db, "k", "\x02\x01\0\0\0\0\0\0");
}

static void absent_is_not_found_for_every_type(tstore *db) {
    tstore_error err;
    int64_t i;
    uint64_t u;
    double f;
    int32_t b;
    char buffer[16];
    size_t size;
    STATUS(TSTORE_NOT_FOUND, tstore_get_i64(db, BYTES("absent"), &i, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_get_u64(db, BYTES("absent"), &u, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_get_f64(db, BYTES("absent"), &f, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_get_bool(db, BYTES("absent"), &b, &err));
    STATUS(TSTORE_NOT_FOUND, tstore_get_string(db, BYTES("absent"), buffer, sizeof buffer, &size, &err));
}

static void put_with_takes_only_bytes_of_the_type(tstore *db) {
    tstore_error err;
    int64_t i = 0;
    OK(tstore_put_with(db, BYTES("k"), BYTES("\x05\0\0\0\0\0\0\0"), TSTORE_TYPE_I64, 0, &err));
    OK(tstore_get_i64(db, BYTES("k"), &i, &err));
    CHECK(i == 5);
    static const struct {
        const char *bytes;
        size_t size;
        int32_t type;
    } refused[] = {{"1234567", 7, TSTORE_TYPE_I64}, {"123456789", 9, TSTORE_TYPE_U64},
                   {NULL, 0, TSTORE_TYPE_F64},      {"\x02", 1, TSTORE_TYPE_BOOL},
                   {"\1\1", 2, TSTORE_TYPE_BOOL},   {"\xff", 1, TSTORE_TYPE_STRING},
                   {"x", 1, 7},                     {"x", 1, -1},
                   {"x", 1, 256}};
    for (size_t at = 0; at < sizeof refused / sizeof *refused; at++) {
        STATUS(TSTORE_E_INVALID_ARGUMENT, tstore_put_with(db, BYTES("k"), refused[at].bytes, refused[at].size,
                                                          refused[at].type, 0, &err));
    }
    OK(tstore_get_i64(db, BYTES("k"), &i, &err));
    CHECK(i == 5);
}

static void types_survive_reopening(void) {
    tstore *db = NULL;
    tstore_error err;
    int64_t i = 0;
    int32_t b = 0;
    char buffer[8];
    size_t size;
    OK(tstore_open("types.db", NULL, &db, &err));
    OK(tstore_put_i64(db, BYTES("i"), -5, &err));
    OK(tstore_put_bool(db, BYTES("b"), 1, &err));
    OK(tstore_put_string(db, BYTES("s"), BYTES("text"), &err));
    OK(tstore_close(db, &err));
    OK(tstore_open("types.db", NULL, &db, &err));
    OK(tstore_get_i64(db, BYTES("i"), &i, &err));
    OK(tstore_get_bool(db, BYTES("b"), &b, &err));
    OK(tstore_get_string(db, BYTES("s"), buffer, sizeof buffer, &size, &err));
    CHECK(i == -5 && b == 1 && strcmp(buffer, "text") == 0);
    OK(tstore_close(db, &err));
}

int main(void) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open("typed.db", NULL, &db, &err));
    numbers_come_back_exactly(db);
    truth_values_are_0_or_1(db);
    strings_end_with_a_nul(db);
    what_is_no_utf8_is_no_string(db);
    another_type_is_told_by_name(db);
    absent_is_not_found_for_every_type(db);
    put_with_takes_only_bytes_of_the_type(db);
    OK(tstore_close(db, &err));
    types_survive_reopening();
    return 0;
}
