// Closed forms of the Gaussian flow of one latent: noise, bridge, renoise, velocity, ODE step.
//
// Every transition is linear in what it starts from, so each function returns coefficients and
// blend() applies them to arrays. `a` is the signal fraction of a level, in [0, 1]; a latent at
// level a is z = sqrt(a) c + sqrt(1 - a) e with e ~ N(0, I).
#pragma once

#include <span>

#include "flow/entropic_time.h"

namespace evo::flow {

/// next = from * z + to * code + sd * (standard normal noise).
struct BridgeCoefficients {
  double from = 1;
  double to = 0;
  double sd = 0;
};

/// A latent at level `a` from its clean code: (0, sqrt(a), sqrt(1 - a)).
[[nodiscard]] BridgeCoefficients add_noise(double a);

/// Towards less noise, a_to >= a_from: the exact posterior of the latent at a_to given the latent
/// at a_from and the clean code. If z has the law of level a_from for that code, the result has
/// the law of level a_to, and the pair is jointly a piece of the noising process.
[[nodiscard]] BridgeCoefficients bridge(double a_from, double a_to);

/// Towards more noise (revision, a higher t), a_to <= a_from: one step of the noising process.
/// The code is not needed (to = 0).
[[nodiscard]] BridgeCoefficients renoise(double a_from, double a_to);

/// A step of the probability-flow ODE from level a_from < 1 to a_to with x = E[c | z] held
/// constant (DDIM; exact for constant x, second-order local error otherwise). sd = 0.
[[nodiscard]] BridgeCoefficients ode_step(double a_from, double a_to);

/// The ODE's velocity: dz/dt = latent * z + code * x, x = E[c | z], at t in [min_time, 1). It
/// grows like 1 / sqrt(1 - t) towards t = 1; ode_step() has no such singularity.
struct Velocity {
  double latent = 0;
  double code = 0;
};
[[nodiscard]] Velocity velocity(double t, const EntropicTime& table);

/// out = from * z + to * code + sd * noise, elementwise over spans of one length. `noise` may be
/// empty if sd is 0, and `code` if to is 0. `out` may be `z`.
void blend(const BridgeCoefficients& coefficients, std::span<const float> z,
           std::span<const float> code, std::span<const float> noise, std::span<float> out);

}  // namespace evo::flow
