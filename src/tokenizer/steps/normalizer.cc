#include "tokenizer/steps/normalizer.h"

#include <optional>
#include <utility>

#include "text/base64.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "tokenizer/readers/json_section.h"
#include "tokenizer/steps/character_map.h"
#include "tokenizer/steps/text_cleaner.h"

namespace evo::tokenizer {
namespace {

// The numbers are part of fingerprints.
enum class Kind {
  kNormalForm,
  kLowercase,
  kPrepend,
  kReplace,
  kReplaceRegex,
  kStrip,
  kCharacters,
  kGraphemes,
  kLongestPrefixes
};

// Normalizers that look at one character at a time.
using CharacterFn = void (*)(std::string_view text, std::string& out);

// Files hold a character or two here. Without limits, a few replacements make terabytes of a page.
constexpr size_t kLongestContent = 1024;
constexpr size_t kGrowth = 64;
constexpr size_t kFreeGrowth = 1 << 16;

constexpr std::pair<const char*, text::NormalForm> kForms[] = {{"NFC", text::NormalForm::kNfc},
                                                               {"NFD", text::NormalForm::kNfd},
                                                               {"NFKC", text::NormalForm::kNfkc},
                                                               {"NFKD", text::NormalForm::kNfkd}};

// Calls fn(part, valid) for the runs of valid UTF-8 and of other bytes.
template <class Fn>
void for_each_run(std::string_view text, const Fn& fn) {
  while (!text.empty()) {
    const size_t valid = text::valid_utf8_prefix(text);
    const size_t length = valid > 0 ? valid : text::invalid_utf8_prefix(text);
    fn(text.substr(0, length), valid > 0);
    text.remove_prefix(length);
  }
}

}  // namespace

struct Normalizer::Step {
  Kind kind{};
  text::NormalForm form{};
  std::string pattern{}, content{};  // Replace; Prepend has content only
  bool left = false, right = false;
  std::shared_ptr<const text::Regex> regex{};
  CharacterFn characters = nullptr;  // `pattern` is its name
  std::shared_ptr<const CharacterMap> map{};

  void apply(std::string_view text, size_t limit, std::string& out) const;

 private:
  void replace(std::string_view text, size_t limit, std::string& out) const;
  void replace_regex(std::string_view text, size_t limit, std::string& out) const;
  void apply_to_valid(std::string_view text, std::string& out) const;
  static void check_growth(const std::string& out, size_t limit) {
    if (out.size() > limit) {
      fail("the normalizer makes this text more than {} times longer: the file is damaged",
           kGrowth);
    }
  }
};

namespace {

template <class Step>
Step read_replace(const JsonSection& section) {
  Step step{.kind = Kind::kReplace, .content = section.string("content", kLongestContent)};
  const JsonSection pattern = section.section("pattern");
  if (pattern.get("Regex").is_null()) {
    step.pattern = pattern.string("String", kLongestContent);
    if (step.pattern.empty()) fail("'{}' is empty", pattern.path("String"));
  } else {
    step.kind = Kind::kReplaceRegex;
    step.pattern = pattern.string("Regex");
    step.regex = std::make_shared<const text::Regex>(step.pattern);
  }
  return step;
}

template <class Step>
Step character_step(const char* name, CharacterFn fn) {
  return {.kind = Kind::kCharacters, .pattern = name, .characters = fn};
}

template <class Step>
void read_bert(const JsonSection& section, std::vector<Step>& steps) {
  const bool lowercase = section.boolean("lowercase", true);
  if (section.boolean("clean_text", true)) {
    steps.push_back(character_step<Step>("BertClean", append_clean_for_bert));
  }
  if (section.boolean("handle_chinese_chars", true)) {
    steps.push_back(character_step<Step>("BertChinese", append_spaced_chinese));
  }
  if (section.boolean("strip_accents", lowercase)) {
    steps.push_back({.kind = Kind::kNormalForm, .form = text::NormalForm::kNfd});
    steps.push_back(character_step<Step>("BertAccents", append_without_accents));
  }
  if (lowercase) steps.push_back({.kind = Kind::kLowercase});
}

// `longest_prefixes`: our own addition, for SentencePiece's models.
template <class Step>
void read_precompiled(const JsonSection& section, std::vector<Step>& steps) {
  if (section.get("precompiled_charsmap").is_null()) return;
  const bool longest = section.boolean("longest_prefixes", false);
  Step step{.kind = longest ? Kind::kLongestPrefixes : Kind::kGraphemes,
            .pattern = section.string("precompiled_charsmap")};
  if (step.pattern.empty()) return;
  const std::optional<std::string> table = text::decode_base64(step.pattern);
  if (!table) fail("'{}' is not base64", section.path("precompiled_charsmap"));
  step.map = std::make_shared<const CharacterMap>(*table);
  steps.push_back(std::move(step));
}

template <class Step>
void read_steps(const Json& value, const std::string& path, std::vector<Step>& steps) {
  if (value.is_null()) return;
  const JsonSection section(value, path);
  const std::string type = section.string("type");
  for (const auto& [name, form] : kForms) {
    if (type == name) {
      steps.push_back({.kind = Kind::kNormalForm, .form = form});
      return;
    }
  }
  if (type == "Sequence") {
    const Json& list = section.array("normalizers");
    for (size_t i = 0; i < list.size(); ++i) {
      read_steps(list[i], fmt::format("{}.normalizers[{}]", path, i), steps);
    }
  } else if (type == "Lowercase") {
    steps.push_back({.kind = Kind::kLowercase});
  } else if (type == "Prepend") {
    steps.push_back(
        {.kind = Kind::kPrepend, .content = section.string("prepend", kLongestContent)});
  } else if (type == "Replace") {
    steps.push_back(read_replace<Step>(section));
  } else if (type == "Strip") {
    steps.push_back({.kind = Kind::kStrip,
                     .left = section.boolean("strip_left", true),
                     .right = section.boolean("strip_right", true)});
  } else if (type == "StripAccents") {
    steps.push_back(character_step<Step>("StripAccents", append_without_marks));
  } else if (type == "Nmt") {
    steps.push_back(character_step<Step>("Nmt", append_clean_for_nmt));
  } else if (type == "BertNormalizer") {
    read_bert(section, steps);
  } else if (type == "Precompiled") {
    read_precompiled(section, steps);
  } else {
    fail(
        "'{}.type' is {}, which is not supported: only NFC, NFD, NFKC, NFKD, Lowercase, Prepend, "
        "Replace, Strip, StripAccents, Nmt, BertNormalizer, Precompiled and Sequence are",
        path, shown_json(type));
  }
}

}  // namespace

Normalizer::Normalizer(const std::string& json) {
  read_steps(nlohmann::json::parse(json), "normalizer", steps_);
}

Normalizer::~Normalizer() = default;
Normalizer::Normalizer(Normalizer&&) noexcept = default;
Normalizer& Normalizer::operator=(Normalizer&&) noexcept = default;

void Normalizer::Step::replace(std::string_view text, size_t limit, std::string& out) const {
  for (size_t found; (found = text.find(pattern)) != std::string_view::npos;) {
    out.append(text.substr(0, found)).append(content);
    text.remove_prefix(found + pattern.size());
    check_growth(out, limit);
  }
  out.append(text);
}

void Normalizer::Step::replace_regex(std::string_view text, size_t limit, std::string& out) const {
  text::RegexMatcher matcher(*regex);
  for_each_run(text, [&](std::string_view run, bool valid) {
    size_t done = 0;
    if (valid) {
      matcher.start(run);
      for (text::RegexMatch match; matcher.next(match);) {
        out.append(run.substr(done, match.begin - done)).append(content);
        done = match.end;
        check_growth(out, limit);
      }
    }
    out.append(run.substr(done));
  });
}

void Normalizer::Step::apply_to_valid(std::string_view text, std::string& out) const {
  if (kind == Kind::kNormalForm) text::append_normal_form(text, form, out);
  if (kind == Kind::kLowercase) text::append_lowercase(text, out);
  if (kind == Kind::kCharacters) characters(text, out);
  if (kind == Kind::kGraphemes) map->append_graphemes(text, out);
  if (kind == Kind::kLongestPrefixes) map->append_longest(text, out);
}

void Normalizer::Step::apply(std::string_view text, size_t limit, std::string& out) const {
  switch (kind) {
    case Kind::kPrepend:
      if (!text.empty()) out.append(content).append(text);
      break;
    case Kind::kReplace:
      replace(text, limit, out);
      break;
    case Kind::kReplaceRegex:
      replace_regex(text, limit, out);
      break;
    case Kind::kStrip:
      if (left) text.remove_prefix(text::leading_white_space(text));
      if (right) text.remove_suffix(text::trailing_white_space(text));
      out.append(text);
      break;
    default:
      for_each_run(text, [&](std::string_view run, bool valid) {
        if (valid) {
          apply_to_valid(run, out);
        } else {
          out.append(run);
        }
      });
  }
  check_growth(out, limit);
}

std::string_view Normalizer::apply(std::string_view text, std::string& memory) const {
  const size_t limit = kFreeGrowth + kGrowth * text.size();
  std::string input;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (i > 0) {
      input.swap(memory);
      text = input;
    }
    memory.clear();
    steps_[i].apply(text, limit, memory);
    text = memory;
  }
  return text;
}

std::string Normalizer::signature() const {
  std::string result;
  for (const Step& step : steps_) {
    result += fmt::format("{},{},{}:{},{}:{},{},{};", static_cast<int>(step.kind),
                          static_cast<int>(step.form), step.pattern.size(), step.pattern,
                          step.content.size(), step.content, step.left, step.right);
  }
  return result;
}

bool Normalizer::keeps_parts_apart() const {
  for (const Step& step : steps_) {
    if (step.kind != Kind::kNormalForm && step.kind != Kind::kLowercase) return false;
  }
  return true;
}

}  // namespace evo::tokenizer
