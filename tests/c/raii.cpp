// The C++ header: handles free themselves, failures are exceptions, objects move.
#include <map>
#include <utility>

#include "check.h"
#include "tinystoredb.hpp"

namespace ts = tinystoredb;

static void values_go_in_and_out() {
    ts::store db("values.db");
    std::string value = "as it was";
    CHECK(!db.get("exampleKey", value) && value == "as it was");
    db.put("exampleKey", "exampleValue");
    CHECK(db.get("exampleKey", value) && value == "exampleValue");
    db.put(std::string("a\0b", 3), std::string("\0\1", 2));
    CHECK(db.get(std::string("a\0b", 3)).str() == std::string("\0\1", 2));
    CHECK(db.exists("exampleKey") && !db.exists("a"));
    CHECK(db.erase("exampleKey") && !db.erase("exampleKey"));
    CHECK(!db.get("exampleKey"));
    db.put("empty", "");
    CHECK(db.get("empty") && db.get("empty").data().size() == 0 && db.get("empty").str().empty());
#if __cplusplus >= 201703L
    db.put(std::string_view("view"), std::string_view("of a value"));
    CHECK(db.get(std::string_view("view")).data() == ts::bytes("of a value"));
#endif
}

static void types_are_kept() {
    ts::store db("types.db");
    std::int64_t i = 0;
    std::uint64_t u = 0;
    double f = 0;
    bool b = false;
    db.put_i64("i", -7);
    db.put_u64("u", 7);
    db.put_f64("f", 0.5);
    db.put_bool("b", true);
    db.put_string("s", "text");
    CHECK(db.get_i64("i", i) && i == -7);
    CHECK(db.get_u64("u", u) && u == 7);
    CHECK(db.get_f64("f", f) && f == 0.5);
    CHECK(db.get_bool("b", b) && b);
    CHECK(db.get("s").type() == TSTORE_TYPE_STRING && db.get("s").str() == "text");
    CHECK(!db.get_i64("absent", i) && i == -7);
    try {
        db.get_i64("f", i);
        CHECK(!"reached");
    } catch (const ts::error &e) {
        CHECK(e.code() == TSTORE_WRONG_TYPE && e.detail() == TSTORE_TYPE_F64);
        CHECK(std::string(e.what()).find("f64") != std::string::npos);
    }
}

static void a_scan_is_ordered() {
    ts::store db("scan.db");
    db.put("a:2", "two");
    db.put("a:1", "one");
    db.put("b:1", "other");
    std::map<std::string, std::string> found;
    std::string last;
    ts::iterator it = db.scan("a:");
    while (it.next()) {
        CHECK(last < it.key().str());
        last = it.key().str();
        found[last] = it.value().str();
        CHECK(it.value_type() == TSTORE_TYPE_BYTES);
    }
    CHECK(!it.next());
    CHECK(found.size() == 2 && found["a:1"] == "one" && found["a:2"] == "two");
    CHECK(db.stat().records == 3);
}

static void handles_move_and_outlive_their_store() {
    ts::store first("move.db");
    first.put("k", "v");
    ts::store second(std::move(first));
    ts::value held = second.get("k");
    ts::iterator it = second.scan();
    second.sync();
    second.close();
    second.close();
    CHECK(held.str() == "v");
    try {
        it.next();
        CHECK(!"reached");
    } catch (const ts::error &e) {
        CHECK(e.code() == TSTORE_E_CLOSED);
    }
    // What has no handle any more says so.
    try {
        first.put("k", "v");
        CHECK(!"reached");
    } catch (const ts::error &e) {
        CHECK(e.code() == TSTORE_E_INVALID_ARGUMENT);
    }
}

static std::string keys_of(ts::iterator it) {
    std::string keys;
    while (it.next()) keys += it.key().str();
    return keys;
}

static void scans_have_bounds_and_directions() {
    ts::store db("bounds.db");
    db.write(ts::batch().put("a", "1").put("b", "2", TSTORE_TYPE_STRING).put("c", "3").put("d", "4").erase("d"));
    CHECK(keys_of(db.scan("a", "c")) == "ab");
    CHECK(keys_of(db.scan("", "", TSTORE_SCAN_BACKWARD | TSTORE_SCAN_KEYS_ONLY)) == "cba");
    ts::iterator it = db.scan("b", "");
    CHECK(it.next() && it.next() && !it.next());
    it.seek("c");
    CHECK(it.next() && it.key() == "c" && it.value() == "3" && !it.next());
    CHECK(db.erase_range("a", "c") == 2 && keys_of(db.scan()) == "c");
}

static void a_batch_and_a_snapshot_are_of_one_piece() {
    ts::store db("piece.db");
    ts::batch changes;
    changes.put("a", "1").put("b", "2").put_until("gone", "x", 1);
    CHECK(changes.size() == 3);
    db.write(changes);
    ts::snapshot before = db.snapshot();
    changes.clear();
    CHECK(changes.size() == 0);
    db.write(changes.erase_range("a", "b").put("c", "3"), TSTORE_WRITE_WAIT);
    ts::snapshot moved = std::move(before);
    CHECK(moved.get("a").str() == "1" && !moved.get("c") && moved.exists("b") && !moved.exists("gone"));
    CHECK(keys_of(moved.scan()) == "ab" && keys_of(db.scan()) == "bc");
    CHECK(moved.lsn() < db.snapshot().lsn());
}

static void a_transaction_is_done_again_until_it_is_done() {
    ts::store db("transaction.db");
    int rounds = 0;
    db.put("n", "0");
    db.transact([&](ts::transaction &txn) {
        std::string n = txn.get("n").str();
        if (rounds++ == 0) db.put("n", "7");
        std::uint64_t savepoint = txn.savepoint();
        txn.put("other", "x");
        txn.rollback_to(savepoint);
        txn.put("n", n + "1");
        CHECK(txn.erase("absent") == false && txn.exists("n") && keys_of(txn.scan()) == "n");
    });
    CHECK(rounds == 2 && db.get("n").str() == "71" && !db.exists("other"));
    try {
        db.transact([](ts::transaction &txn) {
            CHECK(txn.erase_range("", "") == 1);
            throw 5;
        });
        CHECK(!"reached");
    } catch (int thrown) {
        CHECK(thrown == 5);
    }
    ts::transaction one = db.begin(), two = db.begin();
    two.put("n", one.get("n").str() + "2");
    two.commit();
    one.put("m", "x");
    try {
        one.commit();
        CHECK(!"reached");
    } catch (const ts::error &e) {
        CHECK(e.code() == TSTORE_E_CONFLICT && e.is_retryable());
    }
    ts::transaction three = db.begin();
    three.put("m", "x");
    three.rollback();
    CHECK(db.get("n").str() == "712" && keys_of(db.scan()) == "n");
    CHECK(db.stat().snapshots == 0);
}

static void updates_and_expiry() {
    ts::store db("updates.db");
    std::int64_t ms = 0;
    CHECK(db.put_if_absent("k", "1") && !db.put_if_absent("k", "2"));
    CHECK(db.compare_and_swap("k", "1", "3") && !db.compare_and_swap("k", "1", "4"));
    CHECK(db.append("k", "4") == 2 && db.take("k").str() == "34" && !db.take("k"));
    CHECK(db.increment_i64("i", -2) == -2 && db.increment_u64("u", 2) == 2);
    db.put_until("e", "x", tstore_clock_ms() + 1000000);
    CHECK(db.remaining("e", ms) && ms > 0 && db.persist("e") && db.remaining("e", ms) && ms == -1);
    CHECK(!db.compare_and_erase("e", "y") && db.compare_and_erase("e", "x") && !db.remaining("e", ms));
    db.put("e", "x");
    CHECK(db.expire("e", 1) && !db.exists("e") && !db.expire("e", 0));
}

static void a_store_is_closed_when_its_scope_ends() {
    {
        ts::store db("scope.db", ts::options().sync_mode(TSTORE_SYNC_ON_REQUEST).segment_size_max(4 << 20));
        db.put("k", "v", TSTORE_TYPE_STRING, TSTORE_WRITE_WAIT);
        try {
            ts::store again("scope.db");
            CHECK(!"reached");
        } catch (const ts::error &e) {
            CHECK(e.code() == TSTORE_E_LOCKED && e.is_retryable());
        }
    }
    ts::store db("scope.db", ts::options().create_if_missing(false));
    CHECK(db.get("k").str() == "v");
    try {
        ts::store none("none.db", ts::options().create_if_missing(false).error_if_exists(false));
        CHECK(!"reached");
    } catch (const ts::error &e) {
        CHECK(e.code() == TSTORE_E_NO_STORE);
    }
}

int main() {
    values_go_in_and_out();
    types_are_kept();
    a_scan_is_ordered();
    scans_have_bounds_and_directions();
    a_batch_and_a_snapshot_are_of_one_piece();
    a_transaction_is_done_again_until_it_is_done();
    updates_and_expiry();
    handles_move_and_outlive_their_store();
    a_store_is_closed_when_its_scope_ends();
    return 0;
}
