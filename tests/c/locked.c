/* A store is open once: a second opening is refused and names the holder. A fork disturbs nobody. */
#define _POSIX_C_SOURCE 200809L
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* The store is locked, and the error names `holder`. */
static void is_locked_by(long holder) {
    tstore *db = (tstore *)&db;
    tstore_error err;
    char pid[32];
    snprintf(pid, sizeof pid, "%ld", holder);
    STATUS(TSTORE_E_LOCKED, tstore_open("locked.db", NULL, &db, &err));
    CHECK(db == NULL);
    CHECK(strstr(err.message, pid) != NULL && strstr(err.message, "locked.db") != NULL);
    CHECK((long)err.detail == holder);
    CHECK(tstore_status_is_retryable(err.code) == 1);
}

static void wait_for(pid_t child) {
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
    tstore *db = NULL;
    tstore_error err;
    char holder[32];
    if (count == 2) {
        is_locked_by(atol(arguments[1]));
        return 0;
    }
    OK(tstore_open("locked.db", NULL, &db, &err));
    OK(tstore_put(db, BYTES("k"), BYTES("v"), &err));
    is_locked_by((long)getpid());

    /* Another program. */
    snprintf(holder, sizeof holder, "%ld", (long)getpid());
    pid_t child = fork();
    if (child == 0) {
        execl(arguments[0], arguments[0], holder, (char *)NULL);
        _exit(127);
    }
    wait_for(child);

    /* A fork may neither use the parent's handle nor release its lock. */
    pid_t parent = getpid();
    child = fork();
    if (child == 0) {
        STATUS(TSTORE_E_FORKED, tstore_put(db, BYTES("k"), BYTES("of the child"), &err));
        STATUS(TSTORE_E_FORKED, tstore_exists(db, BYTES("k"), &err));
        STATUS(TSTORE_E_FORKED, tstore_close(db, &err));
        is_locked_by((long)parent);
        _exit(0);
    }
    wait_for(child);
    VALUE_IS(db, "k", "v");
    is_locked_by((long)getpid());
    OK(tstore_put(db, BYTES("k"), BYTES("still mine"), &err));

    /* Closed, it is free again. */
    OK(tstore_close(db, &err));
    OK(tstore_open("locked.db", NULL, &db, &err));
    VALUE_IS(db, "k", "still mine");
    OK(tstore_close(db, &err));
    return 0;
}
