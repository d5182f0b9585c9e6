#include "maintainer/boot_memory.h"

#include <algorithm>

namespace fortros {

static void remember_set(NodeState& state, const Joined& joined, WallTime now) {
    if (!joined.bootstrap || joined.bootstrap->serial < state.bootstrap_serial ||
        joined.bootstrap_signer.size() > bootstrap_signer_limit)
        return;
    std::optional<BootstrapSet> stored;
    if (auto set = parse_bootstrap_set(state.bootstrap_set)) stored = std::move(*set);
    if (!should_replace(stored, *joined.bootstrap, now)) return;
    state.bootstrap_set = joined.answer.bootstrap;
    state.bootstrap_signer = joined.bootstrap_signer;
    state.bootstrap_serial = joined.bootstrap->serial;
}

NodeState remembered(const NodeState& state, const BootMemoryInputs& in) {
    const Joined& joined = in.joined;
    const OrgDocument& document = joined.org.document;
    NodeState fresh = state;
    if (!state.enrolled || state.node != joined.answer.node) return fresh;
    fresh.document_serial = std::max(fresh.document_serial, document.serial);
    fresh.signers_since = std::max(fresh.signers_since, document.signers_since);
    // One that leaves this image no source would lock the node out (core/source_policy.h).
    if (document.sources && in.sources && !(*in.sources & *document.sources).empty())
        fresh.policy = document.sources;
    // Which of them answered last is not worth a write; and none is reached by way of itself.
    if (!std::ranges::contains(fresh.gateways, in.gateway) &&
        !document.prefix.contains(in.gateway.address))
        fresh.gateways.insert(fresh.gateways.begin(), in.gateway);
    if (fresh.gateways.size() > state_gateways_limit) fresh.gateways.resize(state_gateways_limit);
    fresh.clock_floor = std::max(fresh.clock_floor, in.chain_not_before);
    fresh.attestation_serial = std::max(fresh.attestation_serial, joined.attestation.serial);
    // The same words are signed anew for every answer, and no two signatures are alike.
    const auto kept = parse_attestation(fresh.attestation);
    if (!kept || *kept != joined.attestation) fresh.attestation = joined.answer.attestation;
    remember_set(fresh, joined, in.now);
    return fresh;
}

}  // namespace fortros
