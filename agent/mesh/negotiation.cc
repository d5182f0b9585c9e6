#include "mesh/negotiation.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "base/result.h"

namespace fortros::mesh {

std::string_view name_of(LinkState state) {
    switch (state) {
        case LinkState::None: return "none";
        case LinkState::Wanting: return "wanting";
        case LinkState::Linked: return "linked";
        case LinkState::Leaving: return "leaving";
    }
    return "?";
}

// What another may ask us to wait, whatever it says.
static constexpr std::chrono::seconds shortest_refusal{10};
static constexpr std::chrono::seconds longest_refusal{3600};
// Links taken up after a restart are asked about one after the other: each costs the other's reckoning.
static constexpr Duration adoption_spread = 5s;

Negotiation::Negotiation(std::uint64_t seed, std::size_t places)
    : m_next_nonce(seed), m_places(places) {}

Agreement& Negotiation::change(Entry entry) {
    m_remembered.sums.reset();
    return m_agreements.at(entry);
}

Negotiation::Entry Negotiation::add(const PublicKey& peer) {
    m_remembered.sums.reset();
    return m_agreements.try_emplace(peer).first;
}

void Negotiation::remove(Entry entry) {
    m_remembered.sums.reset();
    m_agreements.erase(entry);
}

// --- what happens ---

void Negotiation::wish(const PublicKey& peer, bool wished, Instant now, bool needs_place) {
    Entry entry = m_agreements.find(peer);
    if (entry == m_agreements.end()) {
        if (!wished || m_agreements.size() >= agreements_limit) return;
        entry = add(peer);
        change(entry).not_before = now;
    }
    Agreement& it = change(entry);
    it.wished = wished;
    it.needs_place = needs_place;
}

void Negotiation::works(const PublicKey& peer, bool works) {
    const Entry entry = m_agreements.find(peer);
    if (entry != m_agreements.end() && entry->second.linked()) change(entry).works = works;
}

void Negotiation::on_link(const PublicKey& peer, bool on_link) {
    const Entry entry = m_agreements.find(peer);
    if (entry != m_agreements.end() && entry->second.linked()) change(entry).on_link = on_link;
}

void Negotiation::heard(const PublicKey& from, const LinkMessage& message, const Welcome& welcome,
                        Instant now) {
    switch (message.verb) {
        case LinkVerb::Want: return heard_want(from, message, welcome, now);
        case LinkVerb::Accept: return heard_accept(from, message, now);
        case LinkVerb::Refuse: return heard_refuse(from, message, now);
        case LinkVerb::MayLeave: return heard_may_leave(from, message, welcome, now);
        case LinkVerb::Leave: return heard_leave(from, message, now);
        case LinkVerb::Keep: return heard_keep(from, message, now);
        case LinkVerb::Probe:
        case LinkVerb::Echo: return heard_probe(from, message, now);
        case LinkVerb::Hello:
        case LinkVerb::Down: return;  // about sessions and paths
    }
}

void Negotiation::dead(const PublicKey& peer, Instant now) {
    const Entry entry = m_agreements.find(peer);
    if (entry == m_agreements.end() || entry->second.state == LinkState::None) return;
    // Should it be alive after all, it asks at once whether we hold the link, and learns that we don't.
    if (entry->second.linked()) say(peer, {.verb = LinkVerb::Leave});
    const unsigned failures = entry->second.failures;
    end(entry, lost_hold, now);
    change(entry).failures = failures;
    fail_request(entry, now);
}

void Negotiation::expelled(const PublicKey& peer) {
    const Entry entry = m_agreements.find(peer);
    if (entry == m_agreements.end()) return;
    if (entry->second.linked()) m_outcome.changes.push_back({peer, false});
    remove(entry);
}

void Negotiation::adopt(const PublicKey& peer, Instant now) {
    if (m_agreements.size() >= agreements_limit) return;
    const Entry entry = add(peer);
    if (entry->second.linked()) return;
    // As if a first request had just been given up: the next one comes when it is due.
    change(entry) = Agreement{.state = LinkState::Linked,
                              .wished = true,
                              .nonce = fresh_nonce(),
                              .attempts = request_attempts,
                              .due = now + up_to(adoption_spread),
                              .not_before = now + keep_hold};
}

void Negotiation::moved(Instant now) {
    m_remembered.sums.reset();
    for (auto& [peer, agreement] : m_agreements) {
        if (agreement.failures > 0 && agreement.state == LinkState::None)
            agreement.not_before = now;
        if (agreement.state == LinkState::Linked && !agreement.confirmed) agreement.due = now;
        agreement.failures = 0;
    }
}

// --- what the other says ---

void Negotiation::heard_want(const PublicKey& from, const LinkMessage& want, const Welcome& welcome,
                             Instant now) {
    Entry entry = m_agreements.find(from);
    const bool known = entry != m_agreements.end();
    if (known && is_late(entry, want.nonce)) return;
    if (known && entry->second.linked()) {
        Agreement& held = change(entry);
        held.heard = want.nonce;
        // A peer that holds a link may have it, whatever we were about to ask.
        if (held.state == LinkState::Leaving) held.not_before = now + keep_hold;
        const bool is_repeated = held.state == LinkState::Linked && !held.confirmed &&
                                 held.answers == want.nonce && held.attempts < request_attempts;
        held.state = LinkState::Linked;
        held.answers = want.nonce;
        if (is_repeated)
            say(from, {.verb = LinkVerb::Accept, .nonce = held.answers, .confirm = held.nonce});
        else
            verify(entry, now);
        return;
    }

    const bool asked = known && entry->second.state == LinkState::Wanting;
    const bool wished = known && entry->second.wished;
    const bool lonely = want.standing.links <= lonely_links;
    // What we have asked for has its place already; what we only wish for needs one.
    const bool has_place =
        asked || welcome.room > 0 || ((lonely || wished) && welcome.lonely_room > 0);
    std::optional<RefuseReason> refusal;
    if (!welcome.member)
        refusal = RefuseReason::NotMember;
    else if (!welcome.reachable || (!asked && !wished && !welcome.willing))
        refusal = RefuseReason::Unwilling;
    else if (!has_place || (!known && m_agreements.size() >= agreements_limit))
        refusal = RefuseReason::Full;
    if (refusal) {
        say(from, {.verb = LinkVerb::Refuse,
                   .nonce = want.nonce,
                   .refusal = *refusal,
                   .retry_after_s = static_cast<std::uint16_t>(
                       std::chrono::duration_cast<std::chrono::seconds>(refuse_retry).count())});
        return;
    }
    if (!known) entry = add(from);
    Agreement& held = change(entry);
    held.invited = !asked && !wished;
    held.heard = want.nonce;
    held.answers = want.nonce;
    link(entry, now);
    verify(entry, now);
}

void Negotiation::heard_accept(const PublicKey& from, const LinkMessage& accept, Instant now) {
    const Entry entry = m_agreements.find(from);
    const LinkState state = entry == m_agreements.end() ? LinkState::None : entry->second.state;
    if (state == LinkState::None)
        return say(from, {.verb = LinkVerb::Leave, .nonce = accept.confirm});
    if (is_late(entry, accept.confirm)) return;
    // We may not be here for long; the answer to our own request comes first.
    if (state == LinkState::Leaving) return;
    if (state == LinkState::Wanting) {
        // One that answers something else says nothing of now; our want is still to be answered.
        if (accept.nonce != entry->second.nonce) return;
        link(entry, now);
        settle(entry, now);
    } else if (!entry->second.confirmed) {
        // We are about to give our word: a leave that is on its way was said before this accept.
        change(entry).nonce = fresh_nonce();
    }
    change(entry).heard = accept.confirm;
    say(from, {.verb = LinkVerb::Probe, .nonce = accept.confirm, .linked = true});
}

void Negotiation::heard_refuse(const PublicKey& from, const LinkMessage& refuse, Instant now) {
    const Entry entry = m_agreements.find(from);
    if (entry == m_agreements.end()) return;
    if (entry->second.state == LinkState::Wanting && refuse.nonce == entry->second.nonce) {
        const auto wait = std::clamp(std::chrono::seconds{refuse.retry_after_s}, shortest_refusal,
                                     longest_refusal);
        return end(entry, wait, now);
    }
    doubt(entry, now);
}

void Negotiation::heard_may_leave(const PublicKey& from, const LinkMessage& ask,
                                  const Welcome& welcome, Instant now) {
    const Entry entry = m_agreements.find(from);
    const LinkState state = entry == m_agreements.end() ? LinkState::None : entry->second.state;
    const bool held = state == LinkState::Linked || state == LinkState::Leaving;
    if (held && is_late(entry, ask.nonce)) return;
    // Asked again is answered again: were it granted now, the other might have counted on the first
    // answer already.
    if (held && (entry->second.heard == ask.nonce || welcome.keep || !may_end(from))) {
        change(entry).heard = ask.nonce;
        return say(from, {.verb = LinkVerb::Keep, .nonce = ask.nonce});
    }
    // Gone before it is said: whoever asks in the same moment finds it counted out. And who leaves
    // has accepted our want: that answer may still come, and must find no want that it answers.
    if (state != LinkState::None) {
        change(entry).heard = ask.nonce;
        end(entry, held ? ended_hold : lost_hold, now);
    }
    say(from, {.verb = LinkVerb::Leave, .nonce = ask.nonce});
}

void Negotiation::heard_leave(const PublicKey& from, const LinkMessage& leave, Instant now) {
    const Entry entry = m_agreements.find(from);
    if (entry == m_agreements.end()) return;
    const Agreement& held = entry->second;
    const bool is_answer = held.linked() && held.nonce != 0 && held.nonce == leave.nonce;
    if (!is_answer) return doubt(entry, now);
    end(entry, held.state == LinkState::Leaving ? ended_hold : lost_hold, now);
}

void Negotiation::heard_keep(const PublicKey& from, const LinkMessage& keep, Instant now) {
    const Entry entry = m_agreements.find(from);
    if (entry == m_agreements.end()) return;
    if (!entry->second.linked() || entry->second.nonce == 0 || entry->second.nonce != keep.nonce)
        return;
    Agreement& held = change(entry);
    held.state = LinkState::Linked;
    held.not_before = now + jittered(keep_hold);
    settle(entry, now);
}

void Negotiation::heard_probe(const PublicKey& from, const LinkMessage& probe, Instant now) {
    const Entry entry = m_agreements.find(from);
    const LinkState state = entry == m_agreements.end() ? LinkState::None : entry->second.state;
    if (!probe.linked) {
        if (state == LinkState::Linked) doubt(entry, now);
        return;
    }
    if (state == LinkState::None) return say(from, {.verb = LinkVerb::Leave, .nonce = probe.nonce});
    const Agreement& held = entry->second;
    if (state == LinkState::Linked && probe.verb == LinkVerb::Probe && held.nonce != 0 &&
        held.nonce == probe.nonce)
        settle(entry, now);
}

// --- what follows ---

void Negotiation::step(Instant now) {
    for (std::size_t i = 0; i < m_agreements.size();) {
        const std::size_t count = m_agreements.size();
        step(std::ranges::next(Entry(m_agreements.begin()), static_cast<std::ptrdiff_t>(i)), now);
        if (m_agreements.size() == count) ++i;  // or it has gone, and the next is in its place
    }
}

void Negotiation::step(const PublicKey& peer, Instant now) {
    const Entry entry = m_agreements.find(peer);
    if (entry != m_agreements.end()) step(entry, now);
}

void Negotiation::step(Entry entry, Instant now) {
    switch (entry->second.state) {
        case LinkState::None: return step_none(entry, now);
        case LinkState::Wanting: return step_wanting(entry, now);
        case LinkState::Linked: return step_linked(entry, now);
        case LinkState::Leaving: return step_leaving(entry, now);
    }
}

void Negotiation::step_none(Entry entry, Instant now) {
    const Agreement& it = entry->second;
    if (now < it.not_before) return;
    if (!it.wished) return remove(entry);
    // Whatever was free when it was wished for.
    if (!may_ask(it)) return;
    change(entry).state = LinkState::Wanting;
    ask(entry, now);
}

void Negotiation::step_wanting(Entry entry, Instant now) {
    const Agreement& it = entry->second;
    // Without a word: should the other have accepted, it asks until it hears that we hold nothing.
    if (!it.wished) return end(entry, Duration{}, now);
    if (now < it.due) return;
    if (it.attempts < request_attempts) return repeat(entry, now);
    change(entry).state = LinkState::None;
    fail_request(entry, now);
}

void Negotiation::step_linked(Entry entry, Instant now) {
    const Agreement& it = entry->second;
    if (!it.wished && now >= it.not_before && may_end(entry->first)) {
        change(entry).state = LinkState::Leaving;
        return ask(entry, now);
    }
    if (now < it.due) return;
    if (it.confirmed || it.attempts >= request_attempts) return verify(entry, now);
    repeat(entry, now);
    // Silence is no permission: the link stays, and is asked about again later.
    if (it.attempts >= request_attempts) change(entry).due = now + jittered(audit_interval);
}

void Negotiation::step_leaving(Entry entry, Instant now) {
    // The other may have let us go meanwhile.
    if (entry->second.wished) {
        change(entry).state = LinkState::Linked;
        return verify(entry, now);
    }
    if (now < entry->second.due) return;
    if (entry->second.attempts < request_attempts) return repeat(entry, now);
    // As it was, but for what the other may have done: an answer to this nonce still counts.
    Agreement& it = change(entry);
    it.state = LinkState::Linked;
    it.confirmed = false;
    it.not_before = now + jittered(keep_hold);
    it.due = now + jittered(audit_interval);
}

const Negotiation::Sums& Negotiation::sums() const {
    if (!m_remembered.sums) m_remembered.sums = add_up();
    return *m_remembered.sums;
}

Negotiation::Sums Negotiation::add_up() const {
    Sums out;
    for (const auto& [peer, it] : m_agreements) {
        if (it.firm()) ++out.firm;
        if (it.state != LinkState::None && !it.on_link) ++out.taken;
    }
    const bool is_full = out.taken >= m_places;
    for (const auto& [peer, it] : m_agreements) {
        Instant next = Instant::max();
        switch (it.state) {
            case LinkState::None:
                if (!it.wished || !it.needs_place || !is_full) next = it.not_before;
                break;
            case LinkState::Wanting: next = it.wished ? it.due : Instant{}; break;
            case LinkState::Leaving: next = it.wished ? Instant{} : it.due; break;
            case LinkState::Linked:
                next = it.due;
                if (!it.wished && may_end(it, out.firm)) next = std::min(next, it.not_before);
                break;
        }
        out.next = std::min(out.next, next);
    }
    return out;
}

Negotiation::Outcome Negotiation::take() { return std::exchange(m_outcome, {}); }

const Agreement* Negotiation::find(const PublicKey& peer) const {
    const Entry entry = m_agreements.find(peer);
    return entry == m_agreements.end() ? nullptr : &entry->second;
}

LinkState Negotiation::state(const PublicKey& peer) const {
    const Agreement* it = find(peer);
    return it ? it->state : LinkState::None;
}

bool Negotiation::linked(const PublicKey& peer) const {
    const Agreement* it = find(peer);
    return it && it->linked();
}

bool Negotiation::may_end(const PublicKey& peer) const {
    const Agreement* it = find(peer);
    return may_end(it ? *it : Agreement{}, firm_links());
}

// --- steps of all of them ---

bool Negotiation::is_late(Entry entry, std::uint64_t request) const {
    // Another life of the other's counts from elsewhere.
    static constexpr std::uint64_t one_life = 1ULL << 32;
    const std::uint64_t heard = entry->second.heard;
    return heard != 0 && heard != request && heard - request < one_life;
}

std::uint64_t Negotiation::fresh_nonce() {
    if (m_next_nonce == 0) ++m_next_nonce;  // 0 is none
    return m_next_nonce++;
}

void Negotiation::say(const PublicKey& to, LinkMessage message) {
    m_outcome.said.push_back({to, std::move(message)});
}

// A new request of the state that the peer is in now.
void Negotiation::ask(Entry entry, Instant now) {
    Agreement& it = change(entry);
    it.nonce = fresh_nonce();
    it.attempts = 0;
    repeat(entry, now);
}

void Negotiation::repeat(Entry entry, Instant now) {
    Agreement& it = change(entry);
    ASSERT(it.state != LinkState::None && it.attempts < request_attempts);
    it.due = now + jittered(request_retry * (1U << it.attempts));
    ++it.attempts;
    if (it.state == LinkState::Linked)
        say(entry->first, {.verb = LinkVerb::Accept, .nonce = it.answers, .confirm = it.nonce});
    else
        say(entry->first,
            {.verb = it.state == LinkState::Wanting ? LinkVerb::Want : LinkVerb::MayLeave,
             .nonce = it.nonce});
}

// Asks whether the other holds the link, too.
void Negotiation::verify(Entry entry, Instant now) {
    change(entry).confirmed = false;
    ask(entry, now);
}

// Something sounds as if it did not.
void Negotiation::doubt(Entry entry, Instant now) {
    const Agreement& it = entry->second;
    if (it.state != LinkState::Linked) return;
    if (it.confirmed || it.attempts >= request_attempts) verify(entry, now);
}

// The other was seen to hold it.
void Negotiation::settle(Entry entry, Instant now) {
    Agreement& it = change(entry);
    it.confirmed = true;
    it.nonce = 0;
    it.answers = 0;
    it.attempts = 0;
    it.failures = 0;
    it.due = now + jittered(audit_interval);
}

void Negotiation::link(Entry entry, Instant now) {
    Agreement& it = change(entry);
    it.state = LinkState::Linked;
    it.not_before = now + jittered(young_hold);
    m_outcome.changes.push_back({entry->first, true});
}

// None, and not wanted again for a while.
void Negotiation::end(Entry entry, Duration hold, Instant now) {
    if (entry->second.linked()) m_outcome.changes.push_back({entry->first, false});
    Agreement& it = change(entry);
    it = Agreement{.wished = it.wished,
                   .needs_place = it.needs_place,
                   .heard = it.heard,
                   .not_before = now + jittered(hold)};
}

void Negotiation::fail_request(Entry entry, Instant now) {
    Agreement& it = change(entry);
    static constexpr unsigned most_doublings = 6;
    const Duration hold = unanswered_hold * (1U << std::min(it.failures, most_doublings));
    it.failures = std::min(it.failures + 1, most_doublings);
    it.nonce = 0;
    it.attempts = 0;
    it.not_before = now + jittered(std::min(hold, unanswered_hold_limit));
}

// Random, and repeatable from the seed.
Duration Negotiation::up_to(Duration most) {
    SeededRandom random(fresh_nonce());
    return Duration(random.below(static_cast<std::uint64_t>(most.count()) + 1));
}

// Up to a quarter more, so that a crowd that started at once does not go on so.
Duration Negotiation::jittered(Duration duration) { return duration + up_to(duration / 4); }

}  // namespace fortros::mesh
