/*
 * tstore: a shell for TinyStoreDB, and an example of a complete program. See the usage text below.
 *
 * Output: `get` writes the bytes of the value and nothing else, so that they can go to a file or a pipe as they
 * are; only on a terminal a newline follows. `scan` and `range` write a line for each record, key, tab, value, in which
 * bytes that are not printable ASCII, and backslashes, are escaped as in C: \n, \t, \\, \xNN. Text that was
 * stored as a string is UTF-8, so there only control characters and backslashes are escaped. Numbers and truth
 * values are written as text.
 */
#define _POSIX_C_SOURCE 200809L /* isatty, fileno */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tinystoredb.h"

static const char usage_text[] =
    "usage: tstore DIR COMMAND [ARGUMENTS]\n"
    "\n"
    "  put KEY [VALUE]                store VALUE, or standard input, under KEY\n"
    "  get KEY                        write the value of KEY\n"
    "  del KEY                        delete KEY\n"
    "  exists KEY                     tell whether KEY is there by the exit status\n"
    "  scan [PREFIX]                  list the records, or those whose keys start with PREFIX, in order\n"
    "  range FROM TO [--backward]     list the records from FROM on and before TO; '' is no bound\n"
    "  del-range FROM TO              delete them, and write how many there were\n"
    "  ttl KEY [SECONDS]              write in how many seconds KEY expires, or let it expire in SECONDS;\n"
    "                                 the answer for one that never does is 'never'\n"
    "  import-go FILE [--keep-going]  import a file of the Go TinyStoreDB; with --keep-going, of a\n"
    "                                 damaged one what stands before the damage\n"
    "  stat                           write figures about the store\n"
    "\n"
    "DIR is the store's directory. put and import-go create it where it is missing.\n"
    "\n"
    "exit status: 0 done, 1 no such key, 2 wrong usage, 3 failed (standard error says why),\n"
    "             4 import-go --keep-going stopped at damage\n";

enum { DONE = 0, NO_SUCH_KEY = 1, WRONG_USAGE = 2, FAILED = 3, STOPPED_AT_DAMAGE = 4 };

static int usage(void) {
    fputs(usage_text, stderr);
    return WRONG_USAGE;
}

static int fail(const tstore_error *err) {
    fprintf(stderr, "tstore: %s (%s)\n", err->message, tstore_status_name(err->code));
    return FAILED;
}

/* The exit status for the answer of a call about one key. */
static int done_or_no_such_key(int32_t status, const tstore_error *err) {
    if (status == TSTORE_OK) return DONE;
    if (status == TSTORE_NOT_FOUND) return NO_SUCH_KEY;
    return fail(err);
}

/* Reads all of standard input to memory that the caller frees. 0 if that fails. */
static int read_input(char **bytes, size_t *size) {
    size_t capacity = 4096;
    *size = 0;
    *bytes = malloc(capacity);
    while (*bytes != NULL) {
        size_t got = fread(*bytes + *size, 1, capacity - *size, stdin);
        *size += got;
        if (got == 0) return !ferror(stdin);
        if (*size == capacity) {
            char *larger = realloc(*bytes, capacity *= 2);
            if (larger == NULL) free(*bytes);
            *bytes = larger;
        }
    }
    return 0;
}

static int put(tstore *db, const char *key, const char *value) {
    tstore_error err;
    char *input = NULL;
    size_t size = value != NULL ? strlen(value) : 0;
    int32_t status;
    if (value == NULL) {
        if (!read_input(&input, &size)) {
            perror("tstore: reading standard input");
            free(input);
            return FAILED;
        }
        value = input;
    }
    status = tstore_put(db, key, strlen(key), value, size, &err);
    free(input);
    return done_or_no_such_key(status, &err);
}

/* The 8 bytes of a number, which are little-endian on every machine. */
static uint64_t number(const unsigned char *bytes) {
    uint64_t number = 0;
    int i;
    for (i = 7; i >= 0; i--) number = number << 8 | bytes[i];
    return number;
}

static void write_escaped(const unsigned char *bytes, size_t size, int is_utf8) {
    size_t i;
    for (i = 0; i < size; i++) {
        unsigned char byte = bytes[i];
        if (byte == '\\') fputs("\\\\", stdout);
        else if (byte == '\n') fputs("\\n", stdout);
        else if (byte == '\t') fputs("\\t", stdout);
        else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_utf8)) printf("\\x%02x", byte);
        else putchar(byte);
    }
}

/* Writes a value: numbers as text, everything else as it is, or escaped. */
static void write_value(const void *value, size_t size, int32_t type, int escaped) {
    const unsigned char *bytes = value;
    uint64_t bits;
    double real;
    if (type == TSTORE_TYPE_I64 && size == 8) {
        bits = number(bytes);
        printf("%s%llu", bits >> 63 ? "-" : "", (unsigned long long)(bits >> 63 ? 0 - bits : bits));
    } else if (type == TSTORE_TYPE_U64 && size == 8) {
        printf("%llu", (unsigned long long)number(bytes));
    } else if (type == TSTORE_TYPE_F64 && size == 8) {
        bits = number(bytes);
        memcpy(&real, &bits, sizeof real);
        printf("%.17g", real);
    } else if (type == TSTORE_TYPE_BOOL && size == 1) {
        fputs(bytes[0] ? "true" : "false", stdout);
    } else if (escaped) {
        write_escaped(bytes, size, type == TSTORE_TYPE_STRING);
    } else {
        fwrite(bytes, 1, size, stdout);
    }
}

static int get(tstore *db, const char *key) {
    tstore_error err;
    tstore_value *value = NULL;
    int32_t status = tstore_get_value(db, key, strlen(key), &value, &err);
    if (status == TSTORE_OK) {
        write_value(tstore_value_data(value), tstore_value_size(value), tstore_value_type(value), 0);
        if (isatty(fileno(stdout))) putchar('\n');
    }
    tstore_value_free(value);
    return done_or_no_such_key(status, &err);
}

/* Lists records; see tstore_scan_range. */
static int list(tstore *db, const char *from, const char *to, uint32_t flags) {
    tstore_error err;
    tstore_iter *iter = NULL;
    const void *key, *value;
    size_t key_size, value_size;
    int32_t status;
    if (tstore_scan_range(db, from, strlen(from), to, strlen(to), flags, &iter, &err) != TSTORE_OK)
        return fail(&err);
    while ((status = tstore_iter_next(iter, &key, &key_size, &value, &value_size, &err)) == TSTORE_OK) {
        write_escaped(key, key_size, 0);
        putchar('\t');
        write_value(value, value_size, tstore_iter_value_type(iter), 1);
        putchar('\n');
    }
    tstore_iter_free(iter);
    /* The end and a failure are different answers. */
    return status == TSTORE_END ? DONE : fail(&err);
}

static int delete_range(tstore *db, const char *from, const char *to) {
    tstore_error err;
    uint64_t count = 0;
    if (tstore_delete_range(db, from, strlen(from), to, strlen(to), &count, &err) != TSTORE_OK) return fail(&err);
    printf("%llu\n", (unsigned long long)count);
    return DONE;
}

/* The number of seconds that a text says, below 2^31; -1 where it says none. */
static long seconds_of(const char *text) {
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && seconds < 0x7fffffffUL ? (long)seconds : -1;
}

static int time_to_live(tstore *db, const char *key, const char *seconds) {
    tstore_error err;
    int64_t ms = 0;
    int32_t status;
    if (seconds != NULL) {
        int64_t expires_at = tstore_clock_ms() + (int64_t)seconds_of(seconds) * 1000;
        return done_or_no_such_key(tstore_expire(db, key, strlen(key), expires_at, &err), &err);
    }
    status = tstore_remaining(db, key, strlen(key), &ms, &err);
    if (status == TSTORE_OK && ms < 0) puts("never");
    else if (status == TSTORE_OK) printf("%lld\n", (long long)((ms + 999) / 1000));
    return done_or_no_such_key(status, &err);
}

/* Shows how far an import has come, on a terminal only. */
static int32_t show_progress(void *ctx, const tstore_progress *progress) {
    (void)ctx;
    if (isatty(fileno(stderr)) && progress->total_bytes > 0) {
        double share = (double)progress->done_bytes / (double)progress->total_bytes;
        fprintf(stderr, "\r%3d%%%s", (int)(share * 100), share < 1 ? "" : "\n");
    }
    return 0; /* go on */
}

static int import_go(tstore *db, const char *file, int keep_going) {
    tstore_error err;
    tstore_import_report report = {0};
    uint32_t flags = keep_going ? TSTORE_IMPORT_KEEP_GOING : 0;
    report.struct_size = sizeof report;
    if (tstore_import_go(db, file, flags, show_progress, NULL, &report, &err) != TSTORE_OK) return fail(&err);
    printf("read %llu pairs: imported %llu, left out %llu duplicates and %llu keys that the store had\n",
           (unsigned long long)report.pairs_read, (unsigned long long)report.imported,
           (unsigned long long)report.duplicates, (unsigned long long)report.existing);
    if (!report.damaged) return DONE;
    fprintf(stderr, "tstore: stopped at damage at byte %llu of %s: %s\n",
            (unsigned long long)report.stopped_at, file, report.damage);
    return STOPPED_AT_DAMAGE;
}

static int show_stats(tstore *db) {
    tstore_error err;
    tstore_stats stats = {0};
    stats.struct_size = sizeof stats;
    if (tstore_stat(db, &stats, &err) != TSTORE_OK) return fail(&err);
    printf("records      %llu\n", (unsigned long long)stats.records);
    printf("segments     %llu\n", (unsigned long long)stats.segments);
    printf("log bytes    %llu\n", (unsigned long long)stats.log_bytes);
    printf("index bytes  %llu\n", (unsigned long long)stats.index_bytes);
    printf("last lsn     %llu\n", (unsigned long long)stats.last_lsn);
    printf("durable lsn  %llu\n", (unsigned long long)stats.durable_lsn);
    return DONE;
}

/* A command line that makes sense: the name of a command with the number of arguments it takes. */
static int is_command(const char *command, const char *name, int count, int least, int most) {
    return strcmp(command, name) == 0 && count >= least && count <= most;
}

int main(int argc, char **argv) {
    const char *command = argc > 2 ? argv[2] : "";
    const char *first = argc > 3 ? argv[3] : NULL, *second = argc > 4 ? argv[4] : NULL;
    int count = argc - 3; /* arguments of the command */
    int is_put = is_command(command, "put", count, 1, 2);
    int is_get = is_command(command, "get", count, 1, 1);
    int is_del = is_command(command, "del", count, 1, 1);
    int is_exists = is_command(command, "exists", count, 1, 1);
    int is_scan = is_command(command, "scan", count, 0, 1);
    int is_range = is_command(command, "range", count, 2, 3) && (count == 2 || strcmp(argv[5], "--backward") == 0);
    int is_del_range = is_command(command, "del-range", count, 2, 2);
    int is_ttl = is_command(command, "ttl", count, 1, 2) && (second == NULL || seconds_of(second) >= 0);
    int is_stat = is_command(command, "stat", count, 0, 0);
    int is_import = is_command(command, "import-go", count, 1, 2) &&
                    (second == NULL || strcmp(second, "--keep-going") == 0);
    tstore_options *options = NULL;
    tstore *db = NULL;
    tstore_error err;
    int32_t status;
    int result;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage_text, stdout);
        return DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts(tstore_build_info());
        return DONE;
    }
    if (!(is_put || is_get || is_del || is_exists || is_scan || is_range || is_del_range || is_ttl || is_stat ||
          is_import))
        return usage();

    /* Reading a store that is not there should not create one. */
    if (tstore_options_create(&options, &err) != TSTORE_OK) return fail(&err);
    status = tstore_options_set_create_if_missing(options, is_put || is_import, &err);
    if (status == TSTORE_OK) status = tstore_open(argv[1], options, &db, &err);
    tstore_options_free(options);
    if (status != TSTORE_OK) return fail(&err);

    if (is_put) result = put(db, first, second);
    else if (is_get) result = get(db, first);
    else if (is_del) result = done_or_no_such_key(tstore_delete(db, first, strlen(first), &err), &err);
    else if (is_exists) result = done_or_no_such_key(tstore_exists(db, first, strlen(first), &err), &err);
    else if (is_scan) result = list(db, first != NULL ? first : "", "", TSTORE_SCAN_PREFIX);
    else if (is_range) result = list(db, first, second, count == 3 ? TSTORE_SCAN_BACKWARD : 0);
    else if (is_del_range) result = delete_range(db, first, second);
    else if (is_ttl) result = time_to_live(db, first, second);
    else if (is_import) result = import_go(db, first, second != NULL);
    else result = show_stats(db);

    if (tstore_close(db, &err) != TSTORE_OK) result = fail(&err);
    /* A full disk behind standard output shows here. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("tstore: writing standard output");
        result = FAILED;
    }
    return result;
}
