#include "tokenizer/steps/post_processor.h"

#include "tokenizer/readers/json_section.h"

namespace evo::tokenizer {
namespace {

// Hugging Face's files have one or two; a template of millions would precede every prompt.
constexpr size_t kMostIds = 64;

int32_t checked_id(const Json& id, size_t tokens, const std::string& path) {
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens) {
    fail("'{}' has {}, but ids are 0..{}", path, shown_json(id), tokens - 1);
  }
  return id.get<int32_t>();
}

void append_ids(const JsonSection& templating, const std::string& name, size_t tokens,
                std::vector<int32_t>& out) {
  const JsonSection known = templating.section("special_tokens");
  for (const Json& id : known.section(name.c_str()).array("ids")) {
    out.push_back(
        checked_id(id, tokens, fmt::format("{}.{}.ids", templating.path("special_tokens"), name)));
    if (out.size() > kMostIds) {
      fail("'{}' has more than {} tokens", templating.path("single"), kMostIds);
    }
  }
}

void read_template(const JsonSection& section, size_t tokens, PostProcessor& result) {
  bool after_text = false;
  const Json& pieces = section.array("single");
  for (size_t i = 0; i < pieces.size(); ++i) {
    const JsonSection piece(pieces[i], fmt::format("{}[{}]", section.path("single"), i));
    if (piece.get("SpecialToken").is_null()) {
      piece.section("Sequence").expect("id", {"A"});
      if (after_text) fail("'{}' has the text twice", section.path("single"));
      after_text = true;
    } else {
      append_ids(section, piece.section("SpecialToken").string("id"), tokens,
                 after_text ? result.suffix : result.prefix);
    }
  }
  if (!after_text) fail("'{}' leaves the text out", section.path("single"));
}

// BERT's and RoBERTa's: a token before and one behind, each with its name and id.
void read_pair(const JsonSection& section, size_t tokens, PostProcessor& result) {
  const auto id_of = [&](const char* key) {
    const Json& token = section.array(key);
    if (token.size() != 2) {
      fail("'{}' must be a token and its id, found {}", section.path(key), shown_json(token));
    }
    return checked_id(token[1], tokens, section.path(key));
  };
  result.prefix.push_back(id_of("cls"));
  result.suffix.push_back(id_of("sep"));
}

void read(const Json& value, const std::string& path, size_t tokens, PostProcessor& result) {
  if (value.is_null()) return;
  const JsonSection section(value, path);
  section.expect("type", {"ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing",
                          "Sequence"});
  const std::string type = section.string("type");
  if (type == "Sequence") {
    const Json& list = section.array("processors");
    for (size_t i = 0; i < list.size(); ++i) {
      read(list[i], fmt::format("{}.processors[{}]", path, i), tokens, result);
    }
  } else if (type != "ByteLevel") {
    if (!result.prefix.empty() || !result.suffix.empty()) {
      fail("'{}' is a second template, which is not supported", path);
    }
    if (type == "TemplateProcessing") {
      read_template(section, tokens, result);
    } else {
      read_pair(section, tokens, result);
    }
  }
}

}  // namespace

PostProcessor PostProcessor::parse(const std::string& json, size_t tokens) {
  PostProcessor result;
  read(Json::parse(json), "post_processor", tokens, result);
  return result;
}

std::string PostProcessor::json_of(const std::vector<Named>& prefix,
                                   const std::vector<Named>& suffix) {
  if (prefix.empty() && suffix.empty()) return "null";
  Json known = Json::object();
  const auto frame = [&](Json& pieces, const char* which, int type) {
    const auto append = [&](const std::vector<Named>& tokens) {
      for (const auto& [name, id] : tokens) {
        pieces.push_back({{"SpecialToken", {{"id", name}, {"type_id", type}}}});
        known[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
      }
    };
    append(prefix);
    pieces.push_back({{"Sequence", {{"id", which}, {"type_id", type}}}});
    append(suffix);
  };
  Json single = Json::array(), pair = Json::array();
  frame(single, "A", 0);
  frame(pair, "A", 0);
  frame(pair, "B", 1);
  return Json{
      {"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", known}}
      .dump();
}

std::string PostProcessor::json_with_prefix(const std::string& name, int32_t id) {
  return json_of({{name, id}}, {});
}

}  // namespace evo::tokenizer
