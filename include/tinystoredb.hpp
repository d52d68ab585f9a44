/*
 * TinyStoreDB for C++11 and later: handles that free themselves, failures as exceptions. Header only, on top of
 * tinystoredb.h, which says what each call does, needs and may answer.
 *
 *     tinystoredb::store db("my.db");
 *     db.put("exampleKey", "exampleValue");
 *     std::string value;
 *     if (db.get("exampleKey", value)) std::cout << value << '\n';
 *     db.transact([](tinystoredb::transaction &txn) {
 *         if (!txn.exists("otherKey")) txn.put("otherKey", "otherValue");
 *     });
 *
 * Every negative status, and TSTORE_WRONG_TYPE, is thrown as tinystoredb::error. Objects are moved, not copied.
 * Destructors never throw: close() a store to learn whether that worked.
 *
 * Calls without a method of their own, such as tstore_get_many, tstore_describe, tstore_iter_next_batch and
 * tstore_import_go, take what handle() returns: `tinystoredb::call(tstore_sync, db.handle())`.
 */
#ifndef TINYSTOREDB_HPP
#define TINYSTOREDB_HPP

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#if __cplusplus >= 201703L
#include <string_view>
#endif

#include "tinystoredb.h"

namespace tinystoredb {

/** A failed call: what() is the message, the rest as in tstore_error. */
class error : public std::runtime_error {
public:
    explicit error(const tstore_error &e)
        : std::runtime_error(e.message), code_(e.code), os_errno_(e.os_errno), detail_(e.detail),
          offset_(e.offset) {}
    std::int32_t code() const noexcept { return code_; }
    std::int32_t os_errno() const noexcept { return os_errno_; }
    std::uint32_t detail() const noexcept { return detail_; }
    std::uint64_t offset() const noexcept { return offset_; }
    bool is_retryable() const noexcept { return tstore_status_is_retryable(code_) != 0; }

private:
    std::int32_t code_, os_errno_;
    std::uint32_t detail_;
    std::uint64_t offset_;
};

/** Bytes that belong to somebody else: a parameter, or what an iterator or a value shows. */
class bytes {
public:
    bytes() noexcept : data_(nullptr), size_(0) {}
    bytes(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    bytes(const std::string &text) noexcept : data_(text.data()), size_(text.size()) {}
    bytes(const char *text) noexcept : data_(text), size_(std::strlen(text)) {}
#if __cplusplus >= 201703L
    bytes(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
#endif
    const void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::string str() const { return std::string(static_cast<const char *>(data_), size_); }
    friend bool operator==(const bytes &a, const bytes &b) noexcept {
        return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
    }
    friend bool operator!=(const bytes &a, const bytes &b) noexcept { return !(a == b); }

private:
    const void *data_;
    std::size_t size_;
};

/** Calls a function of tinystoredb.h with its last parameter, the error, added. Whether it answers TSTORE_OK;
    throws where it fails. */
template <typename... Parameters, typename... Arguments>
bool call(std::int32_t (*function)(Parameters...), Arguments... arguments) {
    tstore_error e;
    std::int32_t status = function(arguments..., &e);
    if (status < 0 || status == TSTORE_WRONG_TYPE) throw error(e);
    return status == TSTORE_OK;
}

/** How each handle's life ends. */
struct end_of_life {
    void operator()(tstore_options *handle) const noexcept { tstore_options_free(handle); }
    void operator()(tstore_value *handle) const noexcept { tstore_value_free(handle); }
    void operator()(tstore_iter *handle) const noexcept { tstore_iter_free(handle); }
    void operator()(tstore_batch *handle) const noexcept { tstore_batch_free(handle); }
    void operator()(tstore_snapshot *handle) const noexcept { tstore_snapshot_free(handle); }
    void operator()(tstore_txn *handle) const noexcept { tstore_txn_free(handle); }
    void operator()(tstore *handle) const noexcept { tstore_close(handle, nullptr); }
};

/** How a store is opened; see tstore_options_set_... */
class options {
public:
    options() {
        tstore_options *handle = nullptr;
        call(tstore_options_create, &handle);
        handle_.reset(handle);
    }
    options &create_if_missing(bool enabled) {
        call(tstore_options_set_create_if_missing, handle_.get(), enabled);
        return *this;
    }
    options &error_if_exists(bool enabled) {
        call(tstore_options_set_error_if_exists, handle_.get(), enabled);
        return *this;
    }
    options &sync_mode(std::int32_t mode, std::uint64_t interval_ms = 0) {
        call(tstore_options_set_sync_mode, handle_.get(), mode, interval_ms);
        return *this;
    }
    options &write_mode(std::int32_t mode) {
        call(tstore_options_set_write_mode, handle_.get(), mode);
        return *this;
    }
    options &segment_size_max(std::uint64_t size) {
        call(tstore_options_set_segment_size_max, handle_.get(), size);
        return *this;
    }
    const tstore_options *handle() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tstore_options, end_of_life> handle_;
};

/** A value held in the store's memory; see tstore_get_value. Empty where the key was absent. */
class value {
public:
    explicit value(tstore_value *handle = nullptr) noexcept : handle_(handle) {}
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    bytes data() const noexcept { return bytes(tstore_value_data(handle_.get()), tstore_value_size(handle_.get())); }
    std::string str() const { return handle_ ? data().str() : std::string(); }
    std::int32_t type() const noexcept { return tstore_value_type(handle_.get()); }

private:
    std::unique_ptr<tstore_value, end_of_life> handle_;
};

/** A walk over records: `while (it.next()) use(it.key(), it.value());`. What key() and value() show is borrowed
    until the next call of next() or seek(). */
class iterator {
public:
    explicit iterator(tstore_iter *handle) noexcept : handle_(handle) {}
    bool next() {
        const void *key = nullptr, *value = nullptr;
        std::size_t key_size = 0, value_size = 0;
        bool there = call(tstore_iter_next, handle_.get(), &key, &key_size, &value, &value_size);
        key_ = bytes(key, key_size);
        value_ = bytes(value, value_size);
        return there;
    }
    /** Goes to just before a key; see tstore_iter_seek. */
    void seek(const bytes &key) {
        call(tstore_iter_seek, handle_.get(), key.data(), key.size());
        key_ = value_ = bytes();
    }
    const bytes &key() const noexcept { return key_; }
    const bytes &value() const noexcept { return value_; }
    std::int32_t value_type() const noexcept { return tstore_iter_value_type(handle_.get()); }
    tstore_iter *handle() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tstore_iter, end_of_life> handle_;
    bytes key_, value_;
};

/** The store at one moment; see tstore_snapshot. */
class snapshot {
public:
    explicit snapshot(tstore_snapshot *handle) noexcept : handle_(handle) {}
    /** The value, empty (false) where the key is absent. */
    value get(const bytes &key) const {
        tstore_value *handle = nullptr;
        call(tstore_snapshot_get_value, handle_.get(), key.data(), key.size(), &handle);
        return value(handle);
    }
    bool exists(const bytes &key) const {
        return call(tstore_snapshot_exists, handle_.get(), key.data(), key.size());
    }
    /** See tstore_scan_range. */
    iterator scan(const bytes &from = bytes(), const bytes &to = bytes(), std::uint32_t flags = 0) const {
        tstore_iter *handle = nullptr;
        call(tstore_snapshot_scan, handle_.get(), from.data(), from.size(), to.data(), to.size(), flags, &handle);
        return iterator(handle);
    }
    std::uint64_t lsn() const noexcept { return tstore_snapshot_lsn(handle_.get()); }
    const tstore_snapshot *handle() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tstore_snapshot, end_of_life> handle_;
};

/** Changes that store::write makes together; see tstore_batch. */
class batch {
public:
    batch() {
        tstore_batch *handle = nullptr;
        call(tstore_batch_create, &handle);
        handle_.reset(handle);
    }
    batch &put(const bytes &key, const bytes &value, std::int32_t type = TSTORE_TYPE_BYTES) {
        return put_until(key, value, 0, type);
    }
    /** Until `expires_at`, as store::put_until. */
    batch &put_until(const bytes &key, const bytes &value, std::int64_t expires_at,
                     std::int32_t type = TSTORE_TYPE_BYTES) {
        call(tstore_batch_put_until, handle_.get(), key.data(), key.size(), value.data(), value.size(), type,
             expires_at);
        return *this;
    }
    batch &erase(const bytes &key) {
        call(tstore_batch_delete, handle_.get(), key.data(), key.size());
        return *this;
    }
    batch &erase_range(const bytes &from, const bytes &to) {
        call(tstore_batch_delete_range, handle_.get(), from.data(), from.size(), to.data(), to.size());
        return *this;
    }
    void clear() {
        call(tstore_batch_clear, handle_.get());
    }
    std::size_t size() const noexcept { return tstore_batch_count(handle_.get()); }
    tstore_batch *handle() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tstore_batch, end_of_life> handle_;
};

/** A transaction, rolled back at the end of its scope unless it was committed; see tstore_txn. */
class transaction {
public:
    explicit transaction(tstore_txn *handle) noexcept : handle_(handle) {}
    /** The value, empty (false) where the key is absent. */
    value get(const bytes &key) {
        tstore_value *handle = nullptr;
        call(tstore_txn_get_value, handle_.get(), key.data(), key.size(), &handle);
        return value(handle);
    }
    bool exists(const bytes &key) {
        return call(tstore_txn_exists, handle_.get(), key.data(), key.size());
    }
    void put(const bytes &key, const bytes &value, std::int32_t type = TSTORE_TYPE_BYTES) {
        put_until(key, value, 0, type);
    }
    /** Until `expires_at`, as store::put_until. */
    void put_until(const bytes &key, const bytes &value, std::int64_t expires_at,
                   std::int32_t type = TSTORE_TYPE_BYTES) {
        call(tstore_txn_put_until, handle_.get(), key.data(), key.size(), value.data(), value.size(), type,
             expires_at);
    }
    /** Whether the key is there. */
    bool erase(const bytes &key) {
        return call(tstore_txn_delete, handle_.get(), key.data(), key.size());
    }
    /** How many keys there are. */
    std::uint64_t erase_range(const bytes &from, const bytes &to) {
        std::uint64_t count = 0;
        call(tstore_txn_delete_range, handle_.get(), from.data(), from.size(), to.data(), to.size(), &count);
        return count;
    }
    iterator scan(const bytes &from = bytes(), const bytes &to = bytes(), std::uint32_t flags = 0) {
        tstore_iter *handle = nullptr;
        call(tstore_txn_scan, handle_.get(), from.data(), from.size(), to.data(), to.size(), flags, &handle);
        return iterator(handle);
    }
    std::uint64_t savepoint() {
        std::uint64_t number = 0;
        call(tstore_txn_savepoint, handle_.get(), &number);
        return number;
    }
    void rollback_to(std::uint64_t savepoint) {
        call(tstore_txn_rollback_to, handle_.get(), savepoint);
    }
    /** Throws an error with code() TSTORE_E_CONFLICT where it has to be done again: see store::transact. */
    void commit(std::uint32_t flags = 0) {
        call(tstore_txn_commit, handle_.get(), flags);
    }
    void rollback() {
        call(tstore_txn_rollback, handle_.get());
    }
    tstore_txn *handle() const noexcept { return handle_.get(); }

private:
    std::unique_ptr<tstore_txn, end_of_life> handle_;
};

/** An open store. */
class store {
public:
    explicit store(const std::string &path) { open(path, nullptr); }
    store(const std::string &path, const options &how) { open(path, how.handle()); }

    /** Closes the store; a second time does nothing. */
    void close() {
        call(tstore_close, handle_.release());
    }
    void put(const bytes &key, const bytes &value) {
        call(tstore_put, handle_.get(), key.data(), key.size(), value.data(), value.size());
    }
    /** See tstore_put_with. */
    void put(const bytes &key, const bytes &value, std::int32_t type, std::uint32_t flags = 0) {
        call(tstore_put_with, handle_.get(), key.data(), key.size(), value.data(), value.size(), type, flags);
    }
    void put_string(const bytes &key, const bytes &text) { put(key, text, TSTORE_TYPE_STRING); }
    void put_i64(const bytes &key, std::int64_t number) {
        call(tstore_put_i64, handle_.get(), key.data(), key.size(), number);
    }
    void put_u64(const bytes &key, std::uint64_t number) {
        call(tstore_put_u64, handle_.get(), key.data(), key.size(), number);
    }
    void put_f64(const bytes &key, double number) {
        call(tstore_put_f64, handle_.get(), key.data(), key.size(), number);
    }
    void put_bool(const bytes &key, bool truth) {
        call(tstore_put_bool, handle_.get(), key.data(), key.size(), truth);
    }

    /** The value, empty (false) where the key is absent. */
    value get(const bytes &key) const {
        tstore_value *handle = nullptr;
        call(tstore_get_value, handle_.get(), key.data(), key.size(), &handle);
        return value(handle);
    }
    /** Whether the key is there; `out` is left alone where it is not. Here and below. */
    bool get(const bytes &key, std::string &out) const {
        value found = get(key);
        if (found) out = found.str();
        return static_cast<bool>(found);
    }
    bool get_i64(const bytes &key, std::int64_t &out) const {
        return call(tstore_get_i64, handle_.get(), key.data(), key.size(), &out);
    }
    bool get_u64(const bytes &key, std::uint64_t &out) const {
        return call(tstore_get_u64, handle_.get(), key.data(), key.size(), &out);
    }
    bool get_f64(const bytes &key, double &out) const {
        return call(tstore_get_f64, handle_.get(), key.data(), key.size(), &out);
    }
    bool get_bool(const bytes &key, bool &out) const {
        std::int32_t truth = 0;
        bool there = call(tstore_get_bool, handle_.get(), key.data(), key.size(), &truth);
        if (there) out = truth != 0;
        return there;
    }

    bool exists(const bytes &key) const {
        return call(tstore_exists, handle_.get(), key.data(), key.size());
    }
    /** Whether the key was there. */
    bool erase(const bytes &key) {
        return call(tstore_delete, handle_.get(), key.data(), key.size());
    }
    /** How many keys there were from `from` on and before `to`. */
    std::uint64_t erase_range(const bytes &from, const bytes &to) {
        std::uint64_t count = 0;
        call(tstore_delete_range, handle_.get(), from.data(), from.size(), to.data(), to.size(), &count);
        return count;
    }
    iterator scan(const bytes &prefix = bytes()) const {
        tstore_iter *handle = nullptr;
        call(tstore_scan, handle_.get(), prefix.data(), prefix.size(), &handle);
        return iterator(handle);
    }
    /** See tstore_scan_range. */
    iterator scan(const bytes &from, const bytes &to, std::uint32_t flags = 0) const {
        tstore_iter *handle = nullptr;
        call(tstore_scan_range, handle_.get(), from.data(), from.size(), to.data(), to.size(), flags, &handle);
        return iterator(handle);
    }

    /** Whether the key had the expected value, and has the new one now. */
    bool compare_and_swap(const bytes &key, const bytes &expected, const bytes &value) {
        return call(tstore_compare_and_swap, handle_.get(), key.data(), key.size(), TSTORE_EXPECT_VALUE,
                    expected.data(), expected.size(), value.data(), value.size());
    }
    /** Whether the key had the expected value, and is gone. */
    bool compare_and_erase(const bytes &key, const bytes &expected) {
        return call(tstore_compare_and_delete, handle_.get(), key.data(), key.size(), expected.data(),
                    expected.size());
    }
    /** Whether the key was absent, and has the value now. */
    bool put_if_absent(const bytes &key, const bytes &value) {
        return call(tstore_put_if_absent, handle_.get(), key.data(), key.size(), value.data(), value.size());
    }
    /** Deletes the key; the value that it had, empty (false) where it was absent. */
    value take(const bytes &key) {
        tstore_value *handle = nullptr;
        call(tstore_take, handle_.get(), key.data(), key.size(), &handle);
        return value(handle);
    }
    /** The sum. */
    std::int64_t increment_i64(const bytes &key, std::int64_t delta) {
        std::int64_t sum = 0;
        call(tstore_increment_i64, handle_.get(), key.data(), key.size(), delta, &sum);
        return sum;
    }
    std::uint64_t increment_u64(const bytes &key, std::int64_t delta) {
        std::uint64_t sum = 0;
        call(tstore_increment_u64, handle_.get(), key.data(), key.size(), delta, &sum);
        return sum;
    }
    /** The size of the value then. */
    std::size_t append(const bytes &key, const bytes &more) {
        std::size_t size = 0;
        call(tstore_append, handle_.get(), key.data(), key.size(), more.data(), more.size(), &size);
        return size;
    }

    /** Until `expires_at`, in milliseconds since 1970; tstore_clock_ms() is now. */
    void put_until(const bytes &key, const bytes &value, std::int64_t expires_at,
                   std::int32_t type = TSTORE_TYPE_BYTES, std::uint32_t flags = 0) {
        call(tstore_put_until, handle_.get(), key.data(), key.size(), value.data(), value.size(), type, expires_at,
             flags);
    }
    /** Whether the key is there. */
    bool expire(const bytes &key, std::int64_t expires_at) {
        return call(tstore_expire, handle_.get(), key.data(), key.size(), expires_at);
    }
    bool persist(const bytes &key) {
        return call(tstore_persist, handle_.get(), key.data(), key.size());
    }
    /** Whether the key is there; `ms` is -1 where it never expires. */
    bool remaining(const bytes &key, std::int64_t &ms) const {
        return call(tstore_remaining, handle_.get(), key.data(), key.size(), &ms);
    }

    void write(const batch &changes, std::uint32_t flags = 0) {
        call(tstore_write, handle_.get(), changes.handle(), flags);
    }
    tinystoredb::snapshot snapshot() const {
        tstore_snapshot *handle = nullptr;
        call(tstore_snapshot_create, handle_.get(), &handle);
        return tinystoredb::snapshot(handle);
    }
    transaction begin() {
        tstore_txn *handle = nullptr;
        call(tstore_txn_begin, handle_.get(), &handle);
        return transaction(handle);
    }
    /** Calls `body` with a transaction and commits it, as often as it takes until that does not conflict. What
        `body` throws rolls it back and goes on to the caller. */
    template <typename Body> void transact(Body body, std::uint32_t flags = 0) {
        for (;;) {
            transaction txn = begin();
            body(txn);
            try {
                return txn.commit(flags);
            } catch (const error &e) {
                if (e.code() != TSTORE_E_CONFLICT) throw;
            }
        }
    }
    void sync() {
        call(tstore_sync, handle_.get());
    }
    tstore_stats stat() const {
        tstore_stats stats = tstore_stats();
        stats.struct_size = sizeof stats;
        call(tstore_stat, handle_.get(), &stats);
        return stats;
    }
    tstore *handle() const noexcept { return handle_.get(); }

private:
    void open(const std::string &path, const tstore_options *how) {
        tstore *handle = nullptr;
        call(tstore_open, path.c_str(), how, &handle);
        handle_.reset(handle);
    }
    std::unique_ptr<tstore, end_of_life> handle_;
};

} // namespace tinystoredb

#endif
