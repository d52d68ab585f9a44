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
 * Outputs are written on success only. The exceptions: err, always; a pointer to a new object, NULL on failure;
 * the size that a buffer needs, with TSTORE_BUFFER_TOO_SMALL.
 *
 * MEMORY
 *
 * Memory is borrowed from the library until a named event, or held by a handle until that is freed, or the
 * caller's own. Each type of handle has one function that ends its life; it accepts NULL. Never call free()
 * on what the library returned. Handles may be freed in any order: an iterator or a value outlives its store.
 *
 * BYTES
 *
 * Keys, values and prefixes are pointer and size in bytes; they may hold any bytes, and no NUL is needed or
 * added. NULL with size 0 is an empty one; NULL with another size is TSTORE_E_INVALID_ARGUMENT. Paths end
 * with a NUL.
 *
 * THREADS
 *
 * A tstore and a tstore_value may be used by any number of threads at the same time, a tstore_iter and
 * tstore_options by one at a time, and any handle moves freely between threads. Nothing is kept per thread. No
 * call may use a handle while it is closed or freed, or afterwards. Callbacks come on the thread of the call.
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
/** There is such a key already. (No function answers this yet.) */
#define TSTORE_EXISTS 3
/** The value is not the one that was expected. (No function answers this yet.) */
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
/** A transaction met a newer commit: begin it again. (No function answers this yet.) */
#define TSTORE_E_CONFLICT (-5)
/** The device or the quota is full. Nothing was written; the store stays usable. */
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
/** The result of an addition is out of range. (No function answers this yet.) */
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

/** tstore_put_with: wait until the commit is on the device, whatever the store's sync mode. */
#define TSTORE_WRITE_WAIT 1
/** tstore_put_with: acknowledge at once, whatever the store's sync mode. */
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
 * A walk over records in ascending byte order of their keys.
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
    /** Keys in the store. */
    uint64_t records;
    /** Files of the log. */
    uint64_t segments;
    /** Bytes of the log, overwritten and deleted records included. */
    uint64_t log_bytes;
    /** Bytes of memory that the index takes. */
    uint64_t index_bytes;
    /** Sequence number of the last operation; 0 before the first one. */
    uint64_t last_lsn;
    /** Sequence number of the last operation that is known to be on the device. */
    uint64_t durable_lsn;
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
 * 1 if the same call may succeed later without anything being repaired (TSTORE_E_BUSY,
 * TSTORE_E_CONFLICT, TSTORE_E_LOCKED), else 0.
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
 *         TSTORE_E_NOT_A_STORE where the path is a file or holds other files, TSTORE_E_NO_STORE,
 *         TSTORE_E_ALREADY_EXISTS (see the options), TSTORE_E_PERMISSION, TSTORE_E_CORRUPT,
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
 * Iterators and values of the store may be freed before or after. An iterator answers TSTORE_E_CLOSED
 * from now on; a value keeps its bytes.
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
 * Stores a value of type TSTORE_TYPE_BYTES under a key, new or not. When the call has returned, the
 * value is on the device (unless the sync mode was changed).
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

/* WALKING OVER RECORDS ---------------------------------------------------------------------- */

/**
 * Begins a walk over the records whose keys start with a prefix, before the first of them.
 *
 * @param prefix, prefix_size  The prefix; no bytes for all records.
 * @param iter                 Where the iterator goes; NULL on failure.
 * @return TSTORE_OK, also where no key has the prefix; TSTORE_E_TOO_LARGE, TSTORE_E_NO_MEMORY,
 *         TSTORE_E_FORKED, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC, TSTORE_E_INTERNAL.
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
 * Goes to the next record. The end and a failure are different answers, and each is given again when
 * asked again.
 *
 * @param key, key_size      Where the key goes; each may be NULL.
 * @param value, value_size  Where the value goes; each may be NULL.
 * @return TSTORE_OK, TSTORE_END; TSTORE_E_CLOSED where the store was closed, TSTORE_E_CORRUPT, TSTORE_E_IO,
 *         TSTORE_E_NO_MEMORY, TSTORE_E_FORKED, TSTORE_E_BUSY, TSTORE_E_INVALID_ARGUMENT, TSTORE_E_PANIC,
 *         TSTORE_E_INTERNAL.
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
 * The type of the value of the record that the iterator stands at.
 *
 * @return TSTORE_TYPE_..., 0 or more; TSTORE_E_INVALID_ARGUMENT where it stands at none (before the first
 *         tstore_iter_next, and after one that did not answer TSTORE_OK) or is NULL.
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
