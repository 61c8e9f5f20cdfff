#include "tokenizer/readers/vocab_merges.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "files/files.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/readers/model_vocabulary.h"
#include "tokenizer/readers/tokenizer_json.h"
#include "tokenizer/steps/known_patterns.h"

namespace evo::tokenizer {
namespace {

namespace fs = std::filesystem;
Json read_json(const fs::path& path) {
  Json value;
  try {
    value = parse_hostile_json(files::read_file(path, kMaxTokenizerFile));
  } catch (const Error& error) {
    fail("{}: {}", path.filename().string(), error.what());
  }
  if (!value.is_object()) {
    fail("{}: expected an object, found {}", path.filename().string(), shown_json(value));
  }
  return value;
}

Json read_json_if_there(const fs::path& path) {
  return fs::exists(path) ? read_json(path) : Json::object();
}

// One merge a line; the first may be a "#version" comment.
Json read_merges(const fs::path& path) {
  const std::string text = files::read_file(path, kMaxTokenizerFile);
  Json merges = Json::array();
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool comment = merges.empty() && line.starts_with("#version");
    if (!line.empty() && !comment) merges.push_back(line);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return merges;
}

// Where tokenizer_config.json and added_tokens.json name one id in two ways, the former counts, as
// in Hugging Face's library.
Json read_added(const fs::path& folder, const Json& config) {
  std::map<int64_t, Json> tokens;  // by id: a new one gets the next free id
  const JsonSection settings(config, "");
  if (!settings.get("added_tokens_decoder").is_null()) {
    for (const auto& [id, flags] : settings.object("added_tokens_decoder").items()) {
      if (!flags.is_object()) fail("tokenizer_config.json: added token {} is no object", id);
      tokens[read_decimal_id(id)] = flags;
    }
  }
  const Json more = read_json_if_there(folder / "added_tokens.json");
  for (const auto& [content, id] : more.items()) {
    if (!id.is_number_unsigned()) {
      fail("added_tokens.json: the id of {} is {}", shown_json(content), shown_json(id));
    }
    tokens.try_emplace(id.get<int64_t>(),
                       Json{{"content", content}, {"special", true}, {"normalized", false}});
  }
  Json list = Json::array();
  for (auto& [id, token] : tokens) {
    token["id"] = id;
    list.push_back(std::move(token));
  }
  return list;
}

void set_pipeline(const Json& config, Json& document) {
  const JsonSection settings(config, "");
  settings.expect("tokenizer_class",
                  {"GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast"});
  const Json byte_level = {{"type", "ByteLevel"},
                           {"trim_offsets", true},
                           {"use_regex", true},
                           {"add_prefix_space", false}};
  document["decoder"] = byte_level;
  document["pre_tokenizer"] = byte_level;
  if (settings.string("tokenizer_class").starts_with("GPT2")) {
    document["pre_tokenizer"]["add_prefix_space"] = settings.boolean("add_prefix_space", false);
    return;
  }
  Json cut_already = byte_level;
  cut_already["use_regex"] = false;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kQwenPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  document["normalizer"] = {{"type", "NFC"}};
  document["pre_tokenizer"] = {{"type", "Sequence"},
                               {"pretokenizers", Json::array({split, cut_already})}};
}

}  // namespace

TokenizerSpec read_vocab_and_merges(const fs::path& folder) {
  const Json config = read_json(folder / "tokenizer_config.json");
  Json document = {{"added_tokens", read_added(folder, config)}};
  set_pipeline(config, document);
  document["model"] = {{"type", "BPE"},
                       {"vocab", read_json(folder / "vocab.json")},
                       {"merges", read_merges(folder / "merges.txt")}};
  return spec_of_document(document);
}

}  // namespace evo::tokenizer
