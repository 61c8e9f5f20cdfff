#include "cli/bench/bench_prompts.h"

#include <fstream>

#include "base/random.h"
#include "decode/generate.h"

namespace evo::cli {
namespace {

constexpr int64_t kRandomPrompts = 4, kRandomPromptTokens = 16;

constexpr const char* kOpenings[] = {
    "Once upon a time, there was a little girl named Lily.",
    "One day, a dog and a cat went to the park.",
    "Tom and Sam were good friends. They liked to",
    "The king was very old, and he had three sons.",
    "It was a cold morning in winter, and the snow",
    "\"What is this?\" asked the boy. His mother",
    "In a small village by the sea there lived a fisherman",
    "When the sun went down, the children",
};

}  // namespace

std::vector<DecodeBenchPrompt> random_prompts(const model::ModelConfig& config) {
  std::vector<DecodeBenchPrompt> prompts;
  for (int64_t i = 0; i < kRandomPrompts; ++i) {
    Random random(static_cast<uint64_t>(i));
    DecodeBenchPrompt prompt{"random", {}};
    for (int64_t t = 0; t < kRandomPromptTokens; ++t) {
      const auto vocabulary = static_cast<uint64_t>(config.vocab_size);
      prompt.tokens.push_back(static_cast<int32_t>(random.below(vocabulary)));
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::vector<DecodeBenchPrompt> read_prompts(const std::string& path, int64_t limit,
                                            const tokenizer::Tokenizer& tokenizer) {
  std::vector<DecodeBenchPrompt> prompts;
  const auto add = [&](const std::string& kind, std::string_view text) {
    prompts.push_back({kind, decode::text_prompt(tokenizer, text).tokens});
  };
  if (path.empty()) {
    for (const char* opening : kOpenings) add("stories", opening);
    return prompts;
  }
  std::ifstream file(path);
  if (!file) fail("{}: cannot be read: expected a file with a prompt per line", path);
  std::string line;
  for (int64_t number = 1; std::ssize(prompts) < limit && std::getline(file, line); ++number) {
    if (line.empty()) continue;
    if (line.front() != '{') {
      add("prompts", line);
      continue;
    }
    const json::Record record = json::Record::parse(line, fmt::format("{}:{}", path, number));
    add(record.has("kind") ? record.get_string("kind") : "prompts", record.get_string("prompt"));
  }
  if (prompts.empty()) fail("{}: no prompts in it: expected one per line", path);
  return prompts;
}

}  // namespace evo::cli
