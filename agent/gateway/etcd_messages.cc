#include "gateway/etcd_messages.h"

#include "base/encoding.h"
#include "base/text.h"
#include "core/json.h"

namespace fortros::gateway {

// A snapshot's page and a fragment of a watch are the largest: five values for each key.
static constexpr JsonLimits answer_limits = {
    .bytes = etcd_answer_limit, .depth = 12, .values = 400'000, .members = 64};
static constexpr std::size_t words_limit = 300;

// --- asking ---

static std::string base64_of(std::string_view text) { return to_base64(as_bytes(text)); }

static Json to_json(const EtcdRange& range) {
    Json json{Json::Object{}};
    json.set("key", base64_of(range.key));
    if (!range.end.empty()) json.set("range_end", base64_of(range.end));
    if (range.limit != 0) json.set("limit", std::to_string(range.limit));
    if (range.revision != 0) json.set("revision", std::to_string(range.revision));
    return json;
}

std::string to_json_text(const EtcdRange& range) { return to_json(range).dump(); }

static Json wrapped(std::string_view name, Json inner) {
    Json json{Json::Object{}};
    json.set(name, std::move(inner));
    return json;
}

static Json to_json(const EtcdTransaction::Compare& compare) {
    Json json{Json::Object{}};
    json.set("target", "MOD");
    json.set("result", "EQUAL");
    json.set("key", base64_of(compare.key));
    json.set("mod_revision", std::to_string(compare.revision));
    return json;
}

static Json to_json(const EtcdTransaction::Write& write) {
    Json json{Json::Object{}};
    json.set("key", base64_of(write.key));
    if (!write.value) {
        if (write.key.ends_with('/')) json.set("range_end", base64_of(etcd_prefix_end(write.key)));
        return wrapped("request_delete_range", std::move(json));
    }
    json.set("value", base64_of(*write.value));
    return wrapped("request_put", std::move(json));
}

std::string to_json_text(const EtcdTransaction& transaction) {
    Json compares{Json::Array{}}, writes{Json::Array{}}, reads{Json::Array{}};
    for (const auto& compare : transaction.compares) compares.push(to_json(compare));
    for (const auto& write : transaction.writes) writes.push(to_json(write));
    for (const auto& key : transaction.reads)
        reads.push(wrapped("request_range", to_json(EtcdRange{.key = key})));
    Json json{Json::Object{}};
    json.set("compare", std::move(compares));
    json.set("success", std::move(writes));
    json.set("failure", std::move(reads));
    return json.dump();
}

// In fragments: a message is never larger than what etcd takes in one request.
std::string watch_request(std::string_view key, std::string_view end, EtcdRevision revision) {
    Json json = to_json(EtcdRange{.key = std::string(key), .end = std::string(end)});
    json.set("start_revision", std::to_string(revision));
    json.set("fragment", true);
    return wrapped("create_request", std::move(json)).dump();
}

std::string etcd_prefix_end(std::string_view prefix) {
    ASSERT(prefix.ends_with('/'));
    std::string end(prefix);
    end.back() = '/' + 1;
    return end;
}

// --- answers ---

static std::unexpected<Error> strange(std::string_view what) {
    return fail(ErrorCode::InvalidData, "this is no answer of etcd: " + std::string(what));
}

static Result<Json> parse(std::string_view text) {
    auto json = Json::parse(text, answer_limits);
    if (!json) return std::unexpected(std::move(json).error().in("this is no answer of etcd"));
    if (json->object() == nullptr) return strange("no object");
    return json;
}

// The 64-bit numbers of protocol buffers are strings in JSON, and what is 0 is left out.
static Result<std::int64_t> number_at(const Json& json, std::string_view key) {
    const Json* member = json.find(key);
    if (member == nullptr) return 0;
    std::optional<std::int64_t> number;
    if (member->string() != nullptr) number = parse_number<std::int64_t>(*member->string());
    if (member->number() != nullptr) number = *member->number();
    if (!number || *number < 0) return strange(std::string(key) + " is no number");
    return *number;
}

static Result<bool> flag_at(const Json& json, std::string_view key) {
    const Json* member = json.find(key);
    if (member == nullptr) return false;
    if (member->boolean() == nullptr)
        return strange(std::string(key) + " is neither true nor false");
    return *member->boolean();
}

static Result<std::string> bytes_at(const Json& json, std::string_view key) {
    const Json* member = json.find(key);
    if (member == nullptr) return std::string();
    const auto bytes = member->string() != nullptr ? from_base64(*member->string()) : std::nullopt;
    if (!bytes) return strange(std::string(key) + " is not in base64");
    return std::string(as_text(*bytes));
}

static Result<Json::Array> array_at(const Json& json, std::string_view key) {
    const Json* member = json.find(key);
    if (member == nullptr) return Json::Array();
    if (member->array() == nullptr) return strange(std::string(key) + " is no list");
    return *member->array();
}

static Result<EtcdRevision> store_revision_of(const Json& json) {
    const Json* header = json.find("header");
    if (header == nullptr) return strange("no header");
    return number_at(*header, "revision");
}

static Result<EtcdKeyValue> key_value_from(const Json& json) {
    EtcdKeyValue value;
    value.key = TRY(bytes_at(json, "key"));
    value.value = TRY(bytes_at(json, "value"));
    value.revision = TRY(number_at(json, "mod_revision"));
    if (value.key.empty() || value.revision == 0)
        return strange("a key without a name or revision");
    return value;
}

static Result<EtcdRangeAnswer> range_from(const Json& json) {
    EtcdRangeAnswer answer;
    answer.store_revision = TRY(store_revision_of(json));
    answer.has_more = TRY(flag_at(json, "more"));
    for (const Json& value : TRY(array_at(json, "kvs")))
        answer.values.push_back(TRY(key_value_from(value)));
    if (answer.has_more && answer.values.empty())
        return strange("an empty page with more behind it");
    return answer;
}

Result<EtcdRangeAnswer> parse_etcd_range(std::string_view text) {
    return range_from(TRY(parse(text)));
}

Result<EtcdTransactionAnswer> parse_etcd_transaction(std::string_view text, std::size_t reads) {
    const Json json = TRY(parse(text));
    EtcdTransactionAnswer answer;
    answer.store_revision = TRY(store_revision_of(json));
    answer.done = TRY(flag_at(json, "succeeded"));
    if (answer.store_revision == 0) return strange("no revision");
    if (answer.done) return answer;
    for (const Json& response : TRY(array_at(json, "responses"))) {
        const Json* range = response.find("response_range");
        if (range == nullptr) return strange("an answer to what was not asked");
        auto values = TRY(range_from(*range)).values;
        if (values.size() > 1) return strange("one key with several values");
        answer.reads.push_back(values.empty() ? std::nullopt
                                              : std::optional(std::move(values.front())));
    }
    if (answer.reads.size() != reads) return strange("not everything is answered");
    return answer;
}

Result<EtcdNews> parse_etcd_news(std::string_view text) {
    const Json json = TRY(parse(text));
    EtcdNews news;
    if (const Json* error = json.find("error"); error != nullptr) {
        news.has_ended = true;
        return news;
    }
    const Json* result = json.find("result");
    if (result == nullptr || result->object() == nullptr) return strange("no result");
    news.has_ended = TRY(flag_at(*result, "canceled"));
    news.compacted = TRY(number_at(*result, "compact_revision"));
    for (const Json& event : TRY(array_at(*result, "events"))) {
        const Json* value = event.find("kv");
        if (value == nullptr) return strange("an event without a key");
        const Json* type = event.find("type");
        if (type != nullptr && type->string() == nullptr) return strange("an event without a type");
        const bool deleted = type != nullptr && *type->string() == "DELETE";
        if (type != nullptr && !deleted && *type->string() != "PUT")
            return strange("an event of a new type");
        news.changes.push_back({.now = TRY(key_value_from(*value)), .deleted = deleted});
    }
    return news;
}

// The codes of gRPC (google.golang.org/grpc/codes), which the JSON gateway hands on.
static ErrorCode code_of(std::int64_t grpc, std::string_view words) {
    switch (grpc) {
        case 3: return ErrorCode::InvalidArgument;
        case 4: return ErrorCode::Busy;  // DeadlineExceeded
        case 7:
        case 16: return ErrorCode::PermissionDenied;
        case 8:  // ResourceExhausted: its space, or its patience
            return words.contains("space") ? ErrorCode::Exhausted : ErrorCode::Busy;
        case 11: return ErrorCode::NotFound;  // OutOfRange: a revision
        case 14: return ErrorCode::Busy;      // Unavailable
        default: return ErrorCode::Io;
    }
}

Error etcd_refusal(int status, std::string_view text) {
    const auto json = Json::parse(text, answer_limits);
    const Json* message = json ? json->find("message") : nullptr;
    const auto grpc = json ? number_at(*json, "code") : std::unexpected(json.error());
    if (message == nullptr || message->string() == nullptr || !grpc)
        return Error{status >= 500 ? ErrorCode::Busy : ErrorCode::InvalidData,
                     "etcd answers with the status " + std::to_string(status) +
                         " and nothing that can be read"};
    const std::string words = printable(*message->string(), words_limit);
    return Error{code_of(*grpc, words), "etcd says no", 0, words};
}

}  // namespace fortros::gateway
