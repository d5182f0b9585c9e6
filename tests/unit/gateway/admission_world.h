// A gateway's Admission over twins, and what a node says to it through the gate.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "gateway/admission.h"
#include "unit/gateway/fakes.h"
#include "unit/gateway/memory_registry.h"

namespace fortros::gateway {

inline const WallTime noon{std::chrono::seconds{1'800'000'000}};
inline const std::string invite = "fortros-invite-v1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct AdmissionWorld {
    explicit AdmissionWorld(WallTime signer_end = noon + std::chrono::days{365})
        : gateway(1), signer(make_fake_signer(noon - one_day, signer_end)) {
        restart();
        open_invite(invite, 1);
    }

    // The gateway's process ends and another begins.
    void restart() {
        GatewaySelf self{.prefix = prefix,
                         .domain = "example.org",
                         .private_key = gateway.key.duplicate(),
                         .public_key = gateway.public_key,
                         .endpoints = {*Endpoint::parse("198.51.100.1:51820")},
                         .keepalive_seconds = 25};
        admission.emplace(std::move(self),
                          Admission::Parts{registry, tunnels, *signer, random, log,
                                           [this](const auto&) { return vouched; }});
    }

    void open_invite(std::string_view text, std::uint32_t uses) {
        REQUIRE(registry.create_invite({.hash = hash_of_invite(as_bytes(text)),
                                        .uses = uses,
                                        .expires = noon + std::chrono::days{7}},
                                       "uid 0", noon));
    }

    std::uint32_t uses_of(std::string_view text) {
        const auto invites = registry.invites(noon);
        for (const auto& record : *invites)
            if (record.id == invite_id_of(hash_of_invite(as_bytes(text)))) return record.used;
        FAIL("no such invite");
        return 0;
    }

    // By way of the gate, and given as well, as nothing stands in the way of.
    Answer handle(const Request& request, WallTime now = noon) {
        Answer given;
        time = now;
        gate.handle(copy_of(request), [&](Answer answer) { given = std::move(answer); }, now);
        if (given.note) log.write(*given.note);
        return given;
    }

    MembershipAnswer enrolled(FakeNode& node, WallTime now = noon) {
        const auto answer = handle(node.enroll(gateway.public_key, invite), now);
        REQUIRE_MESSAGE(answer.status == 200, answer.body);
        return *parse_membership_answer(answer.body);
    }

    // What a node would think of the attestation in an answer.
    Result<Attestation> check(const MembershipAnswer& answer, WallTime now = noon) const {
        return check_attestation(answer.attestation, {signer->facts()}, prefix, now);
    }

    FakeNode gateway;  // its keys
    std::unique_ptr<AttestationSigner> signer;
    OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    MemoryRegistry registry;
    FakeTunnels tunnels;
    SeededRandom random{7};
    MemoryLog log;
    // What the CA says of any other gateway.
    Result<Vouched> vouched = fail(ErrorCode::Untrusted, "nobody knows it");
    std::optional<Admission> admission;
    WallTime time = noon;
    ProofGate gate{
        gateway.key.duplicate(), gateway.public_key, log,
        [this](const Proved& proved, Reply reply) { reply(admission->handle(proved, time)); }};
};

inline RefusalCode code_of(const Answer& answer) {
    return parse_refusal(answer.status, answer.body).code;
}

}  // namespace fortros::gateway
