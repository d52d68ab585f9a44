/* What a program did to itself before it opened a store (closed its standard streams, made a thread with a small
   stack) harms neither the store nor the program. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Puts, reads and deletes, with a value that is written in one piece and one that is not. */
static void use(const char *path) {
    static char large[100000];
    tstore *db = NULL;
    tstore_iter *iter = NULL;
    tstore_value *value = NULL;
    tstore_error err;
    int32_t status;
    OK(tstore_open(path, NULL, &db, &err));
    OK(tstore_put(db, BYTES("small"), BYTES("value"), &err));
    OK(tstore_put(db, BYTES("large"), large, sizeof large, &err));
    OK(tstore_put(db, BYTES("gone"), BYTES("value"), &err));
    OK(tstore_get_value(db, BYTES("large"), &value, &err));
    CHECK(tstore_value_size(value) == sizeof large);
    tstore_value_free(value);
    OK(tstore_delete(db, BYTES("gone"), &err));
    OK(tstore_scan(db, NULL, 0, &iter, &err));
    while ((status = tstore_iter_next(iter, NULL, NULL, NULL, NULL, &err)) == TSTORE_OK) continue;
    CHECK(status == TSTORE_END);
    tstore_iter_free(iter);
    OK(tstore_close(db, &err));
}

/* The streams' numbers are free for the next open(), and what is printed goes to whoever got them. */
static void print_without_standard_streams(void) {
    static const char noise[] = "what is printed must not reach a file of the store\n";
    tstore *db = NULL;
    tstore_error err;
    int number;
    for (number = 0; number <= 2; number++) CHECK(close(number) == 0);
    OK(tstore_open("streams.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("key"), BYTES("value"), &err));
    for (number = 0; number <= 2; number++) {
        CHECK(fcntl(number, F_GETFD) == -1);
        CHECK(write(number, noise, sizeof noise) == -1);
    }
    OK(tstore_put(db, BYTES("other"), BYTES("value"), &err));
    OK(tstore_close(db, &err));
}

static void a_store_never_takes_the_place_of_a_standard_stream(void) {
    tstore *db = NULL;
    tstore_error err;
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        print_without_standard_streams();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(tstore_open("streams.db", NULL, &db, &err));
    VALUE_IS(db, "key", "value");
    VALUE_IS(db, "other", "value");
    OK(tstore_close(db, &err));
}

static void *use_in_a_thread(void *path) {
    use(path);
    return path;
}

static void a_small_stack_is_enough(void) {
    static char path[] = "stack.db";
    pthread_attr_t attributes;
    pthread_t thread;
    int round;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
    /* Creates the store, then recovers it. */
    for (round = 0; round < 2; round++) {
        CHECK(pthread_create(&thread, &attributes, use_in_a_thread, path) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(pthread_attr_destroy(&attributes) == 0);
}

int main(void) {
    a_store_never_takes_the_place_of_a_standard_stream();
    a_small_stack_is_enough();
    return 0;
}
