// What the tests of the front door share: a small model that it trained itself.
#pragma once

#include <evo/error.hpp>
#include <evo/messages.hpp>
#include <evo/model.hpp>
#include <evo/train.hpp>
#include <string>

#include "base/testing.h"

namespace evo::testing {

/// A run of the front door on a text of its own, in a folder.
inline api::TrainOptions small_run(const std::filesystem::path& folder, int64_t steps) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += "Die Käfer küßten 日本語 & \xF0\x9F\x90\xB6 auf der Straße. ";
  write_bytes(folder / "text.txt", text);
  api::TrainOptions options;
  options.preset = "demo";
  options.data = {(folder / "text.txt").string()};
  options.out = folder / "model";
  options.steps = steps;
  options.precision = api::Precision::kF32;
  options.threads = 1;  // tiny products are slower on several
  options.settings = {"vocab_size=264",
                      "hidden_size=32",
                      "intermediate_size=64",
                      "num_hidden_layers=1",
                      "head_dim=8",
                      "inner_size=16",
                      "batch_size=4",
                      "sequence_length=48",
                      "max_position_embeddings=256",
                      "learning_rate=0.02",
                      "validation_sequences=2"};
  return options;
}

}  // namespace evo::testing
