#include "tokenizer/readers/tiktoken.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/base64.h"
#include "tokenizer/bpe/word_tables.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/known_patterns.h"
#include "tokenizer/steps/post_processor.h"

namespace evo::tokenizer {
namespace {

constexpr size_t kLlama3Tokens = 128'000;
constexpr size_t kLlama3Special = 256;
// Finding the merges takes time in the square of a token's length; Llama-3's longest has 128 bytes.
constexpr size_t kLongestToken = 512;

struct Line {
  std::string token;
  uint64_t rank = 0;
};

std::optional<Line> read_line(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::optional<std::string> token = text::decode_base64(text.substr(0, space));
  Line line;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + space + 1, end, line.rank);
  if (!token || error != std::errc() || stop != end) return std::nullopt;
  line.token = std::move(*token);
  return line;
}

std::string_view take_line(std::string_view& content) {
  const size_t end = content.find('\n');
  const std::string_view line = content.substr(0, end);
  content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
  return line;
}

std::vector<std::string> read_tokens(std::string_view content) {
  std::vector<std::string> tokens;
  while (!content.empty()) {
    const std::string_view text = take_line(content);
    if (text.empty()) continue;
    std::optional<Line> line = read_line(text);
    if (!line) {
      fail(
          "line {} of the tiktoken vocabulary must be a token in base64, a space and its rank, "
          "found '{}'",
          tokens.size() + 1, shown_json(std::string(text.substr(0, 80))));
    }
    if (line->rank != tokens.size()) {
      fail("line {} of the tiktoken vocabulary has rank {}, expected {}", tokens.size() + 1,
           line->rank, tokens.size());
    }
    if (line->token.size() > kLongestToken) {
      fail("token {} has {} bytes, but at most {} are supported", line->rank, line->token.size(),
           kLongestToken);
    }
    tokens.push_back(std::move(line->token));
  }
  return tokens;
}

// tiktoken joins any neighbours whose bytes together are a token, that of lowest rank first; as
// merges, in the order of Hugging Face's converter.
std::vector<Merge> find_merges(const std::vector<std::string>& tokens) {
  TokenIds ids;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto [other, is_new] = ids.emplace(tokens[i], static_cast<int32_t>(i));
    if (!is_new) fail("tokens {} and {} are the same", other->second, i);
  }
  std::vector<Merge> merges;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    const auto first = static_cast<std::ptrdiff_t>(merges.size());
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left == ids.end() || right == ids.end()) continue;
      merges.push_back({left->second, right->second, static_cast<int32_t>(i)});
    }
    std::sort(merges.begin() + first, merges.end(), [](const Merge& a, const Merge& b) {
      return std::pair(a.left, a.right) < std::pair(b.left, b.right);
    });
  }
  return merges;
}

// The names of Llama 3.1's special tokens; what it does not use is reserved.
std::vector<std::string> llama3_special_names() {
  std::vector<std::string> names = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|reserved_special_token_2|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>"};
  for (int reserved = 3; names.size() < kLlama3Special; ++reserved) {
    names.push_back(fmt::format("<|reserved_special_token_{}|>", reserved));
  }
  return names;
}

}  // namespace

bool is_tiktoken(std::string_view content) {
  return read_line(take_line(content)).has_value();
}

TokenizerSpec parse_tiktoken(std::string_view content) {
  TokenizerSpec spec;
  spec.tokens = read_tokens(content);
  if (spec.tokens.size() != kLlama3Tokens) {
    fail(
        "the tiktoken vocabulary has {} tokens; only Llama-3's, of {}, is supported: how another "
        "one cuts text is not in the file, so use its tokenizer.json",
        spec.tokens.size(), kLlama3Tokens);
  }
  spec.merges = find_merges(spec.tokens);
  spec.ignore_merges = true;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kLlama3Pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  spec.pre_tokenizer =
      Json{{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}}.dump();
  const auto begin_of_text = static_cast<int32_t>(spec.tokens.size());
  for (const std::string& name : llama3_special_names()) {
    spec.added.push_back({.id = static_cast<int32_t>(spec.tokens.size()), .in_vocab = false});
    spec.tokens.push_back(name);
  }
  spec.post_processor = PostProcessor::json_with_prefix(spec.tokens[begin_of_text], begin_of_text);
  return spec;
}

}  // namespace evo::tokenizer
