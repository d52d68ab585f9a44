/* Whatever a path leads to, opening answers with a status and a message that names it. */
#define _POSIX_C_SOURCE 200809L
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void refused(int32_t expected, const char *path, const tstore_options *options) {
    tstore *db = (tstore *)&db;
    tstore_error err;
    int32_t status = tstore_open(path, options, &db, &err);
    if (status != expected || err.code != expected) {
        fprintf(stderr, "opening %s answers %s, not %s: %s\n", path, tstore_status_name(status),
                tstore_status_name(expected), err.message);
        exit(1);
    }
    CHECK(db == NULL);
    CHECK(strlen(err.message) > 20);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void a_path_that_is_no_directory(void) {
    write_file("a_file", "hello");
    refused(TSTORE_E_NOT_A_STORE, "a_file", NULL);
    refused(TSTORE_E_INVALID_ARGUMENT, "", NULL);
    /* The file was not touched. */
    char text[16] = "";
    FILE *file = fopen("a_file", "r");
    CHECK(file != NULL && fgets(text, sizeof text, file) != NULL && fclose(file) == 0);
    CHECK(strcmp(text, "hello") == 0);
}

static void a_path_without_a_parent(void) {
    tstore *db = NULL;
    tstore_error err;
    refused(TSTORE_E_NO_STORE, "missing/store.db", NULL);
    CHECK(access("missing", F_OK) != 0);
    STATUS(TSTORE_E_NO_STORE, tstore_open("missing/store.db", NULL, &db, &err));
    CHECK(strstr(err.message, "directory above") != NULL);
}

static void options_say_whether_a_store_has_to_be_there(void) {
    tstore *db = NULL;
    tstore_error err;
    tstore_options *options = NULL;
    OK(tstore_options_create(&options, &err));
    OK(tstore_options_set_create_if_missing(options, 0, &err));
    refused(TSTORE_E_NO_STORE, "new.db", options);
    CHECK(access("new.db", F_OK) != 0);
    OK(tstore_options_set_create_if_missing(options, 1, &err));
    OK(tstore_options_set_error_if_exists(options, 1, &err));
    OK(tstore_open("new.db", options, &db, &err));
    OK(tstore_close(db, &err));
    refused(TSTORE_E_ALREADY_EXISTS, "new.db", options);
    OK(tstore_options_set_error_if_exists(options, 0, &err));
    OK(tstore_options_set_create_if_missing(options, 0, &err));
    OK(tstore_open("new.db", options, &db, &err));
    OK(tstore_close(db, &err));
    tstore_options_free(options);
}

static void somebody_elses_directory_is_left_alone(void) {
    CHECK(mkdir("documents", 0700) == 0);
    write_file("documents/letter.txt", "hello");
    refused(TSTORE_E_NOT_A_STORE, "documents", NULL);
    CHECK(access("documents/letter.txt", F_OK) == 0);
}

static void a_long_path_keeps_the_advice_in_the_message(void) {
    tstore *db = NULL, *second = NULL;
    tstore_error err;
    char path[1200];
    size_t size = 0;
    /* Directories of 100 characters each: longer than a message. */
    for (int level = 0; level < 8; level++) {
        size += (size_t)snprintf(path + size, sizeof path - size, "%s%0100d", level ? "/" : "", level);
        CHECK(mkdir(path, 0700) == 0);
    }
    snprintf(path + size, sizeof path - size, "/store.db");
    OK(tstore_open(path, NULL, &db, &err));
    STATUS(TSTORE_E_LOCKED, tstore_open(path, NULL, &second, &err));
    CHECK(memchr(err.message, '\0', sizeof err.message) != NULL);
    CHECK(strstr(err.message, "...") != NULL && strstr(err.message, "close it there first") != NULL);
    OK(tstore_close(db, &err));
}

static void no_permission(void) {
    /* Root may do everything, so it becomes somebody else in a child. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(mkdir("closed", 0700) == 0 && mkdir("closed/store.db", 0700) == 0 && chmod("closed", 0) == 0);
        if (geteuid() == 0) CHECK(setuid(65534) == 0);
        refused(TSTORE_E_PERMISSION, "closed/store.db", NULL);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(chmod("closed", 0700) == 0);
}

int main(void) {
    a_path_that_is_no_directory();
    a_path_without_a_parent();
    options_say_whether_a_store_has_to_be_there();
    somebody_elses_directory_is_left_alone();
    no_permission();
    a_long_path_keeps_the_advice_in_the_message();
    return 0;
}
