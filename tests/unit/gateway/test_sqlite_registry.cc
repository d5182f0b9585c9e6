// What only a file can get wrong: reopening, two processes at once, other people's files.
#include "gateway/sqlite_registry.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "gateway/sqlite_schema.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
const WallTime noon{std::chrono::seconds{1'800'000'000}};

PublicKey key_of(unsigned number) {
    PublicKey key;
    key.bytes[0] = static_cast<std::uint8_t>(number);
    key.bytes[1] = static_cast<std::uint8_t>(number >> 8);
    return key;
}

Enrolment enrolment_of(unsigned number, std::string_view invite) {
    return {.key = key_of(number),
            .overlay_address = overlay_address(prefix, key_of(number)),
            .invite = hash_of_invite(as_bytes(invite)),
            .attested_until = noon + std::chrono::days{30}};
}

std::unique_ptr<SqliteRegistry> open_registry(const std::string& path) {
    REQUIRE(crypto::initialise());
    auto registry = SqliteRegistry::open(path, prefix, 30s);
    if (!registry) FAIL(registry.error().text());
    return std::move(*registry);
}

void make_invite_for(SqliteRegistry& registry, std::string_view text, std::uint32_t uses) {
    REQUIRE(registry.create_invite(
        {.hash = hash_of_invite(as_bytes(text)), .uses = uses, .expires = noon + one_day}, "uid 0",
        noon));
}

}  // namespace

// After a restart of the gateway its nodes would be strangers.
TEST_CASE("sqlite registry: what was acknowledged is there after reopening") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    {
        auto registry = open_registry(path);
        make_invite_for(*registry, "one", 1);
        REQUIRE(registry->enrol(enrolment_of(1, "one"), "x", noon));
    }
    auto registry = open_registry(path);
    CHECK(registry->check());
    CHECK(registry->find_node(key_of(1))->has_value());
    CHECK(registry->invites(noon)->at(0).used == 1);
    CHECK(registry->audit(9)->size() == 2);
}

// The gateway and an admin command, or a gateway that was started twice, would spend it twice.
TEST_CASE("sqlite registry: connections that race for an invite get each use once") {
    constexpr unsigned connections = 4, tries = 12, uses = 7;
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    make_invite_for(*open_registry(path), "shared", uses);
    std::atomic<unsigned> admitted = 0, refused = 0, failed = 0;
    {
        std::vector<std::jthread> threads;
        for (unsigned connection = 0; connection < connections; ++connection)
            threads.emplace_back([&, connection] {
                auto registry = SqliteRegistry::open(path, prefix, 30s);
                for (unsigned i = 0; registry && i < tries; ++i) {
                    const auto decision = (*registry)->enrol(
                        enrolment_of(connection * tries + i + 1, "shared"), "x", noon);
                    ++(!decision                                   ? failed
                       : std::holds_alternative<Member>(*decision) ? admitted
                                                                   : refused);
                }
            });
    }
    CHECK(admitted == uses);
    CHECK(refused == connections * tries - uses);
    CHECK(failed == 0);
    auto registry = open_registry(path);
    CHECK(registry->nodes_since(0)->size() == uses);
    CHECK(registry->invites(noon)->at(0).used == uses);
}

// Everyone on the host could read who is a member, or write himself into the list.
TEST_CASE("sqlite registry: the files are for their owner only") {
    const TemporaryDirectory folder;
    ::umask(0);
    auto registry = open_registry(folder.path("made/gateway.db"));
    make_invite_for(*registry, "one", 1);
    for (const char* name : {"made/gateway.db", "made/gateway.db-wal", "made/gateway.db-shm"}) {
        struct stat status{};
        REQUIRE(::stat(folder.path(name).c_str(), &status) == 0);
        CHECK_MESSAGE((status.st_mode & 0777) == 0600, name);
    }
    ::umask(022);
}

// A wrong path in the settings would turn somebody's browser history into a registry.
TEST_CASE("sqlite registry: a file of another program is refused and left alone") {
    const TemporaryDirectory folder;
    SUBCASE("another program's database") {
        const auto path = folder.path("other.db");
        REQUIRE(Database::open(path, 1s)->run_script("CREATE TABLE bookmarks (url TEXT)"));
        const auto registry = SqliteRegistry::open(path, prefix, 1s);
        REQUIRE(!registry);
        CHECK(registry.error().code == ErrorCode::InvalidData);
        CHECK(registry.error().what.contains("another program"));
    }
    SUBCASE("no database at all") {
        const auto path = folder.path("notes.txt");
        std::ofstream(path) << std::string(5000, 'x');
        const auto registry = SqliteRegistry::open(path, prefix, 1s);
        REQUIRE(!registry);
        CHECK(registry.error().code == ErrorCode::InvalidData);
    }
}

// Nodes of one org would be let into another, under addresses that follow from neither.
TEST_CASE("sqlite registry: another org's registry is refused") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    open_registry(path);
    const auto registry = SqliteRegistry::open(path, *OrgPrefix::parse("fdff:ffff:ffff::/48"), 1s);
    REQUIRE(!registry);
    CHECK(registry.error().code == ErrorCode::Conflict);
    CHECK(registry.error().what.contains("fd12:3456:789a::/48"));
}

// An old program would misread what a new one wrote.
TEST_CASE("sqlite registry: a newer version's file is refused") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    open_registry(path);
    REQUIRE(Database::open(path, 1s)->run_script("PRAGMA user_version = 99"));
    const auto registry = SqliteRegistry::open(path, prefix, 1s);
    REQUIRE(!registry);
    CHECK(registry.error().code == ErrorCode::Unsupported);
}

// Who has broken in could make his traces disappear with one statement.
TEST_CASE("sqlite registry: the audit log can't be changed") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    make_invite_for(*open_registry(path), "one", 1);
    auto database = Database::open(path, 1s);
    REQUIRE(database);
    CHECK(!database->run_script("UPDATE audit SET actor = 'nobody'"));
    CHECK(!database->run_script("DELETE FROM audit"));
    CHECK(open_registry(path)->audit(9)->size() == 1);
}

// `node revoke` would take effect only when the gateway is started again.
TEST_CASE("sqlite registry: another connection's commit is noticed, one's own is not") {
    const TemporaryDirectory folder;
    auto ours = open_registry(folder.path("gateway.db"));
    auto theirs = open_registry(folder.path("gateway.db"));
    const auto before = *ours->data_version();
    make_invite_for(*ours, "one", 1);
    CHECK(*ours->data_version() == before);
    make_invite_for(*theirs, "two", 1);
    CHECK(*ours->data_version() != before);
}

// A request that could not be served would be half done, or would hang the server.
TEST_CASE("sqlite registry: a busy store is an error and changes nothing") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    auto registry = SqliteRegistry::open(path, prefix, 1ms);
    REQUIRE(registry);
    make_invite_for(**registry, "one", 1);
    auto other = Database::open(path, 1s);
    REQUIRE(other);
    {
        auto lock = Transaction::begin(*other);
        REQUIRE(lock);
        const auto decision = (*registry)->enrol(enrolment_of(1, "one"), "x", noon);
        REQUIRE(!decision);
        CHECK(decision.error().code == ErrorCode::Busy);
    }
    CHECK((*registry)->enrol(enrolment_of(1, "one"), "x", noon).has_value());
}

// Nodes would be told yes for what a crash, or another's lock, has undone.
TEST_CASE("sqlite registry: several calls at once are durable together or not at all") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    auto registry = open_registry(path);
    make_invite_for(*registry, "many", 9);
    auto reader = open_registry(path);
    REQUIRE(registry->batch([&] {
        REQUIRE(registry->enrol(enrolment_of(1, "many"), "x", noon));
        REQUIRE(registry->enrol(enrolment_of(2, "many"), "x", noon));
        CHECK(reader->nodes_since(0)->empty());
    }));
    CHECK(reader->nodes_since(0)->size() == 2);

    auto other = Database::open(path, 1s);
    REQUIRE(other);
    auto impatient = SqliteRegistry::open(path, prefix, 1ms);
    REQUIRE(impatient);
    auto lock = Transaction::begin(*other);
    REQUIRE(lock);
    bool called = false;
    CHECK((*impatient)->batch([&] { called = true; }).error().code == ErrorCode::Busy);
    CHECK(!called);
}

// An update of the gateway would lose its lighthouses' endpoints, or its members.
TEST_CASE("sqlite registry: a file from before there were lighthouses is brought up to date") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    {
        auto old = Database::open(path, 1s);
        REQUIRE(old);
        constexpr std::size_t before = 4;
        for (std::size_t i = 0; i < before; ++i) REQUIRE(old->run_script(registry_migrations[i]));
        REQUIRE(old->run_script("PRAGMA foreign_keys = OFF"));
        const std::string content =
            "PRAGMA application_id = " + std::to_string(registry_application_id) +
            "; PRAGMA user_version = " + std::to_string(before) +
            "; INSERT INTO organisation VALUES (1, x'fd123456789a', 1, 1, 0);"
            "INSERT INTO nodes (key, overlay_address, role, hostname, invite, enrolled, serial, "
            "attested_until, revision) VALUES (x'01" +
            std::string(62, '0') + "', x'fd12" + std::string(28, '0') +
            "', 2, 'lh1', 'i', 5, 1, 9, 1);";
        REQUIRE(old->run_script(content.c_str()));
    }
    auto registry = open_registry(path);
    CHECK(registry->check());
    const auto node = registry->find_node(key_of(1));
    REQUIRE(node->has_value());
    CHECK((*node)->role == Role::Lighthouse);
    CHECK((*node)->endpoints.empty());
    CHECK(registry->lighthouses()->empty());
    const std::vector endpoints{*Endpoint::parse("203.0.113.5:51820")};
    REQUIRE(registry->set_lighthouse(key_of(1), endpoints, "uid 0", noon));
    registry.reset();
    registry = open_registry(path);
    CHECK(registry->lighthouses()->at(0).endpoints == endpoints);
}

// An update of the gateway would lose its members, or make their invites ask for approval.
TEST_CASE("sqlite registry: a file of the first version is brought up to date") {
    const TemporaryDirectory folder;
    const auto path = folder.path("gateway.db");
    {
        auto old = Database::open(path, 1s);
        REQUIRE(old);
        REQUIRE(old->run_script(registry_migrations[0]));
        const std::string content =
            "PRAGMA application_id = " + std::to_string(registry_application_id) +
            "; PRAGMA user_version = 1;"
            "INSERT INTO organisation VALUES (1, x'fd123456789a', 1, 1);"
            "INSERT INTO nodes VALUES (x'01" +
            std::string(62, '0') + "', x'fd12" + std::string(28, '0') +
            "', 1, 'old', 'i', 5, NULL, 1, 9, 1);";
        REQUIRE(old->run_script("PRAGMA foreign_keys = OFF"));
        REQUIRE(old->run_script(content.c_str()));
        REQUIRE(old->execute("INSERT INTO invites VALUES ('i', ?1, 3, 1, 1, '', 1, ?2, NULL)",
                             ByteView(hash_of_invite(as_bytes("old"))), noon + one_day));
    }
    auto registry = open_registry(path);
    CHECK(registry->check());
    const auto node = registry->find_node(key_of(1));
    REQUIRE(node->has_value());
    CHECK((*node)->hostname == "old");
    CHECK((*node)->is_member());
    const auto invite = registry->invites(noon)->at(0);
    CHECK(invite.approval == Approval::NotNeeded);
    CHECK(invite.waiting == 0);
    CHECK(registry->waiting(noon)->empty());
}
