// usage: mesh-plan MEMBERS
//
// What one node's part in a mesh of so many members costs: one line of JSON with medians in
// microseconds and bytes. Its peers answer everything at once, so that only the node itself is
// measured; the members and their keys come from a seed.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <queue>
#include <vector>

#include "core/crypto.h"
#include "mesh/mesh.h"
#include "mesh/plan.h"

using namespace fortros;
using namespace fortros::mesh;

static std::size_t allocated = 0;

void* operator new(std::size_t size) {
    void* at = std::malloc(size);  // NOLINT(cppcoreguidelines-no-malloc): it is operator new
    if (!at) std::abort();
    allocated += malloc_usable_size(at);
    return at;
}
void operator delete(void* at) noexcept {
    if (at) allocated -= malloc_usable_size(at);
    std::free(at);  // NOLINT(cppcoreguidelines-no-malloc)
}
void operator delete(void* at, std::size_t) noexcept { operator delete(at); }

namespace {

constexpr int rounds = 201;

template <typename Work>
double median_us(const Work& work) {
    std::vector<double> times;
    for (int i = 0; i < rounds; ++i) {
        const auto start = std::chrono::steady_clock::now();
        work(i);
        const auto end = std::chrono::steady_clock::now();
        times.push_back(std::chrono::duration<double, std::micro>(end - start).count());
    }
    std::ranges::nth_element(times, times.begin() + rounds / 2);
    return times[rounds / 2];
}

Member make_member(Random& dice, const OrgPrefix& prefix, Role role = Role::Node) {
    Member member;
    dice.fill(member.key.bytes);
    member.key.bytes[31] &= 0x7f;
    member.address = overlay_address(prefix, member.key);
    member.role = role;
    member.serial = 1;
    member.hostname = "node-of-some-site-0001";
    member.attestation.resize(attestation_size);
    member.endpoints = {{IpAddress::v4({203, 0, 113, 1}), 51820}};
    return member;
}

// Everybody else: says yes and answers, after 10 ms.
void live(Mesh& mesh, Instant& now, Duration time) {
    struct Answer {
        Instant when;
        PublicKey from;
        Via via;
        LinkMessage message;
    };
    std::vector<Answer> answers;
    const Instant end = now + time;
    while (now < end) {
        Instant next = std::max(mesh.next_step(), now + 1ms);
        for (const Answer& answer : answers) next = std::min(next, answer.when);
        now = next;
        for (std::size_t i = 0; i < answers.size(); ++i)
            if (answers[i].when <= now)
                mesh.received(answers[i].from, answers[i].via, answers[i].message, now);
        std::erase_if(answers, [&](const Answer& answer) { return answer.when <= now; });
        for (const Outgoing& said : mesh.step(now)) {
            LinkMessage answer;
            answer.nonce = said.message.nonce;
            answer.standing = {.nat = Nat::None, .links = 14, .room = 6};
            answer.standing.candidates = {{IpAddress::v4({203, 0, 113, 1}), 51820}};
            if (said.message.verb == LinkVerb::Want) {
                answer.verb = LinkVerb::Accept;
                answer.confirm = 1;
            } else if (said.message.verb == LinkVerb::Probe && said.via != Via::Relay) {
                answer.verb = LinkVerb::Echo;
                answer.linked = true;
            } else {
                continue;
            }
            const Via via = said.message.verb == LinkVerb::Want ? Via::Relay : said.via;
            answers.push_back({now + 10ms, said.to, via, answer});
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || !crypto::initialise()) return 2;
    const auto count = static_cast<std::size_t>(std::strtoul(argv[1], nullptr, 10));
    SeededRandom dice(7);
    const OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");

    const std::size_t before = allocated;
    Members members;
    std::vector<PublicKey> keys;
    for (std::size_t i = 0; i < count; ++i) {
        Member member = make_member(dice, prefix, i < 3 ? Role::Lighthouse : Role::Node);
        keys.push_back(member.key);
        members.put(std::move(member));
    }
    const double member_bytes =
        static_cast<double>(allocated - before - keys.capacity() * sizeof(PublicKey)) /
        static_cast<double>(count);

    std::vector<Member> comers;
    for (int i = 0; i < rounds; ++i) comers.push_back(make_member(dice, prefix));
    const double join_us =
        median_us([&](int i) { members.put(comers[static_cast<std::size_t>(i)]); });
    const double change_us = median_us([&](int i) {
        Member& member = comers[static_cast<std::size_t>(i)];
        ++member.serial;
        members.put(member);
    });
    const double leave_us =
        median_us([&](int i) { members.remove(comers[static_cast<std::size_t>(i)].key); });

    const double plan_us = median_us(
        [&](int i) { plan(keys[static_cast<std::size_t>(i) % count], members, {}, {}, {}); });

    const std::size_t without = allocated;
    Instant now{1h};
    Self self{.key = comers[0].key, .address = comers[0].address};
    Mesh mesh(self, members, dice, now);
    live(mesh, now, 30min);
    const std::size_t mesh_bytes = allocated - without;
    // A step that looks at everything: members have changed, so the plan is made anew.
    const double step_us = median_us([&](int i) {
        members.put(comers[1 + static_cast<std::size_t>(i) % 100]);
        members.remove(comers[1 + static_cast<std::size_t>(i) % 100].key);
        now += 2s;
        mesh.members_changed(members);
        mesh.step(now);
    });
    live(mesh, now, 30min);
    std::uint64_t steps = 0;
    const Instant start = now;
    while (now < start + 10min) {
        live(mesh, now, 1us);
        ++steps;
    }
    const double quiet_us = median_us([&](int) { mesh.step(now); });

    Mesh lighthouse(
        {.key = keys[0], .address = members.find(keys[0])->address, .role = Role::Lighthouse},
        members, dice, now);
    lighthouse.step(now);
    const double serving_us = median_us([&](int i) {
        ++comers[1].serial;
        members.put(comers[1 + static_cast<std::size_t>(i) % 100]);
        members.remove(comers[1 + static_cast<std::size_t>(i) % 100].key);
        now += 1s;
        lighthouse.step(now);
    });
    std::printf(
        "{\"members\": %zu, \"member_bytes\": %.0f, \"join_us\": %.2f, \"change_us\": %.2f, "
        "\"leave_us\": %.2f, \"plan_us\": %.2f, \"step_us\": %.2f, \"quiet_step_us\": %.3f, "
        "\"lighthouse_step_us\": %.1f, \"mesh_bytes\": %zu, \"links\": %zu, "
        "\"steps_in_10_min\": %llu}\n",
        count, member_bytes, join_us, change_us, leave_us, plan_us, step_us, quiet_us, serving_us,
        mesh_bytes, mesh.direct_links(), static_cast<unsigned long long>(steps));
    return 0;
}
