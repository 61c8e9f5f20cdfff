#include "tokenizer/steps/post_processor.h"

#include "tokenizer/readers/json_section.h"

namespace evo::tokenizer {
namespace {

// Hugging Face's files have one or two; a template of millions would precede every prompt.
constexpr size_t kMostIds = 64;

void append_ids(const JsonSection& templating, const std::string& name, size_t tokens,
                std::vector<int32_t>& out) {
  const JsonSection known = templating.section("special_tokens");
  for (const Json& id : known.section(name.c_str()).array("ids")) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens) {
      fail("'{}.{}.ids' has {}, but ids are 0..{}", templating.path("special_tokens"), name,
           shown_json(id), tokens - 1);
    }
    out.push_back(id.get<int32_t>());
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

void read(const Json& value, const std::string& path, size_t tokens, PostProcessor& result) {
  if (value.is_null()) return;
  const JsonSection section(value, path);
  section.expect("type", {"ByteLevel", "TemplateProcessing", "Sequence"});
  const std::string type = section.string("type");
  if (type == "Sequence") {
    const Json& list = section.array("processors");
    for (size_t i = 0; i < list.size(); ++i) {
      read(list[i], fmt::format("{}.processors[{}]", path, i), tokens, result);
    }
  } else if (type == "TemplateProcessing") {
    if (!result.prefix.empty() || !result.suffix.empty()) {
      fail("'{}' is a second template, which is not supported", path);
    }
    read_template(section, tokens, result);
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
