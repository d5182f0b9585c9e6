#include "os/stores.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <vector>

#include "core/crypto.h"
#include "core/state.h"
#include "fakes/efi_variables.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;

namespace {

struct CollectedLog final : Log {
    void write(const LogEntry& entry) override { entries.push_back(entry); }
    std::vector<LogEntry> entries;
};

// A machine with firmware, a disk and a log.
struct Machine {
    Machine() { REQUIRE(crypto::initialise().has_value()); }

    std::unique_ptr<KeyStore> keys(const StoreSetting& setting) {
        return make_key_store(setting, variables, log);
    }
    std::unique_ptr<StateStore> states(const StoreSetting& setting) {
        return make_state_store(setting, variables, log);
    }
    StoreSetting file(const std::string& name) const {
        return {StoreKind::File, folder.path(name)};
    }

    FakeEfiVariables variables;
    CollectedLog log;
    TemporaryDirectory folder;
};

const StoreSetting uefi{StoreKind::Uefi};
const StoreSetting ephemeral{StoreKind::Ephemeral};
const Bytes some_state{1, 2, 3};

PrivateKey some_key(std::uint64_t seed = 1) {
    SeededRandom random(seed);
    return crypto::make_private_key(random);
}

bool same(const PrivateKey& a, const PrivateKey& b) {
    return equal_in_constant_time(a.view(), b.view());
}

// Whether the store holds this key.
bool holds(KeyStore& store, const PrivateKey& key) {
    auto loaded = store.load();
    return loaded && *loaded && same(**loaded, key);
}

Bytes record_of(const PrivateKey& key) {
    const SecretBytes record = encode_key_record(key);
    return {record.view().begin(), record.view().end()};
}

}  // namespace

// The node would be another one after each boot.
TEST_CASE("stores: a key comes back as it was stored, from firmware and from a file") {
    Machine machine;
    for (const auto& setting : {uefi, machine.file("key")}) {
        auto store = machine.keys(setting);
        auto nothing = store->load();
        REQUIRE(nothing.has_value());
        CHECK_FALSE(nothing->has_value());
        REQUIRE(store->store(some_key()).has_value());
        CHECK(holds(*machine.keys(setting), some_key()));
        REQUIRE(store->store(some_key(2)).has_value());
        CHECK(holds(*machine.keys(setting), some_key(2)));
    }
    CHECK(machine.log.entries.empty());
}

// The same for what the node remembers.
TEST_CASE("stores: a state comes back as it was stored, from firmware and from a file") {
    Machine machine;
    for (const auto& setting : {uefi, machine.file("state")}) {
        auto store = machine.states(setting);
        CHECK_FALSE(store->load()->has_value());
        REQUIRE(store->store(some_state).has_value());
        CHECK(**machine.states(setting)->load() == some_state);
    }
}

// A key of a node that is to have none after a reboot would be left behind.
TEST_CASE("stores: an ephemeral store keeps nothing") {
    Machine machine;
    auto store = machine.keys(ephemeral);
    REQUIRE(store->store(some_key()).has_value());
    CHECK_FALSE(store->load()->has_value());
    CHECK(machine.variables.writes == 0);
    auto states = machine.states(ephemeral);
    REQUIRE(states->store(some_state).has_value());
    CHECK_FALSE(states->load()->has_value());
}

// Key and state would overwrite each other.
TEST_CASE("stores: key and state have a variable each, and no others are touched") {
    Machine machine;
    machine.variables.values["Boot0000"] = {7};
    REQUIRE(machine.keys(uefi)->store(some_key()).has_value());
    REQUIRE(machine.states(uefi)->store(some_state).has_value());
    CHECK(machine.variables.values.size() == 3);
    CHECK(machine.variables.values["FortrosKey"] == record_of(some_key()));
    CHECK(machine.variables.values["FortrosState"] == some_state);
    CHECK(machine.variables.values["Boot0000"] == Bytes{7});
}

// Flash would wear out, a write each boot.
TEST_CASE("stores: what is there already is not written again") {
    Machine machine;
    auto states = machine.states(uefi);
    for (int boot = 0; boot < 3; ++boot) REQUIRE(states->store(some_state).has_value());
    CHECK(machine.variables.writes == 1);

    auto files = machine.states(machine.file("state"));
    REQUIRE(files->store(some_state).has_value());
    struct stat before{}, after{};
    ::stat(machine.folder.path("state").c_str(), &before);
    REQUIRE(files->store(some_state).has_value());
    ::stat(machine.folder.path("state").c_str(), &after);
    CHECK(before.st_ino == after.st_ino);  // a rewritten file is another inode
}

// The invite would be spent on a key that is gone after the next power cut.
TEST_CASE("stores: a key that does not read back is not stored") {
    Machine machine;
    machine.variables.forgets_writes = true;
    auto stored = machine.keys(uefi)->store(some_key());
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error().text().find("FortrosKey does not read back") != std::string::npos);
}

// The same, where the firmware says so itself.
TEST_CASE("stores: firmware's refusals are errors of the store") {
    Machine machine;
    machine.variables.write_error = Error{ErrorCode::Exhausted, "NVRAM is full"};
    auto stored = machine.keys(uefi)->store(some_key());
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error().code == ErrorCode::Exhausted);

    machine.variables.read_error = Error{ErrorCode::Unsupported, "no UEFI"};
    auto loaded = machine.keys(uefi)->load();
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().code == ErrorCode::Unsupported);
    CHECK_FALSE(machine.states(uefi)->load().has_value());
}

// A value that can't be read back after it was written may be gone with the power.
TEST_CASE("stores: a write whose reading back fails is a failure") {
    Machine machine;
    machine.variables.read_error = Error{ErrorCode::Io, "interrupted"};
    CHECK_FALSE(machine.keys(uefi)->store(some_key()).has_value());
    CHECK(machine.variables.writes == 1);
}

// Any user of the real root could read the key and be the node.
TEST_CASE("stores: the key's variable is made private when it is read and when it is written") {
    Machine machine;
    REQUIRE(machine.keys(uefi)->store(some_key()).has_value());
    CHECK(machine.variables.is_protected.contains("FortrosKey"));
    machine.variables.is_protected.clear();  // efivarfs was mounted anew
    CHECK(holds(*machine.keys(uefi), some_key()));
    CHECK(machine.variables.is_protected.contains("FortrosKey"));
}

// A node on a machine with a read-only efivarfs would not come up at all.
TEST_CASE("stores: a variable that can't be made private is used, with a warning") {
    Machine machine;
    machine.variables.protect_error = Error{ErrorCode::PermissionDenied, "read-only"};
    REQUIRE(machine.keys(uefi)->store(some_key()).has_value());
    CHECK(holds(*machine.keys(uefi), some_key()));
    REQUIRE(machine.log.entries.size() == 2);
    for (const auto& entry : machine.log.entries) {
        CHECK(entry.level == Level::Warning);
        CHECK(entry.message.find("may be readable by every user: read-only") != std::string::npos);
    }
}

// The same for a key in a file.
TEST_CASE("stores: key and state files are for root only") {
    Machine machine;
    REQUIRE(machine.keys(machine.file("key"))->store(some_key()).has_value());
    REQUIRE(machine.states(machine.file("state"))->store(some_state).has_value());
    for (const char* name : {"key", "state"}) {
        struct stat status{};
        REQUIRE(::stat(machine.folder.path(name).c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0600);
    }
}

// A broken variable would keep the node from ever booting again.
TEST_CASE("stores: a damaged key reads as absent, with a warning that names the place") {
    Machine machine;
    const Bytes good = record_of(some_key());
    std::vector<Bytes> damaged = {{}, {1, 2, 3}, Bytes(good.size(), 0), Bytes(30'000, 0xff)};
    for (std::size_t i = 0; i < good.size(); ++i) {
        damaged.emplace_back(good.begin(), good.begin() + static_cast<long>(i));  // cut
        damaged.push_back(good);                                                  // one bit
        damaged.back()[i] ^= 1;
    }
    damaged.push_back(good);
    damaged.back().push_back(0);
    Bytes body(good.begin(), good.begin() + 40);  // of a later version, in itself sound
    body[7] = 2;
    const auto digest = crypto::sha256({body});
    damaged.push_back(ByteWriter().bytes(body).bytes(ByteView(digest).first(8)).take());
    const ByteView whole(good);  // longer, its ends sound
    damaged.push_back(ByteWriter().bytes(whole.first(40)).u8(0).bytes(whole.last(8)).take());
    for (const auto& bytes : damaged) {
        machine.log.entries.clear();
        machine.variables.values["FortrosKey"] = bytes;
        auto loaded = machine.keys(uefi)->load();
        REQUIRE(loaded.has_value());
        CHECK_FALSE(loaded->has_value());
        REQUIRE(machine.log.entries.size() == 1);
        CHECK(machine.log.entries[0].message.starts_with("the UEFI variable FortrosKey "));
    }
}

// A file that can't be read may hold the key of an enrolled node: a new one must not be made.
TEST_CASE("stores: a key file that can't be read is an error, not an absent key") {
    Machine machine;
    ::mkdir(machine.folder.path("key").c_str(), 0700);
    auto loaded = machine.keys(machine.file("key"))->load();
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().text().find(machine.folder.path("key")) != std::string::npos);
    CHECK_FALSE(machine.keys(machine.file("no/such/folder"))->store(some_key()).has_value());
}

// An operator would look for the key in the wrong place.
TEST_CASE("stores: places have names for messages") {
    Machine machine;
    CHECK(machine.keys(uefi)->place() == "the UEFI variable FortrosKey");
    CHECK(machine.states(uefi)->place() == "the UEFI variable FortrosState");
    CHECK(machine.keys(machine.file("key"))->place() == "'" + machine.folder.path("key") + "'");
}

// A stored key of today would be garbage to a later version.
TEST_CASE("stores: the record of a key has its published form") {
    REQUIRE(crypto::initialise().has_value());
    const Bytes record = record_of(some_key());
    REQUIRE(record.size() == key_record_size);
    CHECK(as_text(ByteView(record).first(8)) == std::string_view("FORTKEY\x01", 8));
    CHECK(std::ranges::equal(ByteView(record).subspan(8, 32), some_key().view()));
    const auto digest = crypto::sha256({ByteView(record).first(40)});
    CHECK(std::ranges::equal(ByteView(record).last(8), ByteView(digest).first(8)));
    auto key = decode_key_record(record);
    REQUIRE(key.has_value());
    CHECK(same(*key, some_key()));
}

// A value that no firmware takes would be tried on it all the same.
TEST_CASE("efi variables: what is larger than a variable may be is not written") {
    FakeEfiVariables variables;
    CHECK_FALSE(variables.write("FortrosState", Bytes(efi_variable_limit + 1)).has_value());
    CHECK(variables.writes == 0);
    CHECK(variables.write("FortrosState", Bytes(efi_variable_limit)).has_value());
}

// Firmware full of somebody else's rubbish under our names: it reads as absent, and is replaced.
TEST_CASE("stores: a variable of 60 KB is no state and no key, and is mended") {
    Machine machine;
    machine.variables.values["FortrosState"] = Bytes(60'000, 0x46);
    machine.variables.values["FortrosKey"] = Bytes(60'000, 0x46);
    const auto state = machine.states(uefi)->load();
    CHECK((!state || !*state || !decode_state(**state)));
    const auto keys = machine.keys(uefi);
    const auto key = keys->load();
    REQUIRE(key);
    CHECK(!*key);
    CHECK(keys->store(some_key()));
    CHECK(holds(*machine.keys(uefi), some_key()));
}
