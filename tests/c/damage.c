/* Damaged files: an answer is right, or an error says where the damage is. Never a wrong value, no crash. */
#include "check.h"

enum { HEADER_SIZE = 128, VERSION_AT = 8, CHECKSUM_AT = 124, RECORDS = 20 };
#define SEGMENT "00000001.bin"

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = (unsigned char *)malloc(*size);
    CHECK(bytes != NULL && fread(bytes, 1, *size, file) == *size && fclose(file) == 0);
    return bytes;
}

static void write_file(const char *path, const unsigned char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* CRC-32C, bit by bit. */
static uint32_t checksum(const unsigned char *bytes, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82F63B78u & (0u - (crc & 1u)));
    }
    return ~crc;
}

static void put_u32(unsigned char *at, uint32_t number) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(number >> 8 * i);
}

static size_t find(const unsigned char *bytes, size_t size, const char *text) {
    for (size_t at = 0; at + strlen(text) <= size; at++) {
        if (memcmp(bytes + at, text, strlen(text)) == 0) return at;
    }
    CHECK(!"found");
    return 0;
}

/* A closed store with RECORDS durable records, "key NN" to "value NN"; the path of its segment. */
static const char *create(const char *path, char *segment, size_t segment_size) {
    tstore *db = NULL;
    tstore_error err;
    OK(tstore_open(path, NULL, &db, &err));
    for (int i = 0; i < RECORDS; i++) {
        char key[8], value[16];
        snprintf(key, sizeof key, "key %02d", i);
        snprintf(value, sizeof value, "value %02d", i);
        OK(tstore_put(db, key, 6, value, 8, &err));
    }
    OK(tstore_close(db, &err));
    snprintf(segment, segment_size, "%s/" SEGMENT, path);
    return segment;
}

/* Opens a damaged store. Where that is refused, it is with CORRUPT and a place. Where it is not, each record
   is right, or CORRUPT, or, if `may_be_absent`, not there. */
static void is_right_or_corrupt(const char *path, int may_be_absent) {
    tstore *db = NULL;
    tstore_error err;
    int32_t status = tstore_open(path, NULL, &db, &err);
    if (status != TSTORE_OK) {
        CHECK(status == TSTORE_E_CORRUPT && db == NULL && err.code == status);
        CHECK(strstr(err.message, ".bin") != NULL && strstr(err.message, "damaged at offset") != NULL);
        return;
    }
    for (int i = 0; i < RECORDS; i++) {
        char key[8], value[16], buffer[16];
        size_t size = 0;
        snprintf(key, sizeof key, "key %02d", i);
        snprintf(value, sizeof value, "value %02d", i);
        status = tstore_get(db, key, 6, buffer, sizeof buffer, &size, &err);
        if (status == TSTORE_OK) {
            CHECK(size == 8 && memcmp(buffer, value, 8) == 0);
        } else if (status == TSTORE_NOT_FOUND) {
            CHECK(may_be_absent);
        } else {
            CHECK(status == TSTORE_E_CORRUPT);
        }
    }
    OK(tstore_close(db, &err));
}

static void a_newer_format_is_refused_with_its_version(void) {
    char segment[64];
    size_t size;
    tstore *db = NULL;
    tstore_error err;
    create("newer.db", segment, sizeof segment);
    unsigned char *bytes = read_file(segment, &size);
    put_u32(bytes + VERSION_AT, 99);
    put_u32(bytes + CHECKSUM_AT, checksum(bytes, CHECKSUM_AT));
    write_file(segment, bytes, size);
    free(bytes);
    STATUS(TSTORE_E_VERSION, tstore_open("newer.db", NULL, &db, &err));
    CHECK(err.detail == 99 && strstr(err.message, "99") != NULL && strstr(err.message, "upgrade") != NULL);
}

static void a_flipped_bit_in_an_early_record_is_damage(void) {
    char segment[64];
    size_t size;
    create("flipped.db", segment, sizeof segment);
    unsigned char *bytes = read_file(segment, &size);
    bytes[find(bytes, size, "value 03")] ^= 1;
    write_file(segment, bytes, size);
    free(bytes);
    is_right_or_corrupt("flipped.db", 0);
}

static void a_flipped_bit_in_the_header_is_damage(void) {
    static const size_t places[] = {0, 7, 8, 16, 40, 100, 127};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[32], segment[64];
        size_t size;
        tstore *db = NULL;
        tstore_error err;
        snprintf(path, sizeof path, "header%u.db", (unsigned)i);
        create(path, segment, sizeof segment);
        unsigned char *bytes = read_file(segment, &size);
        CHECK(size > HEADER_SIZE);
        bytes[places[i]] ^= 0x10;
        write_file(segment, bytes, size);
        free(bytes);
        int32_t status = tstore_open(path, NULL, &db, &err);
        CHECK(status == TSTORE_E_CORRUPT || status == TSTORE_E_NOT_A_STORE);
        CHECK(db == NULL && strstr(err.message, ".bin") != NULL);
    }
}

static void a_cut_segment_loses_nothing_silently_but_its_tail(void) {
    char segment[64];
    size_t size;
    create("whole.db", segment, sizeof segment);
    unsigned char *bytes = read_file(segment, &size);
    size_t last = find(bytes, size, "value 19");
    const size_t lengths[] = {0, 1, 127, 128, 4000, find(bytes, size, "value 10"), last, last + 4, size - 1};
    free(bytes);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char path[32];
        snprintf(path, sizeof path, "cut%u.db", (unsigned)i);
        create(path, segment, sizeof segment);
        bytes = read_file(segment, &size);
        write_file(segment, bytes, lengths[i]);
        free(bytes);
        is_right_or_corrupt(path, 1);
    }
}

static void a_foreign_file_under_a_segments_name_is_refused(void) {
    char segment[64];
    tstore *db = NULL;
    tstore_error err;
    create("foreign.db", segment, sizeof segment);
    write_file(segment, (const unsigned char *)"These are not the bytes of a segment.", 37);
    int32_t status = tstore_open("foreign.db", NULL, &db, &err);
    CHECK(status == TSTORE_E_CORRUPT || status == TSTORE_E_NOT_A_STORE);
    CHECK(db == NULL && strstr(err.message, SEGMENT) != NULL);
}

static void a_foreign_file_beside_the_segments_does_no_harm(void) {
    char segment[64];
    tstore *db = NULL;
    tstore_error err;
    size_t size;
    create("beside.db", segment, sizeof segment);
    write_file("beside.db/notes.txt", (const unsigned char *)"hello", 5);
    OK(tstore_open("beside.db", NULL, &db, &err));
    VALUE_IS(db, "key 07", "value 07");
    OK(tstore_close(db, &err));
    free(read_file("beside.db/notes.txt", &size));
    CHECK(size == 5);
}

int main(void) {
    a_newer_format_is_refused_with_its_version();
    a_flipped_bit_in_an_early_record_is_damage();
    a_flipped_bit_in_the_header_is_damage();
    a_cut_segment_loses_nothing_silently_but_its_tail();
    a_foreign_file_under_a_segments_name_is_refused();
    a_foreign_file_beside_the_segments_does_no_harm();
    return 0;
}
