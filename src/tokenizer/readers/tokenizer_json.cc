#include "tokenizer/readers/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/pre_tokenizer.h"

namespace evo::tokenizer {
namespace {

using nlohmann::json;

// Far deeper than any tokenizer.json; a file of nothing but brackets would take gigabytes.
constexpr int kMaxDepth = 64;

}  // namespace

json parse_hostile_json(std::string_view text) {
  const auto check_depth = [](int depth, json::parse_event_t, json&) {
    if (depth > kMaxDepth) fail("not a tokenizer.json: nested more than {} deep", kMaxDepth);
    return true;
  };
  try {
    return json::parse(text, check_depth);
  } catch (const json::exception& error) {
    // The message quotes what was read last, which may be most of the file.
    fail("not valid JSON, perhaps cut off: {}", std::string_view(error.what()).substr(0, 200));
  }
}

namespace {

// Ids come from the file: `limit` is what keeps them to the number of tokens there are.
int32_t read_id(const json& value, size_t limit, std::string_view token) {
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() < limit;
  if (!fits) {
    fail("the id of token {} is {}: the {} tokens must have the ids 0..{}", shown_json(token),
         shown_json(value), limit, limit - 1);
  }
  return value.get<int32_t>();
}

void place_token(std::vector<std::string>& tokens, int32_t id, std::string bytes,
                 std::string_view name) {
  if (bytes.empty()) fail("the token with id {} is empty", id);
  if (!tokens[id].empty())
    fail("id {} is given to token {} and to another one", id, shown_json(name));
  tokens[id] = std::move(bytes);
}

AddedToken read_added_flags(const JsonSection& section) {
  return {.single_word = section.boolean("single_word", false),
          .lstrip = section.boolean("lstrip", false),
          .rstrip = section.boolean("rstrip", false),
          .normalized = section.boolean("normalized", true),
          .special = section.boolean("special", false)};
}

struct NamedAddedToken {
  std::string content;
  const json* id;
  AddedToken token;  // without its id, which can be checked only when all tokens are counted
};

std::vector<NamedAddedToken> read_added(const JsonSection& root, const json& vocab) {
  std::vector<NamedAddedToken> list;
  std::unordered_set<std::string> names;
  if (root.get("added_tokens").is_null()) return list;
  for (const json& entry : root.array("added_tokens")) {
    const JsonSection section(entry, "added_tokens[]");
    NamedAddedToken added{section.string("content"), &section.get("id"), read_added_flags(section)};
    if (!names.insert(added.content).second)
      fail("'added_tokens' has {} twice", shown_json(added.content));
    const auto known = vocab.find(added.content);
    added.token.in_vocab = known != vocab.end();
    if (added.token.in_vocab && *known != *added.id) {
      fail("added token {} has id {} in 'added_tokens' and {} in 'model.vocab'",
           shown_json(added.content), shown_json(*added.id), shown_json(*known));
    }
    list.push_back(std::move(added));
  }
  return list;
}

// The text of an added token is its bytes; so is that of other tokens, unless the model is
// byte-level: then they are written in GPT-2's alphabet.
std::string read_token(const std::string& name, int32_t id, bool byte_level) {
  if (!byte_level) return name;
  std::optional<std::string> bytes = from_byte_alphabet(name);
  if (!bytes) {
    fail("token {} of 'model.vocab' (id {}) has a character outside the byte-level alphabet",
         shown_json(name), id);
  }
  return std::move(*bytes);
}

void read_tokens(const JsonSection& root, const JsonSection& model, bool byte_level,
                 TokenizerSpec& spec) {
  const json& vocab = model.object("vocab");
  const std::vector<NamedAddedToken> added = read_added(root, vocab);
  size_t count = vocab.size();
  for (const NamedAddedToken& one : added) count += !one.token.in_vocab;

  spec.tokens.resize(count);
  for (const NamedAddedToken& one : added) {
    spec.added.push_back(one.token);
    spec.added.back().id = read_id(*one.id, count, one.content);
    place_token(spec.tokens, spec.added.back().id, one.content, one.content);
  }
  std::unordered_set<std::string_view> placed;
  for (const NamedAddedToken& one : added) placed.insert(one.content);
  for (const auto& [name, value] : vocab.items()) {
    if (placed.contains(name)) continue;
    const int32_t id = read_id(value, count, name);
    place_token(spec.tokens, id, read_token(name, id, byte_level), name);
  }
}

// "left right" (all versions) or ["left", "right"] (tokenizers 0.20 and later).
std::pair<std::string, std::string> read_merge(const json& entry, size_t place) {
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return {entry[0].get<std::string>(), entry[1].get<std::string>()};
  }
  if (entry.is_string()) {
    const auto& text = entry.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail("'model.merges[{}]' must be two tokens with a space between, found {}", place,
       shown_json(entry));
}

void read_merges(const JsonSection& model, TokenizerSpec& spec) {
  const json& vocab = model.object("vocab");
  const json& merges = model.array("merges");
  std::unordered_map<std::string_view, const json*> ids;  // the object itself is a tree
  ids.reserve(vocab.size());
  for (auto token = vocab.begin(); token != vocab.end(); ++token) {
    ids.emplace(token.key(), &token.value());
  }
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = read_merge(merges[i], i);
    const auto id_of = [&](const std::string& token) {
      const auto found = ids.find(token);
      if (found == ids.end()) {
        fail("'model.merges[{}]' is {}, but 'model.vocab' has no token {}", i,
             shown_json(merges[i]), shown_json(token));
      }
      return found->second->get<int32_t>();
    };
    spec.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
  }
}

int32_t read_unknown(const JsonSection& model) {
  if (model.get("unk_token").is_null()) return -1;
  const std::string name = model.string("unk_token");
  const json& vocab = model.object("vocab");
  const auto found = vocab.find(name);
  if (found == vocab.end()) {
    fail("'model.unk_token' is {}, but 'model.vocab' has no such token", shown_json(name));
  }
  return found->get<int32_t>();
}

void read_model(const JsonSection& root, bool byte_level, TokenizerSpec& spec) {
  const JsonSection model = root.section("model");
  model.expect("type", {"BPE", nullptr});
  model.expect("dropout", {nullptr, 0.0});
  model.expect("continuing_subword_prefix", {nullptr, ""});
  model.expect("end_of_word_suffix", {nullptr, ""});
  spec.ignore_merges = model.boolean("ignore_merges", false);
  spec.byte_fallback = model.boolean("byte_fallback", false);
  spec.fuse_unknown = model.boolean("fuse_unk", false);
  read_tokens(root, model, byte_level, spec);
  read_merges(model, spec);
  spec.unknown = read_unknown(model);
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view text) {
  return spec_of_document(parse_hostile_json(text));
}

TokenizerSpec spec_of_document(const json& document) {
  if (!document.is_object()) fail("not a tokenizer.json: found {}", shown_json(document));
  const JsonSection root(document, "");
  TokenizerSpec spec;
  spec.normalizer = root.get("normalizer").dump();
  spec.pre_tokenizer = root.get("pre_tokenizer").dump();
  spec.post_processor = root.get("post_processor").dump();
  spec.decoder = root.get("decoder").dump();
  read_model(root, PreTokenizer(spec.pre_tokenizer).byte_level(), spec);
  return spec;
}

}  // namespace evo::tokenizer
