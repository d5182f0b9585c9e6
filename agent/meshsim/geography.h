// Where the regions of a simulated org are and how long light and routers take between them. Cities
// are real, so that a drawing can be read; round trips follow from distance, never from a measurement.
#pragma once

#include <span>

namespace fortros::meshsim {

struct City {
    const char* name;
    double latitude;
    double longitude;
    unsigned weight;  // of its share of an org's nodes
};
std::span<const City> cities();

struct Place {
    double latitude = 0;
    double longitude = 0;
};

double great_circle_km(Place a, Place b);

// Round trip over `km` of fibre that is `detour` times as long as the great circle.
double fibre_rtt_ms(double km, double detour);

}  // namespace fortros::meshsim
