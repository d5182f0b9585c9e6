// What the chain of the audit log finds, in a file that somebody has changed behind the gateway's back.
#include "gateway/audit_chain.h"

#include <doctest/doctest.h>

#include "gateway/sqlite_registry.h"
#include "gateway/sqlite_schema.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
const WallTime noon{std::chrono::seconds{1'800'000'000}};
constexpr unsigned entries = 6;

std::unique_ptr<SqliteRegistry> open_registry(const std::string& path) {
    REQUIRE(crypto::initialise());
    auto registry = SqliteRegistry::open(path, prefix, 30s);
    if (!registry) FAIL(registry.error().text());
    return std::move(*registry);
}

void fill(Registry& registry) {
    for (unsigned i = 1; i <= entries; ++i)
        REQUIRE(registry.record({.time = noon,
                                 .event = "refused",
                                 .actor = "203.0.113." + std::to_string(i),
                                 .detail = "unknown-node"}));
}

// Changes the file as somebody would who can write it, triggers or not.
void change(const std::string& path, const char* script) {
    auto database = Database::open(path, 1s);
    REQUIRE(database);
    REQUIRE(database->run_script(
        "DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_deleted"));
    const auto done = database->run_script(script);
    if (!done) FAIL(done.error().text());
}

// The number of the first entry that does not fit; 0: all fit.
std::uint64_t flaw_after(const char* script, const std::optional<AuditHead>& known = {}) {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    fill(*open_registry(path));
    if (script != nullptr) change(path, script);
    const auto verdict = verify_audit(*open_registry(path), known);
    if (!verdict) FAIL(verdict.error().text());
    return verdict->flaw ? verdict->flaw->number : 0;
}

}  // namespace

// Who has let a machine in that should not be there could blame another.
TEST_CASE("audit chain: a changed entry is found, whichever part of it was changed") {
    CHECK(flaw_after(nullptr) == 0);
    CHECK(flaw_after("UPDATE audit SET actor = 'uid 7' WHERE number = 3") == 3);
    CHECK(flaw_after("UPDATE audit SET event = 'enrolled' WHERE number = 1") == 1);
    CHECK(flaw_after("UPDATE audit SET time = time + 1 WHERE number = 6") == 6);
    CHECK(flaw_after("UPDATE audit SET detail = '' WHERE number = 2") == 2);
    CHECK(flaw_after("UPDATE audit SET invite = 'x' WHERE number = 2") == 2);
    CHECK(flaw_after("UPDATE audit SET node = zeroblob(32) WHERE number = 2") == 2);
    CHECK(flaw_after("UPDATE audit SET hash = zeroblob(32) WHERE number = 4") == 4);
    CHECK(flaw_after("UPDATE audit SET hash = NULL WHERE number = 4") == 4);
    // A piece that moves from one text to the next.
    CHECK(flaw_after("UPDATE audit SET event = 'refused203', actor = substr(actor, 4)") == 1);
}

// And remove what he has done.
TEST_CASE("audit chain: entries that were removed, swapped or added are found") {
    CHECK(flaw_after("DELETE FROM audit WHERE number = 1") == 1);
    CHECK(flaw_after("DELETE FROM audit WHERE number = 3") == 3);
    CHECK(flaw_after("DELETE FROM audit WHERE number = 6") == 6);
    CHECK(flaw_after("DELETE FROM audit WHERE number > 2") == 3);
    CHECK(flaw_after("DELETE FROM audit") == 1);
    CHECK(flaw_after("DELETE FROM audit WHERE number = 3;"
                     "UPDATE audit SET number = number - 1 WHERE number > 3") == 3);
    CHECK(flaw_after("UPDATE audit SET number = -2 WHERE number = 2;"
                     "UPDATE audit SET number = 2 WHERE number = 3;"
                     "UPDATE audit SET number = 3 WHERE number = -2") == 2);
    CHECK(flaw_after("INSERT INTO audit VALUES (7, 1, 'enrolled', 'x', NULL, '', '', "
                     "zeroblob(32))") == 7);
    CHECK(flaw_after("UPDATE audit_head SET hash = zeroblob(32)") == 6);
    CHECK(flaw_after("UPDATE audit_head SET number = 9") == 7);
}

// A chain that was made anew fits; who wrote its former head down knows better.
TEST_CASE("audit chain: cutting the log and its head is found by who knows a former head") {
    const char* cut =
        "DELETE FROM audit WHERE number > 4;"
        "UPDATE audit_head SET number = 4, hash = (SELECT hash FROM audit WHERE number = 4)";
    CHECK(flaw_after(cut) == 0);
    CHECK(flaw_after(cut, AuditHead{.number = 6}) == 5);
    CHECK(flaw_after(nullptr, AuditHead{.number = 3}) == 3);
}

// After an update of the gateway nothing would protect what was decided before it.
TEST_CASE("audit chain: a file from before there was a chain gets one, of what is in it") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    {
        auto old = Database::open(path, 1s);
        REQUIRE(old);
        for (int i = 0; i < registry_chain_migration - 1; ++i)
            REQUIRE(old->run_script(registry_migrations[static_cast<std::size_t>(i)]));
        const std::string content =
            "PRAGMA application_id = " + std::to_string(registry_application_id) +
            "; PRAGMA user_version = 3; INSERT INTO organisation VALUES (1, x'fd123456789a', 0, 0);"
            "INSERT INTO audit (time, event, actor, node, invite, detail) VALUES "
            "(1, 'enrolled', 'a', zeroblob(32), 'i', ''), (2, 'refused', 'b', NULL, '', 'why');";
        REQUIRE(old->run_script(content.c_str()));
    }
    fill(*open_registry(path));
    const auto verdict = verify_audit(*open_registry(path));
    REQUIRE(verdict);
    CHECK(!verdict->flaw);
    CHECK(verdict->head.number == entries + 2);
    CHECK(verdict->head.unchained == 0);
    auto database = Database::open(path, 1s);
    CHECK(!database->run_script("UPDATE audit SET actor = 'nobody' WHERE number = 1"));
    change(path, "UPDATE audit SET actor = 'nobody' WHERE number = 1");
    CHECK(verify_audit(*open_registry(path))->flaw->number == 1);
}

TEST_CASE("audit chain: a head is written down and read again") {
    AuditHead head{.number = 12};
    head.hash[0] = 0xab;
    CHECK(text_of(head).substr(0, 5) == "12:ab");
    CHECK(audit_head_from(text_of(head)) == head);
    for (const char* text : {"", "12", "12:", ":ab", "12:abcd", "x:00", "-1:00"})
        CHECK(!audit_head_from(text));
}
