/*
 * TinyStoreDB 0.1.0: an embedded, persistent, ordered key-value store.
 *
 * Made by cbindgen from src/ffi. Do not edit: change the Rust source and run `make header`.
 *
 *
 * IN SHORT
 *
 *     tstore *db = NULL;
 *     tstore_error err;
 *     char buffer[64];
 *     size_t size;
 *
 *     if (tstore_open("my.db", NULL, &db, &err)) goto failed;
 *     if (tstore_put(db, "exampleKey", 10, "exampleValue", 12, &err)) goto failed;
 *     if (tstore_get(db, "exampleKey", 10, buffer, sizeof buffer, &size, &err)) goto failed;
 *     printf("%.*s\n", (int)size, buffer);
 *     if (tstore_close(db, &err)) goto failed;
 *
 * STATUSES
 *
 * A function that can fail returns an int32_t status: 0 is TSTORE_OK, a positive one is an outcome that is to
 * be expected (TSTORE_NOT_FOUND, TSTORE_END, ...), a negative one is an error (TSTORE_E_...). The numbers never
 * change; later releases may add some, so treat an unknown negative status as an error that cannot be
 * cured. The last parameter, err, says more and may be NULL. What every function may answer, beside what
 * its comment lists: TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * OUTPUTS
 *
 * Outputs are written with TSTORE_OK only; with any other answer, TSTORE_END and TSTORE_NOT_FOUND among them,
 * they keep what they had. The exceptions: err, always; a pointer to a new object, NULL without TSTORE_OK; the
 * size that a buffer needs, with TSTORE_BUFFER_TOO_SMALL. An output may be NULL only where its comment says so.
 *
 * ONE MOMENT, ALL OR NOTHING
 *
 * A call that changes the store is one commit: readers see all of it or nothing. Several changes are one commit
 * in a tstore_batch. A tstore_snapshot is the store at one moment. A tstore_txn is both: it reads the store of the
 * moment it began, and writes all at once when it commits. If by then anybody has changed what it read, the commit
 * answers TSTORE_E_CONFLICT, nothing was written, and the program does it again. Readers wait for nobody and hold
 * up nobody. An iterator is a snapshot too.
 *
 * MEMORY
 *
 * Memory is borrowed from the library until a named event, or held by a handle until that is freed, or the
 * caller's own. Each type of handle has one function that ends its life; it accepts NULL. Never call free()
 * on what the library returned. Handles may be freed in any order: what belongs to a store outlives it, and
 * answers TSTORE_E_CLOSED once that is closed; a value keeps its bytes.
 *
 * BYTES
 *
 * Keys, values and bounds are pointer and size in bytes; they may hold any bytes, and no NUL is needed or
 * added. NULL with size 0 is an empty one; NULL with another size is TSTORE_E_INVALID_ARGUMENT. Paths end
 * with a NUL. Keys are ordered as memcmp orders them, a shorter one before what it begins.
 *
 * THREADS
 *
 * A tstore, a tstore_snapshot and a tstore_value may be used by any number of threads at the same time; a
 * tstore_iter, a tstore_batch, a tstore_txn and tstore_options by one at a time: a second one gets TSTORE_E_BUSY.
 * Any handle moves freely between threads; nothing is kept per thread. No call may use a handle while it is
 * closed or freed, or afterwards. Callbacks come on the thread of the call.
 *
 * PROCESSES
 *
 * One process at a time has a store open. After fork() the child must not use the parent's handles: calls on
 * them answer TSTORE_E_FORKED. exec() and _exit() are fine.
 *
 * More in docs/c_api.md.
 */

#ifndef TINYSTOREDB_H
#define TINYSTOREDB_H

#include <stddef.h>
#include <stdint.h>

/** Version of this header: what tstore_version_string and tstore_version_number answer in the library. */
#define TSTORE_VERSION_MAJOR 0
#define TSTORE_VERSION_MINOR 1
#define TSTORE_VERSION_PATCH 0
#define TSTORE_VERSION_NUMBER 1000
#define TSTORE_VERSION_STRING "0.1.0"

/**
 * In place of the size of a value that is not there, see tstore_get_many. What tstore_absent answers in the
 * library.
 */
#define TSTORE_ABSENT ((size_t)-1)

/** Marks what the library exports. Define TSTORE_STATIC when linking the static library on Windows. */
#ifndef TSTORE_API
#  if defined(_WIN32) && !defined(TSTORE_STATIC)
#    define TSTORE_API __declspec(dllimport)
#  elif defined(__GNUC__)
#    define TSTORE_API __attribute__((visibility("default")))
#  else
#    define TSTORE_API
#  endif
#endif

/** Version of the binary interface. It changes when a program has to be compiled again. */
#define TSTORE_ABI_VERSION 1

/** The call did what it was asked to. */
#define TSTORE_OK 0
/** There is no such key. */
#define TSTORE_NOT_FOUND 1
/** The iterator has no further record. */
#define TSTORE_END 2
/** There is such a key already. Nothing was written. */
#define TSTORE_EXISTS 3
/** The value is not the one that was expected. Nothing was written. */
#define TSTORE_MISMATCH 4
/** The buffer is too small; the size that is needed was written. */
#define TSTORE_BUFFER_TOO_SMALL 5
/** The value is of another type; err->detail is the type it has. */
#define TSTORE_WRONG_TYPE 6
/** An argument is not acceptable; the message names it. */
#define TSTORE_E_INVALID_ARGUMENT (-1)
/** The operating system refused a call; see err->os_errno. */
#define TSTORE_E_IO (-2)
/** A file is damaged at err->offset. Nothing was changed. */
#define TSTORE_E_CORRUPT (-3)
/** The store is open elsewhere; err->detail is the process, 0 if unknown. */
#define TSTORE_E_LOCKED (-4)
/** What a transaction read was changed by a newer commit: nothing was written; begin it again. */
#define TSTORE_E_CONFLICT (-5)

/**
 * The device or the quota is full. Nothing was written; the store stays usable. (From tstore_sync and
 * tstore_close it means what their comments say.)
 */
#define TSTORE_E_NO_SPACE (-6)
/** Memory could not be had. */
#define TSTORE_E_NO_MEMORY (-7)
/** The store is open for reading only. (No function answers this yet.) */
#define TSTORE_E_READ_ONLY (-8)
/** The store that this handle belongs to was closed. */
#define TSTORE_E_CLOSED (-9)
/** Another thread is using this handle right now. */
#define TSTORE_E_BUSY (-10)
/** The progress callback asked to stop. */
#define TSTORE_E_CANCELLED (-11)
/** A key or a value is over its limit. */
#define TSTORE_E_TOO_LARGE (-12)
/** The store was written by a newer library; err->detail is its format version. */
#define TSTORE_E_VERSION (-13)
/** The file system lacks something that the store needs. */
#define TSTORE_E_UNSUPPORTED (-14)
/** A bug in the library was caught on its way out; the store refuses writes from now on. */
#define TSTORE_E_PANIC (-15)
/** The store refuses writes since an earlier failure: close it and open it again. */
#define TSTORE_E_POISONED (-16)
/** This process is a fork of the one that opened the store. */
#define TSTORE_E_FORKED (-17)
/** The path holds something that is not a store. */
#define TSTORE_E_NOT_A_STORE (-18)
/** The process may not read or write the file or directory. */
#define TSTORE_E_PERMISSION (-19)
/** The result of an addition is out of range. Nothing was written. */
#define TSTORE_E_OVERFLOW (-20)
/** There is no store at the path. */
#define TSTORE_E_NO_STORE (-21)
/** There is a store at the path already. */
#define TSTORE_E_ALREADY_EXISTS (-22)
/** The file to import is damaged at err->offset. */
#define TSTORE_E_DAMAGED_IMPORT (-23)
/** The value's bytes are not what its type says. */
#define TSTORE_E_DECODE (-24)
/** A state was met that the code rules out: please report it. */
#define TSTORE_E_INTERNAL (-25)

/** Bytes of tstore_error.message, the terminating NUL included. */
#define TSTORE_MESSAGE_SIZE 256

/** Each commit waits for the device (the default). Commits of several threads share one wait. */
#define TSTORE_SYNC_ALWAYS 0
/** The library syncs at an interval: a power loss costs at most that much. */
#define TSTORE_SYNC_INTERVAL 1
/** Only tstore_sync and tstore_close wait for the device. */
#define TSTORE_SYNC_ON_REQUEST 2

/** Through a memory mapping where the file system allows it, else as with PWRITE (the default). */
#define TSTORE_WRITE_MODE_AUTO 0
/** Through a memory mapping; opening answers TSTORE_E_UNSUPPORTED where that is not possible. */
#define TSTORE_WRITE_MODE_MAPPED 1
/** With pwrite(2), for file systems on which allocated space is no promise (copy on write). */
#define TSTORE_WRITE_MODE_PWRITE 2

/** Longest key, in bytes. A key may have any bytes, or none. */
#define TSTORE_KEY_SIZE_MAX 65535
/** Longest value, in bytes (1 GiB). A value may have any bytes, or none. */
#define TSTORE_VALUE_SIZE_MAX 1073741824

/**
 * Flag of a write: wait until the commit is on the device, whatever the store's sync mode. A call without
 * flags goes by the sync mode.
 */
#define TSTORE_WRITE_WAIT 1

/**
 * Flag of a write: do not wait for the device, whatever the store's sync mode. A power loss may take the
 * commit back until a later one that waits, or tstore_sync, has returned.
 */
#define TSTORE_WRITE_NO_WAIT 2

/** Bytes without further meaning: what tstore_put stores. */
#define TSTORE_TYPE_BYTES 0
/** Text in UTF-8. */
#define TSTORE_TYPE_STRING 1
/** int64_t: 8 bytes, little-endian, two's complement. */
#define TSTORE_TYPE_I64 2
/** uint64_t: 8 bytes, little-endian. */
#define TSTORE_TYPE_U64 3
/** double: 8 bytes, little-endian, IEEE 754. */
#define TSTORE_TYPE_F64 4
/** A truth value: one byte, 0 or 1. */
#define TSTORE_TYPE_BOOL 5
/** A value of the Rust interface, encoded by serde and bincode. */
#define TSTORE_TYPE_SERDE 6

/** Flag of a scan: from the largest key to the smallest. */
#define TSTORE_SCAN_BACKWARD 1
/** Flag of a scan: leave the values out. Each record shows an empty one. */
#define TSTORE_SCAN_KEYS_ONLY 2
/** Flag of a scan: the keys that begin with `from`. Goes with neither `to` nor the next two flags. */
#define TSTORE_SCAN_PREFIX 4
/** Flag of a scan: leave the key `from` out. To go on behind the last key of an earlier scan. */
#define TSTORE_SCAN_FROM_EXCLUSIVE 8
/** Flag of a scan: take the key `to` in. */
#define TSTORE_SCAN_TO_INCLUSIVE 16

/** tstore_compare_and_swap: the key has the value `expected`, of whichever type. */
#define TSTORE_EXPECT_VALUE 0
/** tstore_compare_and_swap: the key is not there. */
#define TSTORE_EXPECT_ABSENT 1
/** tstore_compare_and_swap: the key is there, whatever its value. */
#define TSTORE_EXPECT_ANY 2

/** tstore_import_go: import what stands before the first damage instead of nothing. */
#define TSTORE_IMPORT_KEEP_GOING 1
/** tstore_import_go: replace the values of keys that are in the store already instead of keeping them. */
#define TSTORE_IMPORT_OVERWRITE 2

/** Bytes of tstore_import_report.damage, the terminating NUL included. */
#define TSTORE_DAMAGE_SIZE 128

/**
 * An open store.
 *
 * Threads: every function that takes a tstore may be called from any number of threads at the same time,
 * but tstore_close: no other call may use the tstore when it is closed, or afterwards.
 */
typedef struct tstore tstore;

/**
 * Changes to be made together, in the order in which they were added: of two changes of one key the later
 * one counts. A batch is not tied to a store, and nothing happens before tstore_write.
 *
 * Threads: one thread at a time; a second one gets TSTORE_E_BUSY.
 */
typedef struct tstore_batch tstore_batch;

/**
 * A walk over records in the byte order of their keys, as they were when the walk began: it holds a
 * snapshot, so no write comes into its way and it comes into the way of none. One of a transaction also
 * shows what the transaction wrote, up to the moment at which the walk comes by. Free it soon: what the
 * snapshot needs takes space.
 *
 * Threads: one thread at a time, any one; a second one gets TSTORE_E_BUSY.
 */
typedef struct tstore_iter tstore_iter;

/**
 * How a store is opened. Every default is the safe choice; a program that wants no other one passes NULL
 * to tstore_open and needs no options at all.
 *
 * Threads: one thread at a time; a second one gets TSTORE_E_BUSY. The options may be used for any number
 * of stores and may be changed or freed as soon as tstore_open has returned.
 */
typedef struct tstore_options tstore_options;

/**
 * The store as it was when the snapshot was created, in one piece: a commit is in it as a whole or not at
 * all. Creating one copies nothing and waits for nobody. It keeps the time of that moment too: what had not
 * expired then is there for as long as the snapshot is. Free it soon: the versions of records that only it
 * needs stay in memory's index and on disk (see snapshot_bytes and oldest_snapshot_ms of tstore_stats).
 *
 * Threads: any number at the same time.
 */
typedef struct tstore_snapshot tstore_snapshot;

/**
 * Reads of one moment, and writes that happen together, at the commit, or not at all.
 *
 * A transaction reads the store as it was when it began, and what it wrote itself. Its writes are in memory
 * until the commit, and nobody else sees them. Nothing is locked meanwhile: the commit finds out whether
 * anything that the transaction read has changed since, be it a key that was there, one that was not, or
 * what a scan or tstore_txn_delete_range passed over; a record that has expired since counts as changed.
 * If so it answers TSTORE_E_CONFLICT and writes nothing, and the whole transaction has to be done again.
 * What commits could as well have been done alone, one transaction after the other: they are serializable.
 * One that only reads never conflicts. To run one until it is done:
 *
 * @code{.c}
 *     int32_t status;
 *     do {
 *         tstore_txn *txn = NULL;
 *         status = tstore_txn_begin(db, &txn, &err);
 *         if (status == TSTORE_OK) status = transfer(txn, &err); // reads and writes, as often as it takes
 *         if (status == TSTORE_OK) status = tstore_txn_commit(txn, 0, &err);
 *         tstore_txn_free(txn); // rolls back what was not committed
 *     } while (status == TSTORE_E_CONFLICT);
 * @endcode
 *
 * Keep it short: it holds a snapshot, and the longer it runs the more it may conflict with.
 *
 * Threads: one thread at a time, any one; a second one gets TSTORE_E_BUSY. Its iterators count as handles
 * of their own.
 */
typedef struct tstore_txn tstore_txn;

/**
 * A value as it was when tstore_get_value returned it. It stays that way until it is freed, whatever
 * happens to its key, also after the store was closed. It holds back the disk space of its file.
 *
 * Threads: any number at the same time.
 */
typedef struct tstore_value tstore_value;

/**
 * What a call answered, and why. It lives where the caller puts it, usually on the stack; it need not be
 * initialised. Each call writes it anew: code is the status that the call returned, and after TSTORE_OK
 * the other fields are 0 and the message is empty. Pass NULL to do without.
 */
typedef struct tstore_error {
    /** The status. */
    int32_t code;
    /** The operating system's error number, or 0. */
    int32_t os_errno;
    /**
     * TSTORE_E_LOCKED: the process that holds the store; TSTORE_WRONG_TYPE: the type of the value;
     * TSTORE_E_VERSION: the format version found. Otherwise 0.
     */
    uint32_t detail;
    /** 0. */
    uint32_t reserved0;
    /** TSTORE_E_CORRUPT, TSTORE_E_DAMAGED_IMPORT: byte offset of the damage in the file. Otherwise 0. */
    uint64_t offset;
    /** 0. */
    uint64_t reserved[4];
    /**
     * What went wrong and what to do about it, in English: UTF-8, ends with a NUL. A message that does
     * not fit has its middle replaced by three dots.
     */
    char message[TSTORE_MESSAGE_SIZE];
} tstore_error;

/** What tstore_stat tells. Later releases append fields. */
typedef struct tstore_stats {
    /**
     * In: sizeof(tstore_stats), to be set before the call. A library older than the program leaves the
     * fields it does not know as they are, so set them to 0 as well.
     */
    uint32_t struct_size;
    /** 0. */
    uint32_t reserved0;
    /** Keys in the store. An expired one may count for long, see tstore_put_until. */
    uint64_t records;
    /** Files of the log. */
    uint64_t segments;
    /** Bytes of the log, overwritten and deleted records included. */
    uint64_t log_bytes;
    /** Bytes of memory that the index takes. */
    uint64_t index_bytes;
    /**
     * Log sequence number (LSN) of the last operation; 0 before the first one. Each change takes one, and
     * so do some of the log's own records.
     */
    uint64_t last_lsn;
    /** LSN of the last operation that is known to be on the device. */
    uint64_t durable_lsn;
    /** Live snapshots, those of iterators and transactions included. */
    uint64_t snapshots;
    /** Age of the oldest one in milliseconds; 0 without any. One that somebody forgot to free shows here. */
    uint64_t oldest_snapshot_ms;
    /** Versions of records that are kept for snapshots only. */
    uint64_t snapshot_versions;
    /** Bytes of the log that they take. */
    uint64_t snapshot_bytes;
} tstore_stats;

/** How far a long call has come. Later releases append fields. */
typedef struct tstore_progress {
    /** sizeof(tstore_progress) of the library: a field beyond it is not there. */
    uint32_t struct_size;
    /** 0. */
    uint32_t reserved0;
    /** Bytes that are done. */
    uint64_t done_bytes;
    /** Bytes to do. */
    uint64_t total_bytes;
    /** Items (for an import: pairs of key and value) that are done. */
    uint64_t done_items;
} tstore_progress;

/**
 * Called now and then during a long call, on the thread that made it; `ctx` is what the caller passed
 * there. It returns 0 to go on and anything else to cancel, which makes the call answer
 * TSTORE_E_CANCELLED. It must return (no exception, no longjmp) and must not close the store. `progress` is
 * valid until it returns.
 */
typedef int32_t (*tstore_progress_fn)(void *ctx, const struct tstore_progress *progress);

/** What an import did. Later releases append fields. */
typedef struct tstore_import_report {
    /**
     * In: sizeof(tstore_import_report), to be set before the call. A library older than the program
     * leaves the fields it does not know as they are, so set them to 0 as well.
     */
    uint32_t struct_size;
    /** 1 if the file is damaged: it was imported up to stopped_at only. Else 0. */
    uint32_t damaged;
    /** Pairs of key and value that were read. */
    uint64_t pairs_read;
    /** Pairs that were stored. */
    uint64_t imported;
    /** Pairs that were left out since an earlier one in the file has the same key. */
    uint64_t duplicates;
    /** Pairs that were left out since the store had a value for the key. */
    uint64_t existing;
    /** Byte offset of the damage; 0 if there is none. */
    uint64_t stopped_at;
    /** What is wrong there: UTF-8, ends with a NUL; empty if nothing is. */
    char damage[TSTORE_DAMAGE_SIZE];
} tstore_import_report;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* VERSION ----------------------------------------------------------------------------------- */

/**
 * The version of the library that is running, such as "0.1.0"; TSTORE_VERSION_STRING is the one the
 * program was compiled with.
 *
 * Ownership: a constant of the library. Threads: any.
 * @since 0.1.0
 */
TSTORE_API const char *tstore_version_string(void);

/**
 * The version of the library that is running as a number: major * 1000000 + minor * 1000 + patch.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API uint32_t tstore_version_number(void);

/**
 * The version of the binary interface of the library that is running. A program that loads the library
 * by name compares it with the TSTORE_ABI_VERSION it was compiled with and stops where they differ.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API uint32_t tstore_abi_version(void);

/**
 * Version, target and profile of the library that is running, for bug reports.
 *
 * Ownership: a constant of the library. Threads: any.
 * @since 0.1.0
 */
TSTORE_API const char *tstore_build_info(void);

/* STATUSES ---------------------------------------------------------------------------------- */

/**
 * The name of a status constant, such as "TSTORE_NOT_FOUND"; "TSTORE_?" for a number that is none.
 *
 * Ownership: a constant of the library. Threads: any.
 * @since 0.1.0
 */
TSTORE_API const char *tstore_status_name(int32_t status);

/**
 * A short English sentence about a status, for where there is no tstore_error; "unknown status" for a
 * number that is none.
 *
 * Ownership: a constant of the library. Threads: any.
 * @since 0.1.0
 */
TSTORE_API const char *tstore_status_message(int32_t status);

/**
 * 1 if the same may succeed later without anything being repaired, else 0. After TSTORE_E_BUSY and
 * TSTORE_E_LOCKED that is the same call; after TSTORE_E_CONFLICT it is the whole transaction, from
 * tstore_txn_begin on, as the commit that conflicted has ended it.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_status_is_retryable(int32_t status);

/**
 * sizeof(tstore_error), 312 in every release: for callers that cannot ask their compiler.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_sizeof_error(void);

/* OPTIONS ----------------------------------------------------------------------------------- */

/**
 * Creates options with the defaults.
 *
 * @param options  Where the new options go; NULL on failure.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_NO_MEMORY.
 *
 * Ownership: the caller frees them with tstore_options_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_create(struct tstore_options **options, struct tstore_error *err);

/**
 * Frees options.
 *
 * @param options  The options, or NULL, which does nothing.
 *
 * Threads: no other call may use the options.
 * @since 0.1.0
 */
TSTORE_API void tstore_options_free(struct tstore_options *options);

/**
 * Sets whether opening creates the store where there is none. Default: 1.
 *
 * @param enabled  0 for no, anything else for yes.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_set_create_if_missing(struct tstore_options *options,
                                                        int32_t enabled,
                                                        struct tstore_error *err);

/**
 * Sets whether opening fails where there is a store already. Default: 0.
 *
 * @param enabled  0 for no, anything else for yes.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_set_error_if_exists(struct tstore_options *options,
                                                      int32_t enabled,
                                                      struct tstore_error *err);

/**
 * Sets when an acknowledged commit is on the device. In every mode it survives the death of the process;
 * the mode decides about power loss.
 *
 * @param mode         TSTORE_SYNC_ALWAYS (the default), TSTORE_SYNC_INTERVAL or TSTORE_SYNC_ON_REQUEST.
 * @param interval_ms  For TSTORE_SYNC_INTERVAL the interval in milliseconds, at most 3600000, or 0 for
 *                     1000; for the other modes 0.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_set_sync_mode(struct tstore_options *options,
                                                int32_t mode,
                                                uint64_t interval_ms,
                                                struct tstore_error *err);

/**
 * Sets how the log is written.
 *
 * @param mode  TSTORE_WRITE_MODE_AUTO (the default), TSTORE_WRITE_MODE_MAPPED or TSTORE_WRITE_MODE_PWRITE.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_set_write_mode(struct tstore_options *options,
                                                 int32_t mode,
                                                 struct tstore_error *err);

/**
 * Sets the largest size of a file of the log. Files start small and double up to it.
 *
 * @param bytes  A multiple of 4 MiB from 4 MiB to 4 GiB. Default: 128 MiB.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_options_set_segment_size_max(struct tstore_options *options,
                                                       uint64_t bytes,
                                                       struct tstore_error *err);

/* THE STORE --------------------------------------------------------------------------------- */

/**
 * Opens the store at a path, a directory, and creates it where there is none.
 *
 * One process at a time may have a store open, and that process only once.
 *
 * @param path     The directory. Its parent has to exist.
 * @param options  Options, or NULL for the defaults.
 * @param db       Where the open store goes; NULL on failure, with nothing to be closed.
 * @return TSTORE_OK; TSTORE_E_LOCKED where the store is open already (err->detail is the process),
 *         TSTORE_E_NOT_A_STORE where the path is a file, or a directory without a store but with other
 *         files, TSTORE_E_NO_STORE where there is none and its parent is missing or the options say not to
 *         create one, TSTORE_E_ALREADY_EXISTS (see the options), TSTORE_E_PERMISSION, TSTORE_E_CORRUPT,
 *         TSTORE_E_VERSION, TSTORE_E_UNSUPPORTED, TSTORE_E_NO_SPACE, TSTORE_E_NO_MEMORY, TSTORE_E_IO,
 *         TSTORE_E_INVALID_ARGUMENT, TSTORE_E_BUSY (the options), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Ownership: the caller closes it with tstore_close. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_open(const char *path,
                               const struct tstore_options *options,
                               struct tstore **db,
                               struct tstore_error *err);

/**
 * Closes a store: waits until everything acknowledged is on the device, lets other processes open it,
 * and frees the handle, in every case, also when it answers an error.
 *
 * What belongs to the store may be freed before or after. Iterators, snapshots and transactions answer
 * TSTORE_E_CLOSED from now on, and what was not committed never happened; a value keeps its bytes.
 *
 * @param db  The store, or NULL, which does nothing.
 * @return TSTORE_OK; TSTORE_E_IO, TSTORE_E_NO_SPACE or TSTORE_E_POISONED where the last commits may not be
 *         on the device, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT (not an open store: nothing was freed),
 *         TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Threads: no other call may use the handle at the same time or afterwards.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_close(struct tstore *db,
                                struct tstore_error *err);

/**
 * Stores a value of type TSTORE_TYPE_BYTES under a key, new or not. When the call has answered TSTORE_OK,
 * the value is on the device, unless the options set another sync mode.
 *
 * @param key, key_size      The key, at most TSTORE_KEY_SIZE_MAX bytes.
 * @param value, value_size  The value, at most TSTORE_VALUE_SIZE_MAX bytes.
 * @return TSTORE_OK; TSTORE_E_TOO_LARGE (before a byte was read), TSTORE_E_NO_SPACE, TSTORE_E_NO_MEMORY,
 *         TSTORE_E_IO, TSTORE_E_POISONED, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
 *         TSTORE_E_INTERNAL.
 *
 * Ownership: key and value are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put(struct tstore *db,
                              const void *key,
                              size_t key_size,
                              const void *value,
                              size_t value_size,
                              struct tstore_error *err);

/**
 * Stores a value under a key as tstore_put does, with a say in its type and in how long the call waits.
 *
 * @param key, key_size      The key, at most TSTORE_KEY_SIZE_MAX bytes.
 * @param value, value_size  The value's bytes as its type defines them (see TSTORE_TYPE_BYTES and on).
 * @param value_type         TSTORE_TYPE_...
 * @param flags              0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
 * @return As tstore_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
 *
 * Ownership: key and value are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_with(struct tstore *db,
                                   const void *key,
                                   size_t key_size,
                                   const void *value,
                                   size_t value_size,
                                   int32_t value_type,
                                   uint32_t flags,
                                   struct tstore_error *err);

/**
 * Copies the value of a key, of any type, to a buffer.
 *
 * A NULL buffer of size 0 asks for the size only: the answer is TSTORE_BUFFER_TOO_SMALL, or TSTORE_OK for
 * an empty value, which fits. The value may change between two calls: use tstore_get_value where that
 * matters and the size is not known.
 *
 * @param buffer, buffer_size  Where the value goes. No NUL is appended.
 * @param value_size           Where the value's size goes, also with TSTORE_BUFFER_TOO_SMALL.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_BUFFER_TOO_SMALL; TSTORE_E_TOO_LARGE (the key),
 *         TSTORE_E_CORRUPT, TSTORE_E_IO, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
 *         TSTORE_E_INTERNAL.
 *
 * Ownership: the caller's buffer. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get(struct tstore *db,
                              const void *key,
                              size_t key_size,
                              void *buffer,
                              size_t buffer_size,
                              size_t *value_size,
                              struct tstore_error *err);

/**
 * Tells whether there is a key.
 *
 * @return TSTORE_OK if there is, TSTORE_NOT_FOUND if not; errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_exists(struct tstore *db,
                                 const void *key,
                                 size_t key_size,
                                 struct tstore_error *err);

/**
 * Tells size and type of the value of a key without copying it.
 *
 * @param value_size  Where the size goes; may be NULL.
 * @param value_type  Where the type goes, TSTORE_TYPE_...; may be NULL.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_describe(struct tstore *db,
                                   const void *key,
                                   size_t key_size,
                                   size_t *value_size,
                                   int32_t *value_type,
                                   struct tstore_error *err);

/**
 * Deletes a key.
 *
 * @return TSTORE_OK if it was there, TSTORE_NOT_FOUND if not; errors as tstore_put.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_delete(struct tstore *db,
                                 const void *key,
                                 size_t key_size,
                                 struct tstore_error *err);

/**
 * Waits until everything that was acknowledged is on the device. In sync mode ALWAYS it is already.
 *
 * @return TSTORE_OK; TSTORE_E_IO or TSTORE_E_NO_SPACE: what is on the device is unknown and the store
 *         refuses writes from now on; TSTORE_E_POISONED, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT,
 *         TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_sync(struct tstore *db,
                               struct tstore_error *err);

/**
 * Tells figures about a store.
 *
 * @param stats  Where they go; its struct_size has to be set before.
 * @return TSTORE_OK; TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_stat(struct tstore *db,
                               struct tstore_stats *stats,
                               struct tstore_error *err);

/**
 * TSTORE_KEY_SIZE_MAX of the library that is running.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_key_size_max(void);

/**
 * TSTORE_VALUE_SIZE_MAX of the library that is running.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_value_size_max(void);

/* VALUES WITHOUT A COPY --------------------------------------------------------------------- */

/**
 * Gets the value of a key, of any type, without copying it.
 *
 * @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get, and TSTORE_E_NO_MEMORY.
 *
 * Ownership: the caller frees it with tstore_value_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_value(struct tstore *db,
                                    const void *key,
                                    size_t key_size,
                                    struct tstore_value **value,
                                    struct tstore_error *err);

/**
 * The bytes of a value. Never NULL for a value, also when it is empty; NULL for NULL.
 *
 * Ownership: borrowed from the value until that is freed. Threads: any.
 * @since 0.1.0
 */
TSTORE_API const void *tstore_value_data(const struct tstore_value *value);

/**
 * The number of bytes of a value; 0 for NULL.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_value_size(const struct tstore_value *value);

/**
 * The type of a value, TSTORE_TYPE_...; TSTORE_E_INVALID_ARGUMENT for NULL.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_value_type(const struct tstore_value *value);

/**
 * Frees a value.
 *
 * @param value  The value, or NULL, which does nothing.
 *
 * Threads: no other call may use the value.
 * @since 0.1.0
 */
TSTORE_API void tstore_value_free(struct tstore_value *value);

/* VALUES WITH A TYPE ------------------------------------------------------------------------ */

/**
 * Stores a string: UTF-8 of a given size, with or without NULs in it.
 *
 * @param string, string_size  The string, without a terminating NUL.
 * @return As tstore_put; TSTORE_E_INVALID_ARGUMENT also where it is not UTF-8.
 *
 * Ownership: key and string are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_string(struct tstore *db,
                                     const void *key,
                                     size_t key_size,
                                     const char *string,
                                     size_t string_size,
                                     struct tstore_error *err);

/**
 * Copies a string to a buffer and ends it with a NUL, so the buffer needs one byte more than the string.
 * A NULL buffer of size 0 asks for the size only: the answer is TSTORE_BUFFER_TOO_SMALL.
 *
 * @param buffer, buffer_size  Where the string and the NUL go.
 * @param string_size          Where the string's size without the NUL goes, also with
 *                             TSTORE_BUFFER_TOO_SMALL.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_BUFFER_TOO_SMALL, TSTORE_WRONG_TYPE; TSTORE_E_DECODE where the
 *         stored bytes are not UTF-8, errors as tstore_get.
 *
 * Ownership: the caller's buffer. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_string(struct tstore *db,
                                     const void *key,
                                     size_t key_size,
                                     char *buffer,
                                     size_t buffer_size,
                                     size_t *string_size,
                                     struct tstore_error *err);

/**
 * Stores a signed integer.
 *
 * @return As tstore_put. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_i64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  int64_t value,
                                  struct tstore_error *err);

/**
 * Reads a signed integer.
 *
 * @param value  Where it goes.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_i64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  int64_t *value,
                                  struct tstore_error *err);

/**
 * Stores an unsigned integer.
 *
 * @return As tstore_put. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_u64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  uint64_t value,
                                  struct tstore_error *err);

/**
 * Reads an unsigned integer.
 *
 * @param value  Where it goes.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_u64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  uint64_t *value,
                                  struct tstore_error *err);

/**
 * Stores a floating-point number, with all its bits.
 *
 * @return As tstore_put. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_f64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  double value,
                                  struct tstore_error *err);

/**
 * Reads a floating-point number.
 *
 * @param value  Where it goes.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_f64(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  double *value,
                                  struct tstore_error *err);

/**
 * Stores a truth value.
 *
 * @param value  0 for false, anything else for true.
 * @return As tstore_put. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_bool(struct tstore *db,
                                   const void *key,
                                   size_t key_size,
                                   int32_t value,
                                   struct tstore_error *err);

/**
 * Reads a truth value.
 *
 * @param value  Where it goes: 0 or 1.
 * @return TSTORE_OK, TSTORE_NOT_FOUND, TSTORE_WRONG_TYPE; TSTORE_E_DECODE, errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_bool(struct tstore *db,
                                   const void *key,
                                   size_t key_size,
                                   int32_t *value,
                                   struct tstore_error *err);

/* READING MANY KEYS ------------------------------------------------------------------------- */

/**
 * Copies the values of several keys, of any type, to one buffer. The waits for memory overlap, so that this
 * takes a fraction of the time of as many tstore_get. Each value is that of its own moment; use
 * tstore_snapshot_get_many for values of one moment.
 *
 * @param count                Number of keys; 0 is allowed.
 * @param keys                 The bytes of all keys, one after the other.
 * @param key_sizes            The size of each key, `count` of them.
 * @param buffer, buffer_size  Where the values go, one after the other, in the order of the keys. NULL of
 *                             size 0 asks for the sizes only, as in tstore_get.
 * @param value_sizes          Where the size of each value goes, `count` of them; TSTORE_ABSENT for a key
 *                             that is not there, which takes nothing in the buffer. May be the array
 *                             key_sizes, which is then lost for a second call with a larger buffer.
 * @param used                 Where the number of bytes that the values take goes.
 * @return TSTORE_OK, whichever keys are there; TSTORE_BUFFER_TOO_SMALL: value_sizes and used say what is
 *         needed, and what is in the buffer has no meaning; TSTORE_E_NO_MEMORY, errors as tstore_get.
 *
 * Ownership: the caller's arrays and buffer. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_get_many(struct tstore *db,
                                   size_t count,
                                   const void *keys,
                                   const size_t *key_sizes,
                                   void *buffer,
                                   size_t buffer_size,
                                   size_t *value_sizes,
                                   size_t *used,
                                   struct tstore_error *err);

/**
 * TSTORE_ABSENT of the library that is running.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_absent(void);

/* WALKING OVER RECORDS ---------------------------------------------------------------------- */

/**
 * Begins a walk over the records whose keys start with a prefix, in ascending order, before the first of
 * them. tstore_scan_range does it backward too; tstore_snapshot_scan and tstore_txn_scan take what that one
 * takes.
 *
 * @param prefix, prefix_size  The prefix; no bytes for all records.
 * @param iter                 Where the iterator goes; NULL on failure.
 * @return TSTORE_OK, also where no key has the prefix; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY,
 *         TSTORE_E_CORRUPT, TSTORE_E_IO, TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
 *         TSTORE_E_INTERNAL.
 *
 * Ownership: the prefix is copied; the caller frees the iterator with tstore_iter_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_scan(struct tstore *db,
                               const void *prefix,
                               size_t prefix_size,
                               struct tstore_iter **iter,
                               struct tstore_error *err);

/**
 * Begins a walk over the records between two keys, in either direction, before the first of them.
 *
 * `from` is the smaller bound and `to` the larger one, whatever the direction. The key `from` is taken in
 * and the key `to` is not, unless flags say otherwise. No bytes in `from` are no bound below (with
 * TSTORE_SCAN_FROM_EXCLUSIVE: all but the empty key); no bytes in `to` are no bound above, whatever the
 * flags. Where `from` is behind `to` there are no records.
 *
 * @param from, from_size  The smaller bound; with TSTORE_SCAN_PREFIX the prefix.
 * @param to, to_size      The larger bound.
 * @param flags            0, or some of TSTORE_SCAN_..., joined by |.
 * @param iter             Where the iterator goes; NULL on failure.
 * @return As tstore_scan.
 *
 * Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_scan_range(struct tstore *db,
                                     const void *from,
                                     size_t from_size,
                                     const void *to,
                                     size_t to_size,
                                     uint32_t flags,
                                     struct tstore_iter **iter,
                                     struct tstore_error *err);

/**
 * Goes to the next record. The end and a failure are different answers, and each is given again when
 * asked again, until a tstore_iter_seek.
 *
 * @param key, key_size      Where the key goes; each may be NULL.
 * @param value, value_size  Where the value goes; each may be NULL.
 * @return TSTORE_OK, TSTORE_END; TSTORE_E_CLOSED where the store was closed, TSTORE_E_CORRUPT, TSTORE_E_IO,
 *         TSTORE_E_NO_MEMORY, TSTORE_E_FORKED, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also where the
 *         iterator's transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Ownership: key and value are borrowed until the next call on this iterator; they are never NULL after
 * TSTORE_OK. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_iter_next(struct tstore_iter *iter,
                                    const void **key,
                                    size_t *key_size,
                                    const void **value,
                                    size_t *value_size,
                                    struct tstore_error *err);

/**
 * Gets as many of the next records as fit into a buffer, each of them whole: for callers to whom each call
 * is dear. tstore_iter_next and this one may be mixed.
 *
 * A record in the buffer is, one after the other: three uint32_t in the byte order of the machine (size of
 * the key, size of the value, type of the value), the bytes of the key, the bytes of the value, and zeros up
 * to the next multiple of 4. The first one starts where the buffer does. To go through them:
 *
 * @code{.c}
 *     uint32_t head[3]; // key size, value size, value type
 *     for (size_t at = 0; at < used; at += (sizeof head + head[0] + head[1] + 3) / 4 * 4) {
 *         memcpy(head, buffer + at, sizeof head);
 *         use(buffer + at + sizeof head, head[0], buffer + at + sizeof head + head[0], head[1]);
 *     }
 * @endcode
 *
 * @param buffer, buffer_size  Where the records go. It need not be aligned. NULL of size 0 asks for what the
 *                             next record takes.
 * @param count                Where their number goes, 1 or more; may be NULL.
 * @param used                 Where the number of bytes they take goes; with TSTORE_BUFFER_TOO_SMALL, how
 *                             many bytes the next record takes.
 * @return TSTORE_OK, TSTORE_END where there is no further record; TSTORE_BUFFER_TOO_SMALL where the next one
 *         does not fit: it is not lost but comes with the next call; errors as tstore_iter_next. A failure
 *         behind the first record is told by the next call.
 *
 * Ownership: the caller's buffer. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_iter_next_batch(struct tstore_iter *iter,
                                          void *buffer,
                                          size_t buffer_size,
                                          size_t *count,
                                          size_t *used,
                                          struct tstore_error *err);

/**
 * Goes to just before a key: the next record is the first one that is not before it in the direction of
 * the walk, within its bounds. It may go back as well as forth, and also clears the end and a failure.
 *
 * @param key, key_size  The key. It need not be there.
 * @return TSTORE_OK; TSTORE_E_TOO_LARGE (nothing changed), errors as tstore_iter_next.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_iter_seek(struct tstore_iter *iter,
                                    const void *key,
                                    size_t key_size,
                                    struct tstore_error *err);

/**
 * The type of the value of the record that the iterator stands at.
 *
 * @return TSTORE_TYPE_..., 0 or more; TSTORE_E_INVALID_ARGUMENT where it stands at none (unless the last
 *         call was a tstore_iter_next that answered TSTORE_OK) or is NULL; TSTORE_E_BUSY.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_iter_value_type(struct tstore_iter *iter);

/**
 * Frees an iterator.
 *
 * @param iter  The iterator, or NULL, which does nothing.
 *
 * Threads: no other call may use the iterator.
 * @since 0.1.0
 */
TSTORE_API void tstore_iter_free(struct tstore_iter *iter);

/* CHANGES THAT REST ON WHAT IS THERE -------------------------------------------------------- */

/**
 * Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, if the key has what is expected.
 * Nothing comes between the look and the change. For more than one key, or other types, use a transaction.
 *
 * @param expectation              TSTORE_EXPECT_VALUE, TSTORE_EXPECT_ABSENT or TSTORE_EXPECT_ANY.
 * @param expected, expected_size  With TSTORE_EXPECT_VALUE the value; its bytes are compared, its type is
 *                                 not. Otherwise no bytes.
 * @param value, value_size        The new value.
 * @return TSTORE_OK if it was stored, TSTORE_MISMATCH if not; TSTORE_E_CORRUPT, errors as tstore_put.
 *
 * Ownership: key and values are copied or used up. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_compare_and_swap(struct tstore *db,
                                           const void *key,
                                           size_t key_size,
                                           int32_t expectation,
                                           const void *expected,
                                           size_t expected_size,
                                           const void *value,
                                           size_t value_size,
                                           struct tstore_error *err);

/**
 * Deletes a key if it has the expected value.
 *
 * @param expected, expected_size  The value; its bytes are compared, its type is not.
 * @return TSTORE_OK if it was deleted, TSTORE_MISMATCH if not, also where it is not there; TSTORE_E_CORRUPT,
 *         errors as tstore_put.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_compare_and_delete(struct tstore *db,
                                             const void *key,
                                             size_t key_size,
                                             const void *expected,
                                             size_t expected_size,
                                             struct tstore_error *err);

/**
 * Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, if the key is not there.
 *
 * @param value, value_size  The value.
 * @return TSTORE_OK if it was stored, TSTORE_EXISTS if not; TSTORE_E_CORRUPT, errors as tstore_put.
 *
 * Ownership: key and value are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_if_absent(struct tstore *db,
                                        const void *key,
                                        size_t key_size,
                                        const void *value,
                                        size_t value_size,
                                        struct tstore_error *err);

/**
 * Deletes a key and gets the value that it had: of several threads that take it, one gets the value.
 *
 * @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; TSTORE_E_CORRUPT, errors as tstore_put.
 *
 * Ownership: the caller frees the value with tstore_value_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_take(struct tstore *db,
                               const void *key,
                               size_t key_size,
                               struct tstore_value **value,
                               struct tstore_error *err);

/**
 * Adds to the signed integer (TSTORE_TYPE_I64) under a key, 0 where the key is not there. Its expiry stays.
 *
 * @param delta  What to add; may be negative.
 * @param sum    Where the new value goes; may be NULL.
 * @return TSTORE_OK, TSTORE_WRONG_TYPE; TSTORE_E_OVERFLOW where the sum is out of range (nothing was
 *         written), TSTORE_E_DECODE, TSTORE_E_CORRUPT, errors as tstore_put.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_increment_i64(struct tstore *db,
                                        const void *key,
                                        size_t key_size,
                                        int64_t delta,
                                        int64_t *sum,
                                        struct tstore_error *err);

/**
 * Adds to the unsigned integer (TSTORE_TYPE_U64) under a key, 0 where the key is not there. Its expiry
 * stays.
 *
 * @param delta  What to add; may be negative.
 * @param sum    Where the new value goes; may be NULL.
 * @return As tstore_increment_i64.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_increment_u64(struct tstore *db,
                                        const void *key,
                                        size_t key_size,
                                        int64_t delta,
                                        uint64_t *sum,
                                        struct tstore_error *err);

/**
 * Puts bytes behind the value of a key, which is of type TSTORE_TYPE_BYTES or TSTORE_TYPE_STRING and keeps
 * type and expiry. Where the key is not there, they become its value, of type TSTORE_TYPE_BYTES. The whole
 * value is written anew: this is no way to make a long log.
 *
 * @param bytes, bytes_size  What to append; for a string UTF-8.
 * @param value_size         Where the size that the value has then goes; may be NULL.
 * @return TSTORE_OK, TSTORE_WRONG_TYPE; TSTORE_E_TOO_LARGE also where the value would be,
 *         TSTORE_E_INVALID_ARGUMENT also for a string and bytes that are not UTF-8, TSTORE_E_CORRUPT, errors
 *         as tstore_put.
 *
 * Ownership: key and bytes are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_append(struct tstore *db,
                                 const void *key,
                                 size_t key_size,
                                 const void *bytes,
                                 size_t bytes_size,
                                 size_t *value_size,
                                 struct tstore_error *err);

/**
 * Deletes every key from `from` on and before `to`, in one commit. Takes time and memory for each of them.
 *
 * @param from, from_size  The first key of the range; no bytes for the first one of the store.
 * @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
 *                         the prefix with its last byte one larger, "user0" for "user/".
 * @param count            Where the number of keys that were there goes; may be NULL.
 * @return TSTORE_OK, also where there were none; TSTORE_E_CORRUPT, errors as tstore_put.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_delete_range(struct tstore *db,
                                       const void *from,
                                       size_t from_size,
                                       const void *to,
                                       size_t to_size,
                                       uint64_t *count,
                                       struct tstore_error *err);

/* EXPIRY ------------------------------------------------------------------------------------ */

/**
 * The system's clock, which expiry goes by: milliseconds since 1970-01-01 UTC. So
 * `tstore_clock_ms() + 60000` is in a minute.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int64_t tstore_clock_ms(void);

/**
 * Stores a value under a key as tstore_put_with does, until a time: from then on the key reads as absent in
 * every call.
 *
 * The system's clock decides. Where it is set back, a record that had expired may be seen again, for as long
 * as nothing was written over it and its space was not given back. Snapshots, iterators and transactions
 * keep the time of their beginning. A put without expiry removes one; tstore_increment_i64, _u64 and
 * tstore_append keep it.
 *
 * An expired record keeps its place in the index, and counts in the statistics, until its key is written, or
 * deleted by tstore_batch_delete or tstore_batch_delete_range. tstore_delete and a transaction's deletes
 * take it for absent and leave it as it is; so does tstore_delete_range, unless there is another key in the
 * range, and so does opening the store. No call lists expired keys. A program that makes ever new ones notes
 * each in a second record, whose key begins with the time, and from time to time deletes both in one batch.
 *
 * @param value, value_size  The value's bytes as its type defines them.
 * @param value_type         TSTORE_TYPE_...
 * @param expires_at         When it expires, in milliseconds since 1970-01-01 UTC; 0 for never. A time
 *                           that is past is allowed: the key is absent then.
 * @param flags              0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
 * @return As tstore_put_with; TSTORE_E_INVALID_ARGUMENT also where expires_at is negative.
 *
 * Ownership: key and value are copied. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_put_until(struct tstore *db,
                                    const void *key,
                                    size_t key_size,
                                    const void *value,
                                    size_t value_size,
                                    int32_t value_type,
                                    int64_t expires_at,
                                    uint32_t flags,
                                    struct tstore_error *err);

/**
 * Changes when the value of a key expires, and nothing else of it. The value is written anew.
 *
 * @param expires_at  As for tstore_put_until; 0 for never.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; TSTORE_E_CORRUPT, errors as tstore_put; TSTORE_E_INVALID_ARGUMENT
 *         also where expires_at is negative.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_expire(struct tstore *db,
                                 const void *key,
                                 size_t key_size,
                                 int64_t expires_at,
                                 struct tstore_error *err);

/**
 * Lets the value of a key never expire: tstore_expire with 0.
 *
 * @return As tstore_expire.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_persist(struct tstore *db,
                                  const void *key,
                                  size_t key_size,
                                  struct tstore_error *err);

/**
 * Tells how long the value of a key will be there.
 *
 * @param ms  Where the number of milliseconds goes, 0 or more; -1 where it never expires.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_remaining(struct tstore *db,
                                    const void *key,
                                    size_t key_size,
                                    int64_t *ms,
                                    struct tstore_error *err);

/* BATCHES ----------------------------------------------------------------------------------- */

/**
 * Creates an empty batch.
 *
 * @param batch  Where the batch goes; NULL on failure.
 * @return TSTORE_OK; TSTORE_E_INVALID_ARGUMENT, TSTORE_E_NO_MEMORY.
 *
 * Ownership: the caller frees it with tstore_batch_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_create(struct tstore_batch **batch, struct tstore_error *err);

/**
 * Adds: store a value of type TSTORE_TYPE_BYTES under a key, without expiry.
 *
 * @return TSTORE_OK; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT,
 *         TSTORE_E_PANIC, TSTORE_E_INTERNAL: the batch is as it was before.
 *
 * Ownership: key and value are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_put(struct tstore_batch *batch,
                                    const void *key,
                                    size_t key_size,
                                    const void *value,
                                    size_t value_size,
                                    struct tstore_error *err);

/**
 * Adds: store a value under a key, with its type and its expiry.
 *
 * @param value, value_size  The value's bytes as its type defines them.
 * @param value_type         TSTORE_TYPE_...
 * @param expires_at         As for tstore_put_until; 0 for never.
 * @return As tstore_batch_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
 *
 * Ownership: key and value are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_put_until(struct tstore_batch *batch,
                                          const void *key,
                                          size_t key_size,
                                          const void *value,
                                          size_t value_size,
                                          int32_t value_type,
                                          int64_t expires_at,
                                          struct tstore_error *err);

/**
 * Adds: delete a key, if it is there. An expired record goes too.
 *
 * @return As tstore_batch_put.
 *
 * Ownership: the key is copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_delete(struct tstore_batch *batch,
                                       const void *key,
                                       size_t key_size,
                                       struct tstore_error *err);

/**
 * Adds: delete every key from `from` on and before `to`, those included that the batch itself stored before.
 *
 * @param from, from_size  The first key of the range; no bytes for the first one of the store.
 * @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
 *                         the prefix with its last byte one larger, "user0" for "user/".
 * @return As tstore_batch_put.
 *
 * Ownership: both keys are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_delete_range(struct tstore_batch *batch,
                                             const void *from,
                                             size_t from_size,
                                             const void *to,
                                             size_t to_size,
                                             struct tstore_error *err);

/**
 * Takes all changes out of a batch and keeps its memory for the next ones.
 *
 * @return TSTORE_OK; TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_batch_clear(struct tstore_batch *batch, struct tstore_error *err);

/**
 * The number of changes in a batch; 0 for NULL, and where another thread is using the batch.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API size_t tstore_batch_count(struct tstore_batch *batch);

/**
 * Frees a batch.
 *
 * @param batch  The batch, or NULL, which does nothing.
 *
 * Threads: no other call may use the batch.
 * @since 0.1.0
 */
TSTORE_API void tstore_batch_free(struct tstore_batch *batch);

/**
 * Makes all changes of a batch in one commit: every reader, and the store after a crash, has all of them or
 * none. The batch stays as it is, and may be written again, to other stores too.
 *
 * @param batch  The batch; an empty one is fine. Its keys and values take up to 2 GiB.
 * @param flags  0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
 * @return TSTORE_OK; TSTORE_E_BUSY (the batch), errors as tstore_put.
 *
 * Threads: any for the store, one at a time for the batch.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_write(struct tstore *db,
                                struct tstore_batch *batch,
                                uint32_t flags,
                                struct tstore_error *err);

/* SNAPSHOTS --------------------------------------------------------------------------------- */

/**
 * Creates a snapshot of this moment. It has everything that was acknowledged before.
 *
 * @param snapshot  Where the snapshot goes; NULL on failure.
 * @return TSTORE_OK; TSTORE_E_NO_MEMORY, TSTORE_E_IO, TSTORE_E_CORRUPT, TSTORE_E_FORKED,
 *         TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Ownership: the caller frees it with tstore_snapshot_free, before or after the store is closed.
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_create(struct tstore *db,
                                          struct tstore_snapshot **snapshot,
                                          struct tstore_error *err);

/**
 * Copies the value that a key had, of any type, to a buffer. There are no typed reads here: the bytes of a
 * number are as its TSTORE_TYPE_... says, and tstore_snapshot_get_value tells the type.
 *
 * @param buffer, buffer_size, value_size  As for tstore_get.
 * @return As tstore_get; TSTORE_E_CLOSED where the store was closed.
 *
 * Ownership: the caller's buffer. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_get(const struct tstore_snapshot *snapshot,
                                       const void *key,
                                       size_t key_size,
                                       void *buffer,
                                       size_t buffer_size,
                                       size_t *value_size,
                                       struct tstore_error *err);

/**
 * Gets the value that a key had, of any type, without copying it. It outlives the snapshot.
 *
 * @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
 * @return As tstore_get_value; TSTORE_E_CLOSED where the store was closed.
 *
 * Ownership: the caller frees it with tstore_value_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_get_value(const struct tstore_snapshot *snapshot,
                                             const void *key,
                                             size_t key_size,
                                             struct tstore_value **value,
                                             struct tstore_error *err);

/**
 * Tells whether there was a key.
 *
 * @return TSTORE_OK if there was, TSTORE_NOT_FOUND if not; errors as tstore_snapshot_get.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_exists(const struct tstore_snapshot *snapshot,
                                          const void *key,
                                          size_t key_size,
                                          struct tstore_error *err);

/**
 * Copies the values that several keys had, of any type, to one buffer: as tstore_get_many, but all values
 * are of one moment.
 *
 * @param count, keys, key_sizes, buffer, buffer_size, value_sizes, used  As for tstore_get_many.
 * @return As tstore_get_many; TSTORE_E_CLOSED where the store was closed.
 *
 * Ownership: the caller's arrays and buffer. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_get_many(const struct tstore_snapshot *snapshot,
                                            size_t count,
                                            const void *keys,
                                            const size_t *key_sizes,
                                            void *buffer,
                                            size_t buffer_size,
                                            size_t *value_sizes,
                                            size_t *used,
                                            struct tstore_error *err);

/**
 * Begins a walk over the records that there were between two keys, before the first of them. The iterator
 * keeps the snapshot's moment, also when the snapshot is freed.
 *
 * @param from, from_size, to, to_size, flags  As for tstore_scan_range.
 * @param iter                                 Where the iterator goes; NULL on failure.
 * @return As tstore_scan; TSTORE_E_CLOSED where the store was closed.
 *
 * Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_snapshot_scan(const struct tstore_snapshot *snapshot,
                                        const void *from,
                                        size_t from_size,
                                        const void *to,
                                        size_t to_size,
                                        uint32_t flags,
                                        struct tstore_iter **iter,
                                        struct tstore_error *err);

/**
 * Log sequence number of the last operation that the snapshot has (see last_lsn of tstore_stats); 0 for the
 * one of an empty store and for NULL.
 *
 * Threads: any.
 * @since 0.1.0
 */
TSTORE_API uint64_t tstore_snapshot_lsn(const struct tstore_snapshot *snapshot);

/**
 * Frees a snapshot. Iterators on it go on.
 *
 * @param snapshot  The snapshot, or NULL, which does nothing.
 *
 * Threads: no other call may use the snapshot.
 * @since 0.1.0
 */
TSTORE_API void tstore_snapshot_free(struct tstore_snapshot *snapshot);

/* TRANSACTIONS ------------------------------------------------------------------------------ */

/**
 * Begins a transaction on the store as it is now.
 *
 * @param txn  Where the transaction goes; NULL on failure.
 * @return As tstore_snapshot_create.
 *
 * Ownership: the caller frees it with tstore_txn_free, also after the commit. Threads: any.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_begin(struct tstore *db,
                                    struct tstore_txn **txn,
                                    struct tstore_error *err);

/**
 * Copies the value of a key, as the transaction has it, of any type, to a buffer. There are no typed calls
 * here: the bytes of a number are as its TSTORE_TYPE_... says, tstore_txn_get_value tells the type, and
 * tstore_txn_put_until stores one.
 *
 * @param buffer, buffer_size, value_size  As for tstore_get.
 * @return As tstore_get; TSTORE_E_CLOSED where the store was closed, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY,
 *         TSTORE_E_INVALID_ARGUMENT also where the transaction has ended.
 *
 * Ownership: the caller's buffer. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_get(struct tstore_txn *txn,
                                  const void *key,
                                  size_t key_size,
                                  void *buffer,
                                  size_t buffer_size,
                                  size_t *value_size,
                                  struct tstore_error *err);

/**
 * Gets the value of a key, as the transaction has it, of any type, without copying it. It outlives the
 * transaction.
 *
 * @param value  Where the value goes; NULL on failure and with TSTORE_NOT_FOUND.
 * @return TSTORE_OK, TSTORE_NOT_FOUND; errors as tstore_txn_get.
 *
 * Ownership: the caller frees it with tstore_value_free. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_get_value(struct tstore_txn *txn,
                                        const void *key,
                                        size_t key_size,
                                        struct tstore_value **value,
                                        struct tstore_error *err);

/**
 * Tells whether there is a key, as the transaction has it.
 *
 * @return TSTORE_OK if there is, TSTORE_NOT_FOUND if not; errors as tstore_txn_get.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_exists(struct tstore_txn *txn,
                                     const void *key,
                                     size_t key_size,
                                     struct tstore_error *err);

/**
 * Stores a value of type TSTORE_TYPE_BYTES under a key, without expiry, when the transaction commits.
 *
 * @return TSTORE_OK; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also
 *         where the transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Ownership: key and value are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_put(struct tstore_txn *txn,
                                  const void *key,
                                  size_t key_size,
                                  const void *value,
                                  size_t value_size,
                                  struct tstore_error *err);

/**
 * Stores a value under a key, with its type and its expiry, when the transaction commits.
 *
 * @param value, value_size  The value's bytes as its type defines them.
 * @param value_type         TSTORE_TYPE_...
 * @param expires_at         As for tstore_put_until; 0 for never.
 * @return As tstore_txn_put; TSTORE_E_INVALID_ARGUMENT also where the bytes are none of that type.
 *
 * Ownership: key and value are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_put_until(struct tstore_txn *txn,
                                        const void *key,
                                        size_t key_size,
                                        const void *value,
                                        size_t value_size,
                                        int32_t value_type,
                                        int64_t expires_at,
                                        struct tstore_error *err);

/**
 * Deletes a key when the transaction commits. Whether it is there counts as read.
 *
 * @return TSTORE_OK if it is there, TSTORE_NOT_FOUND if not; errors as tstore_txn_get.
 *
 * Ownership: the key is copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_delete(struct tstore_txn *txn,
                                     const void *key,
                                     size_t key_size,
                                     struct tstore_error *err);

/**
 * Deletes every key from `from` on and before `to`, as the transaction has them, when it commits. The whole
 * range counts as read. Takes memory for each key until the transaction ends.
 *
 * @param from, from_size  The first key of the range; no bytes for the first one of the store.
 * @param to, to_size      The first key behind the range; no bytes for no end. For all keys with a prefix:
 *                         the prefix with its last byte one larger, "user0" for "user/".
 * @param count            Where the number of keys that are there goes; may be NULL.
 * @return TSTORE_OK, also where there are none; errors as tstore_txn_get. After an error some of the keys
 *         may be deleted in the transaction: go back to a savepoint, or roll back.
 *
 * Ownership: the keys are copied. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_delete_range(struct tstore_txn *txn,
                                           const void *from,
                                           size_t from_size,
                                           const void *to,
                                           size_t to_size,
                                           uint64_t *count,
                                           struct tstore_error *err);

/**
 * Begins a walk over the records between two keys, as the transaction has them, before the first of them. It
 * also shows what the transaction writes while the walk goes on, where that is still ahead. What it has
 * passed counts as read, whether there are keys or not. When the transaction has ended, the iterator answers
 * TSTORE_E_INVALID_ARGUMENT.
 *
 * @param from, from_size, to, to_size, flags  As for tstore_scan_range.
 * @param iter                                 Where the iterator goes; NULL on failure.
 * @return As tstore_scan; TSTORE_E_CLOSED where the store was closed, TSTORE_E_BUSY,
 *         TSTORE_E_INVALID_ARGUMENT also where the transaction has ended.
 *
 * Ownership: the bounds are copied; the caller frees the iterator with tstore_iter_free, before or after the
 * transaction. Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_scan(struct tstore_txn *txn,
                                   const void *from,
                                   size_t from_size,
                                   const void *to,
                                   size_t to_size,
                                   uint32_t flags,
                                   struct tstore_iter **iter,
                                   struct tstore_error *err);

/**
 * Remembers what the transaction has written so far, to go back to with tstore_txn_rollback_to.
 *
 * @param savepoint  Where the number of the savepoint goes, 1 or more.
 * @return TSTORE_OK; TSTORE_E_NO_MEMORY, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT (also where the
 *         transaction has ended), TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_savepoint(struct tstore_txn *txn,
                                        uint64_t *savepoint,
                                        struct tstore_error *err);

/**
 * Takes back what the transaction wrote since a savepoint. That one stays valid, those made after it do not.
 * What was read since still counts as read.
 *
 * @param savepoint  A number that tstore_txn_savepoint gave for this transaction.
 * @return TSTORE_OK; errors as tstore_txn_savepoint, TSTORE_E_INVALID_ARGUMENT also where there is no such
 *         savepoint.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_rollback_to(struct tstore_txn *txn,
                                          uint64_t savepoint,
                                          struct tstore_error *err);

/**
 * Commits: makes all writes of the transaction at once, or none of them. It has ended then, whatever the
 * answer (but for TSTORE_E_BUSY, and TSTORE_E_INVALID_ARGUMENT for the flags), and only frees remain.
 *
 * @param flags  0 for the store's sync mode, or TSTORE_WRITE_WAIT or TSTORE_WRITE_NO_WAIT.
 * @return TSTORE_OK; TSTORE_E_CONFLICT where something that was read has changed: nothing was written, begin
 *         again; TSTORE_E_CLOSED where the store was closed, TSTORE_E_BUSY, TSTORE_E_CORRUPT, errors as
 *         tstore_put; TSTORE_E_INVALID_ARGUMENT also where the transaction has ended, or writes over 2 GiB.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_commit(struct tstore_txn *txn,
                                     uint32_t flags,
                                     struct tstore_error *err);

/**
 * Ends the transaction without a trace. One that has ended stays as it is.
 *
 * @return TSTORE_OK; TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
 *
 * Threads: one at a time.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_txn_rollback(struct tstore_txn *txn, struct tstore_error *err);

/**
 * Frees a transaction, and rolls it back where it has not ended.
 *
 * @param txn  The transaction, or NULL, which does nothing.
 *
 * Threads: no other call may use the transaction; its iterators may be in use.
 * @since 0.1.0
 */
TSTORE_API void tstore_txn_free(struct tstore_txn *txn);

/* IMPORT ------------------------------------------------------------------------------------ */

/**
 * Imports a file of the Go TinyStoreDB. A value that is UTF-8 becomes a string (TSTORE_TYPE_STRING), any
 * other one bytes (TSTORE_TYPE_BYTES). Where the file has a key more than once, the first value counts, as
 * it did there.
 *
 * @param path      The file. It is not changed.
 * @param flags     0, or TSTORE_IMPORT_KEEP_GOING and TSTORE_IMPORT_OVERWRITE, joined by |.
 * @param progress  Called now and then; may be NULL.
 * @param ctx       Passed on to progress.
 * @param report    Where the figures go, its struct_size set before; may be NULL, but not with
 *                  TSTORE_IMPORT_KEEP_GOING, since it is what tells that the file is damaged.
 * @return TSTORE_OK; TSTORE_E_DAMAGED_IMPORT (err->offset is where; nothing was imported, unless the file
 *         was changed while it was read, which the message says), TSTORE_E_CANCELLED (what was imported
 *         so far stays), TSTORE_E_PERMISSION, errors as tstore_put and tstore_get.
 *
 * Threads: any. Other calls on the store may go on meanwhile.
 * @since 0.1.0
 */
TSTORE_API int32_t tstore_import_go(struct tstore *db,
                                    const char *path,
                                    uint32_t flags,
                                    tstore_progress_fn progress,
                                    void *ctx,
                                    struct tstore_import_report *report,
                                    struct tstore_error *err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TINYSTOREDB_H */
