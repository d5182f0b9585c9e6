// What Prometheus reads, to the byte.
#include "core/exposition.h"

#include <doctest/doctest.h>

#include <vector>

using namespace fortros;

namespace {

const std::vector<MetricFamily> families{
    {"asked_total",
     MetricType::Counter,
     "Asked.",
     {{{{"target", "/a"}, {"status", "200"}}, 3}, {{{"target", "/b"}, {"status", "404"}}, 1}}},
    {"waiting", MetricType::Gauge, "Who waits.", {{{}, -7}}},
    {"unseen", MetricType::Gauge, "Nothing.", {}},
};

}  // namespace

// Prometheus would not take a single number of it.
TEST_CASE("exposition: the Prometheus text format") {
    CHECK(to_text(families, Exposition::PrometheusText) ==
          "# HELP asked_total Asked.\n"
          "# TYPE asked_total counter\n"
          "asked_total{target=\"/a\",status=\"200\"} 3\n"
          "asked_total{target=\"/b\",status=\"404\"} 1\n"
          "# HELP waiting Who waits.\n"
          "# TYPE waiting gauge\n"
          "waiting -7\n"
          "# HELP unseen Nothing.\n"
          "# TYPE unseen gauge\n");
}

// A counter's family has another name there, and a text without its end counts as cut off.
TEST_CASE("exposition: OpenMetrics") {
    CHECK(to_text(std::span(families).first(1), Exposition::OpenMetrics) ==
          "# HELP asked Asked.\n"
          "# TYPE asked counter\n"
          "asked_total{target=\"/a\",status=\"200\"} 3\n"
          "asked_total{target=\"/b\",status=\"404\"} 1\n"
          "# EOF\n");
}

// A file's name with a quote in it would break every number after it.
TEST_CASE("exposition: what would end a label's value is escaped") {
    const MetricFamily family{"end", MetricType::Gauge, "Ends.", {{{{"file", "a\"b\\c\nd"}}, 1}}};
    const auto text = to_text({&family, 1}, Exposition::PrometheusText);
    CHECK(text.ends_with("\nend{file=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

// Prometheus asks for the newer form among others; a person with curl for none.
TEST_CASE("exposition: who names OpenMetrics gets it") {
    CHECK(exposition_for("") == Exposition::PrometheusText);
    CHECK(exposition_for("*/*") == Exposition::PrometheusText);
    CHECK(exposition_for("text/plain;version=0.0.4;q=0.5,*/*;q=0.1") == Exposition::PrometheusText);
    CHECK(exposition_for("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5") ==
          Exposition::OpenMetrics);
}
