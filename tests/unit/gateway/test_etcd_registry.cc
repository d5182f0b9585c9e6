// What only a store over a network, with several gateways at it, can get wrong. Asked of a real
// cluster: tests/net/test_gateway_etcd.py starts one.
#include "gateway/etcd_registry.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <set>
#include <thread>

#include "gateway/audit_chain.h"
#include "unit/gateway/etcd_for_tests.h"

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

template <typename T>
T must(Result<T> result) {
    if (!result) FAIL(result.error().text());
    return std::move(*result);
}

std::unique_ptr<EtcdRegistry> open_registry(const EtcdSettings& settings, Duration limit = 10s) {
    return must(EtcdRegistry::open(settings, prefix, limit));
}

InviteRecord make_invite_for(Registry& registry, std::string_view text, std::uint32_t uses,
                             Approval approval = Approval::NotNeeded) {
    return must(registry.create_invite({.hash = hash_of_invite(as_bytes(text)),
                                        .uses = uses,
                                        .approval = approval,
                                        .expires = noon + one_day},
                                       "uid 0", noon));
}

bool is_admitted(const Result<Decision>& decision) {
    return decision && std::holds_alternative<Member>(*decision);
}

// Asks the cluster past the registry, as an admin with etcdctl does.
std::string ask(const EtcdSettings& settings, std::string_view target, std::string_view body) {
    return must(must(EtcdClient::create(settings))->call(target, body, 10s));
}

std::string head_of(const EtcdSettings& settings) {
    return etcd_state_folder(settings.prefix, prefix) + std::string(etcd_head_name);
}

void write_by_hand(const EtcdSettings& settings, const std::string& key, const std::string& value) {
    const EtcdTransaction transaction{.writes = {{key, value}}};
    must(parse_etcd_transaction(ask(settings, etcd_txn_target, to_json_text(transaction)), 0));
}

// Forgets all but the newest revision.
void compact(const EtcdSettings& settings) {
    const auto now = must(parse_etcd_range(
        ask(settings, etcd_range_target, to_json_text(EtcdRange{.key = head_of(settings)}))));
    ask(settings, "/v3/kv/compaction",
        R"({"revision":")" + std::to_string(now.store_revision) + R"(","physical":true})");
}

// Asks the watch until it has news, as the gateway's loop does.
bool hears_of_a_change(RegistryWatch& watch) {
    for (int i = 0; i < 1000; ++i) {
        if (must(watch.changed())) return true;
        pollfd ready{.fd = watch.fd(), .events = POLLIN, .revents = 0};
        ::poll(&ready, 1, 10);
    }
    return false;
}

}  // namespace

// A gateway that was started again would know nobody.
TEST_CASE("etcd registry: what was acknowledged is there for whoever opens it") {
    const auto settings = *empty_registry_in_etcd();
    auto first = open_registry(settings);
    make_invite_for(*first, "two", 2);
    const auto node = std::get<Member>(must(first->enrol(enrolment_of(1, "two"), "x", noon))).node;
    auto second = open_registry(settings);
    CHECK(must(second->find_node(key_of(1))) == node);
    CHECK(must(second->nodes_since(0)) == std::vector{node});
    CHECK(must(second->invites(noon)).at(0).used == 1);
    CHECK(must(second->policy()) == must(first->policy()));
    CHECK(must(second->audit(9)) == must(first->audit(9)));
}

// The second gateway would admit with an invite that is spent, refuse one that was made a moment ago,
// or take a node that has just enrolled for a stranger.
TEST_CASE("etcd registry: what one gateway has done the other decides by at once") {
    const auto settings = *empty_registry_in_etcd();
    auto here = open_registry(settings);
    auto there = open_registry(settings);
    make_invite_for(*here, "one", 1);
    CHECK(is_admitted(there->enrol(enrolment_of(1, "one"), "x", noon)));
    CHECK(must(here->find_node(key_of(1))).has_value());
    CHECK(std::get<RefusalCode>(must(here->enrol(enrolment_of(2, "one"), "x", noon))) ==
          RefusalCode::InviteInvalid);
    make_invite_for(*there, "two", 1);
    auto colliding = enrolment_of(3, "two");
    colliding.overlay_address = overlay_address(prefix, key_of(1));
    CHECK(std::get<RefusalCode>(must(here->enrol(colliding, "x", noon))) ==
          RefusalCode::AddressTaken);
    must(there->revoke_node(key_of(1), "uid 0", noon));
    CHECK(std::get<RefusalCode>(must(here->enrol(enrolment_of(1, "two"), "x", noon))) ==
          RefusalCode::Revoked);
    CHECK(here->renew(key_of(1), noon).error().code == ErrorCode::NotFound);
}

// An invite would admit more than it is for, or a revision name two changes.
TEST_CASE("etcd registry: gateways that race for an invite get each use once") {
    constexpr unsigned gateways = 3, tries = 12, uses = 7;
    const auto settings = *empty_registry_in_etcd();
    make_invite_for(*open_registry(settings), "shared", uses);
    std::atomic<unsigned> admitted = 0, refused = 0, failed = 0;
    {
        std::vector<std::jthread> threads;
        for (unsigned gateway = 0; gateway < gateways; ++gateway)
            threads.emplace_back([&, gateway] {
                auto registry = EtcdRegistry::open(settings, prefix, 30s);
                for (unsigned i = 0; registry && i < tries; ++i) {
                    const auto decision = (*registry)->enrol(
                        enrolment_of(gateway * tries + i + 1, "shared"), "x", noon);
                    ++(!decision ? failed : is_admitted(decision) ? admitted : refused);
                }
            });
    }
    CHECK(admitted == uses);
    CHECK(refused == gateways * tries - uses);
    CHECK(failed == 0);
    auto registry = open_registry(settings);
    std::set<std::uint64_t> revisions, serials;
    for (const auto& node : must(registry->nodes_since(0))) {
        revisions.insert(node.revision);
        serials.insert(node.serial);
    }
    CHECK(revisions.size() == uses);
    CHECK(serials.size() == uses);
    CHECK(must(registry->invites(noon)).at(0).used == uses);
    std::uint64_t number = 0;
    for (const auto& entry : must(registry->audit(100))) CHECK(entry.number == ++number);
    CHECK(number == 1 + uses);
}

// A revoked node's tunnel would stay open at the other gateways.
TEST_CASE("etcd registry: a watcher hears of what others do, in its order") {
    const auto settings = *empty_registry_in_etcd();
    auto here = open_registry(settings);
    auto there = open_registry(settings);
    auto watch = must(here->watch());
    while (must(watch->changed())) {
    }
    make_invite_for(*there, "many", 9);
    CHECK(hears_of_a_change(*watch));
    CHECK(must(here->nodes_since(0)).empty());
    for (unsigned number : {3U, 1U, 2U})
        must(there->enrol(enrolment_of(number, "many"), "x", noon));
    std::vector<NodeRecord> seen;
    while (seen.size() < 3 && hears_of_a_change(*watch))
        for (const auto& node : must(here->nodes_since(seen.empty() ? 0 : seen.back().revision)))
            seen.push_back(node);
    REQUIRE(seen.size() == 3);
    CHECK(seen[0].key == key_of(3));
    CHECK(seen[2].key == key_of(2));
    must(there->revoke_node(key_of(3), "uid 0", noon));
    CHECK(hears_of_a_change(*watch));
    CHECK(must(here->nodes_since(seen.back().revision)).at(0).revoked == noon);
    // One's own changes are no news.
    must(here->enrol(enrolment_of(4, "many"), "x", noon));
    CHECK(!must(watch->changed()));
}

// After etcd has forgotten its history a gateway would be deaf for ever.
TEST_CASE("etcd registry: a watcher whose past is compacted away reads everything and goes on") {
    const auto settings = *empty_registry_in_etcd();
    auto here = open_registry(settings);
    auto there = open_registry(settings);
    make_invite_for(*there, "many", 9);
    for (unsigned number = 1; number < 6; ++number)
        must(there->enrol(enrolment_of(number, "many"), "x", noon));
    compact(settings);
    auto watch = must(here->watch());  // from where `here` is: before all that
    CHECK(hears_of_a_change(*watch));
    CHECK(must(here->nodes_since(0)).size() == 5);
    must(there->revoke_node(key_of(3), "uid 0", noon));
    CHECK(hears_of_a_change(*watch));
    CHECK(must(here->find_node(key_of(3)))->revoked == noon);
    // And one that decides without a watch.
    auto late = open_registry(settings);
    must(there->enrol(enrolment_of(7, "many"), "x", noon));
    compact(settings);
    CHECK(is_admitted(late->enrol(enrolment_of(8, "many"), "x", noon)));
    CHECK(must(late->find_node(key_of(7))).has_value());
}

// A fleet of more nodes than fit into one answer would be read in part.
TEST_CASE("etcd registry: a registry of several pages is read whole") {
    const auto settings = *empty_registry_in_etcd();
    auto registry = open_registry(settings);
    for (unsigned i = 0; i < 1201; ++i) {
        EtcdInvite invite{.hash = hash_of_invite(as_bytes(std::to_string(i)))};
        invite.record.id = invite_id_of(invite.hash);
        const EtcdTransaction transaction{.writes = {{etcd_state_folder(settings.prefix, prefix) +
                                                          etcd_invite_name(invite.record.id),
                                                      to_json_text(invite)}}};
        static auto client = must(EtcdClient::create(settings));
        must(client->call(etcd_txn_target, to_json_text(transaction), 10s));
    }
    CHECK(must(open_registry(settings)->invites(noon)).size() == 1201);
}

// One of a thousand that wait and are forgotten at once would hold up all the others: etcd takes 128
// operations in a transaction.
TEST_CASE("etcd registry: any number that has waited too long is let go") {
    const auto settings = *empty_registry_in_etcd();
    auto registry = open_registry(settings);
    make_invite_for(*registry, "guarded", 99, Approval::Needed);
    for (unsigned number = 0; number < waiting_per_invite_limit; ++number)
        must(registry->enrol(enrolment_of(number, "guarded"), "x", noon));
    const auto later = noon + 25h;
    CHECK(registry->approve(key_of(1), "uid 0", later).error().code == ErrorCode::NotFound);
    CHECK(must(open_registry(settings)->waiting(noon)).empty());
    CHECK(must(registry->audit(1)).at(0).number == 1 + 2 * waiting_per_invite_limit);
    CHECK(must(registry->audit(1)).at(0).event == "waiting-expired");
    // And so is everybody whose invite is revoked.
    const auto other = make_invite_for(*registry, "other", 99, Approval::Needed);
    for (unsigned number = 0; number < waiting_per_invite_limit; ++number)
        must(registry->enrol(enrolment_of(number, "other"), "x", noon));
    must(registry->revoke_invite(other.id, "uid 0", noon));
    CHECK(must(open_registry(settings)->waiting(noon)).empty());
}

// An old program would misread what a new one wrote, even one that was running when it came.
TEST_CASE("etcd registry: a newer version's registry is refused") {
    const auto settings = *empty_registry_in_etcd();
    auto running = open_registry(settings);
    make_invite_for(*running, "one", 1);
    std::string newer = to_json_text(EtcdHead{.transaction = "x"});
    const std::string schema = "\"schema\":" + std::to_string(etcd_schema);
    newer.replace(newer.find(schema), schema.size(), "\"schema\":99");
    write_by_hand(settings, head_of(settings), newer);
    const auto registry = EtcdRegistry::open(settings, prefix, 10s);
    REQUIRE(!registry);
    CHECK(registry.error().code == ErrorCode::Unsupported);
    CHECK(running->enrol(enrolment_of(1, "one"), "x", noon).error().code == ErrorCode::Unsupported);
}

// Who edits etcd by hand would make a gateway overwrite it with what it remembers, or stop for ever.
TEST_CASE("etcd registry: what was written by hand is read before anything is decided by it") {
    const auto settings = *empty_registry_in_etcd();
    auto registry = open_registry(settings);
    const auto invite = make_invite_for(*registry, "one", 1);
    EtcdInvite edited{.record = invite, .hash = hash_of_invite(as_bytes("one"))};
    edited.record.revoked = noon;
    write_by_hand(settings,
                  etcd_state_folder(settings.prefix, prefix) + etcd_invite_name(invite.id),
                  to_json_text(edited));
    CHECK(std::get<RefusalCode>(must(registry->enrol(enrolment_of(1, "one"), "x", noon))) ==
          RefusalCode::InviteInvalid);
}

// Nonsense in the store would be served as if it were the fleet.
TEST_CASE("etcd registry: damage is said, with its key") {
    const auto settings = *empty_registry_in_etcd();
    auto registry = open_registry(settings);
    const auto key = etcd_state_folder(settings.prefix, prefix) + etcd_node_name(key_of(1));
    write_by_hand(settings, key, "{}");
    const auto damaged = EtcdRegistry::open(settings, prefix, 10s);
    REQUIRE(!damaged);
    CHECK(damaged.error().code == ErrorCode::InvalidData);
    CHECK(damaged.error().text().contains(etcd_node_name(key_of(1))));
}

// A request would hang the gateway, or be told yes by nobody.
TEST_CASE("etcd registry: a cluster that is not there is an error in time") {
    auto settings = *empty_registry_in_etcd();
    settings.endpoints = {{EtcdTransport::Plain, *Endpoint::parse("127.0.0.1:9")},
                          {EtcdTransport::Plain, *Endpoint::parse("[::1]:9")}};
    const auto registry = EtcdRegistry::open(settings, prefix, 300ms);
    REQUIRE(!registry);
    CHECK(registry.error().code == ErrorCode::Busy);
    CHECK(registry.error().text().contains("refused"));
}

// One member that is down would be an outage.
TEST_CASE("etcd registry: the next member is asked where one is down") {
    auto settings = *empty_registry_in_etcd();
    settings.endpoints.insert(settings.endpoints.begin(),
                              {EtcdTransport::Plain, *Endpoint::parse("127.0.0.1:9")});
    auto registry = open_registry(settings);
    auto watch = must(registry->watch());
    make_invite_for(*open_registry(settings), "one", 1);
    CHECK(hears_of_a_change(*watch));
}

// Who can write into the cluster could blame another for what he has done, or leave no trace.
TEST_CASE("etcd registry: an audit log that was changed by hand is found") {
    const auto settings = *empty_registry_in_etcd();
    auto registry = open_registry(settings);
    for (const char* name : {"one", "two", "three", "four"}) make_invite_for(*registry, name, 1);
    CHECK(!must(verify_audit(*registry)).flaw);
    const std::string folder = etcd_audit_folder(settings.prefix, prefix);
    const auto flaw = [&](std::uint64_t number, const std::optional<std::string>& value) {
        const EtcdTransaction transaction{.writes = {{folder + etcd_audit_name(number), value}}};
        must(parse_etcd_transaction(ask(settings, etcd_txn_target, to_json_text(transaction)), 0));
        const auto verdict = must(verify_audit(*registry));
        return verdict.flaw ? verdict.flaw->number : 0;
    };
    const auto links = must(registry->audit_after(0, 9));
    CHECK(flaw(5, to_json_text(EtcdAuditEntry{links[3].entry, "x", links[3].hash})) == 5);
    CHECK(flaw(5, std::nullopt) == 0);
    CHECK(flaw(4, std::nullopt) == 4);
    auto forged = links[1];
    forged.entry.actor = "uid 7";
    CHECK(flaw(2, to_json_text(EtcdAuditEntry{forged.entry, "x", forged.hash})) == 2);
    CHECK(flaw(1, "no entry") == 1);
}

// A registry from before there was a chain would be unreadable, or its log be called forged.
TEST_CASE("etcd registry: a log from before there was a chain goes on as one") {
    const auto settings = *empty_registry_in_etcd();
    open_registry(settings);
    const std::string folder = etcd_audit_folder(settings.prefix, prefix);
    write_by_hand(settings, folder + etcd_audit_name(1),
                  R"({"time":1,"event":"refused","actor":"x","transaction":"old"})");
    write_by_hand(settings, head_of(settings),
                  R"({"schema":1,"revision":0,"serial":0,"audit":1,"renewed":0,"policy":{)"
                  R"("serial":1,"signers_since":0,"revocations":0},"transaction":"old"})");
    auto registry = open_registry(settings);
    make_invite_for(*registry, "one", 1);
    const auto verdict = must(verify_audit(*registry));
    if (verdict.flaw) FAIL(verdict.flaw->number << " " << verdict.flaw->what);
    CHECK(verdict.head.number == 2);
    CHECK(verdict.head.unchained == 1);
    CHECK(must(open_registry(settings)->audit_head()) == verdict.head);
}
