// Numbers as Prometheus reads them: families of samples in, its text out, in either of its two forms
// (the Prometheus text format 0.0.4, and OpenMetrics 1.0). What the numbers mean is not its business.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fortros {

// A counter's name ends in _total, as in both forms; no other's does.
enum class MetricType { Counter, Gauge };

struct MetricSample {
    std::vector<std::pair<std::string, std::string>> labels{};  // no two samples of a family alike
    std::int64_t value = 0;
};

struct MetricFamily {
    std::string name;
    MetricType type = MetricType::Gauge;
    std::string help;
    std::vector<MetricSample> samples{};
};

enum class Exposition { PrometheusText, OpenMetrics };

std::string to_text(std::span<const MetricFamily> families, Exposition form);

std::string_view content_type_of(Exposition form);
// What who sends this Accept header is given: OpenMetrics for whoever names it.
Exposition exposition_for(std::string_view accept);

}  // namespace fortros
