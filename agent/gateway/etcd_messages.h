// What is said to etcd and what it answers (its JSON gateway, API v3: /v3/kv/range, /v3/kv/txn,
// /v3/watch), as values and as JSON. Every answer is bounded and checked for its form; what keys and
// values mean is somebody else's business, and it touches no socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fortros::gateway {

inline constexpr std::string_view etcd_range_target = "/v3/kv/range";
inline constexpr std::string_view etcd_txn_target = "/v3/kv/txn";
inline constexpr std::string_view etcd_watch_target = "/v3/watch";

// Of one answer, or of one message of a watch. etcd itself takes and fragments at 1.5 MiB, which
// base64 makes 2.
inline constexpr std::size_t etcd_answer_limit = std::size_t{8} * 1024 * 1024;

// A revision counts the transactions of the whole store. A key's is that of its newest change, and 0
// for a key that is not there.
using EtcdRevision = std::int64_t;

struct EtcdKeyValue {
    std::string key;
    std::string value{};
    EtcdRevision revision = 0;

    bool operator==(const EtcdKeyValue&) const = default;
};

// From `key` up to and without `end`; without an end: this one key.
struct EtcdRange {
    std::string key;
    std::string end{};
    std::int64_t limit = 0;     // of keys; 0: none
    EtcdRevision revision = 0;  // as it was then; 0: as it is, by the word of a majority
};

struct EtcdRangeAnswer {
    EtcdRevision store_revision = 0;
    std::vector<EtcdKeyValue> values{};  // in the order of the keys
    bool has_more = false;
};

// If every key still has its revision, all is written in this order, or else the reads are answered.
struct EtcdTransaction {
    struct Compare {
        std::string key;
        EtcdRevision revision = 0;
    };
    struct Write {
        std::string key;
        std::optional<std::string>
            value{};  // absent: deleted, and all below a key that ends in '/'
    };

    std::vector<Compare> compares{};
    std::vector<Write> writes{};
    std::vector<std::string> reads{};
};

struct EtcdTransactionAnswer {
    EtcdRevision store_revision = 0;  // of the writes, if they were done
    bool done = false;
    std::vector<std::optional<EtcdKeyValue>> reads{};  // if not
};

// A message of a watch. The changes come in their order, those of one transaction in the order of
// its writes; a message may end in the middle of a transaction.
struct EtcdNews {
    struct Change {
        EtcdKeyValue now;
        bool deleted = false;
    };

    bool has_ended = false;
    EtcdRevision compacted = 0;  // ended, because what is older than this was asked for
    std::vector<Change> changes{};
};

std::string to_json_text(const EtcdRange& range);
std::string to_json_text(const EtcdTransaction& transaction);
// Everything from `revision` on that happens to the keys of a range.
std::string watch_request(std::string_view key, std::string_view end, EtcdRevision revision);

// InvalidData for what etcd does not say.
Result<EtcdRangeAnswer> parse_etcd_range(std::string_view text);
// `reads`: how many were asked for.
Result<EtcdTransactionAnswer> parse_etcd_transaction(std::string_view text, std::size_t reads);
Result<EtcdNews> parse_etcd_news(std::string_view text);

// What any other answer than 200 means: Busy (no leader, too slow, leader changed), Exhausted (its
// space is used up), NotFound (that revision is compacted away), PermissionDenied, InvalidArgument.
// With etcd's own words. Never fails: what can't be read is InvalidData.
Error etcd_refusal(int status, std::string_view text);

// The end of the range of all keys that begin with `prefix`, which ends in '/'.
std::string etcd_prefix_end(std::string_view prefix);

}  // namespace fortros::gateway
