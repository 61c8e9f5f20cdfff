#include "tokenizer/steps/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "tokenizer/bpe/byte_alphabet.h"
#include "tokenizer/readers/json_section.h"

namespace evo::tokenizer {
namespace {

enum class Behavior { kIsolated, kRemoved, kWithPrevious, kWithNext, kContiguous };
enum class Prefix { kNever, kFirst, kAlways };

constexpr std::pair<const char*, Behavior> kBehaviors[] = {
    {"Isolated", Behavior::kIsolated},
    {"Removed", Behavior::kRemoved},
    {"MergedWithPrevious", Behavior::kWithPrevious},
    {"MergedWithNext", Behavior::kWithNext},
    {"Contiguous", Behavior::kContiguous}};

struct TextPiece {
  std::string_view text;
  bool matched;
};

// Joins each match to the unmatched piece before it, if that one is still alone.
void join_to_previous(std::vector<TextPiece>& pieces) {
  size_t kept = 0;
  bool after_match = false;
  for (const TextPiece& piece : pieces) {
    if (piece.matched && !after_match && kept > 0) {
      std::string_view& last = pieces[kept - 1].text;
      last = {last.data(), last.size() + piece.text.size()};
    } else {
      pieces[kept++] = piece;
    }
    after_match = piece.matched;
  }
  pieces.resize(kept);
}

// The same from the end: each match to the unmatched piece behind it.
void join_to_next(std::vector<TextPiece>& pieces) {
  size_t kept = pieces.size();
  bool before_match = false;
  for (size_t i = pieces.size(); i-- > 0;) {
    const TextPiece piece = pieces[i];
    if (piece.matched && !before_match && kept < pieces.size()) {
      std::string_view& next = pieces[kept].text;
      next = {piece.text.data(), piece.text.size() + next.size()};
    } else {
      pieces[--kept] = piece;
    }
    before_match = piece.matched;
  }
  pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(kept));
}

void join_alike(std::vector<TextPiece>& pieces) {
  size_t kept = 0;
  for (const TextPiece& piece : pieces) {
    if (kept > 0 && pieces[kept - 1].matched == piece.matched) {
      std::string_view& last = pieces[kept - 1].text;
      last = {last.data(), last.size() + piece.text.size()};
    } else {
      pieces[kept++] = piece;
    }
  }
  pieces.resize(kept);
}

Behavior read_behavior(const JsonSection& section, const char* fallback) {
  const Json& value = section.get("behavior");
  const std::string name = value.is_null() ? fallback : section.string("behavior");
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  fail("'{}' is {}, which is not supported", section.path("behavior"), shown_json(name));
}

Prefix read_prefix(const JsonSection& section) {
  if (section.get("prepend_scheme").is_null()) {
    return section.boolean("add_prefix_space", true) ? Prefix::kAlways : Prefix::kNever;
  }
  section.expect("prepend_scheme", {"always", "first", "never"});
  const std::string name = section.string("prepend_scheme");
  return name == "always" ? Prefix::kAlways : name == "first" ? Prefix::kFirst : Prefix::kNever;
}

}  // namespace

// Cutting by a pattern, or a change of the piece: spaces become `space`, and one is put in front;
// or its bytes are written in GPT-2's alphabet, for the steps behind ByteLevel.
struct PreTokenizer::Step {
  std::shared_ptr<const SplitPattern> pattern;  // null: a change
  Behavior behavior{};
  bool invert = false;
  std::string space = " ";
  Prefix prefix{};
  bool to_alphabet = false;

  bool is_plain_split() const {
    return pattern != nullptr && behavior == Behavior::kIsolated && !invert;
  }
};

namespace {

template <class Step>
class StepReader {
 public:
  explicit StepReader(std::vector<Step>& steps) : steps_(steps) {}

  bool byte_level() const { return byte_level_; }

  void read(const Json& value, const std::string& path) {
    if (value.is_null()) return;
    const JsonSection section(value, path);
    const std::string type = section.string("type");
    if (type == "Sequence") {
      const Json& list = section.array("pretokenizers");
      for (size_t i = 0; i < list.size(); ++i) {
        read(list[i], fmt::format("{}.pretokenizers[{}]", path, i));
      }
    } else if (type == "ByteLevel") {
      read_byte_level(section);
    } else if (type == "Split") {
      const JsonSection pattern = section.section("pattern");
      add_split(
          pattern.get("String").is_null() ? pattern.string("Regex") : literal(pattern, "String"),
          read_behavior(section, ""), section.boolean("invert", false));
    } else if (type == "Metaspace") {
      read_metaspace(section);
    } else {
      read_simple(section, type);
    }
  }

 private:
  void add_split(const std::string& pattern, Behavior behavior, bool invert = false) {
    if (byte_level_ && !in_alphabet_) {
      steps_.emplace_back().to_alphabet = true;
      in_alphabet_ = true;
    }
    Step step;
    step.pattern = std::make_shared<const SplitPattern>(pattern);
    step.behavior = behavior;
    step.invert = invert;
    steps_.push_back(std::move(step));
  }

  static std::string literal(const JsonSection& section, const char* key) {
    const std::string text = section.string(key);
    if (text.empty()) fail("'{}' is empty", section.path(key));
    return text::regex_of_literal(text);
  }

  void expect_before_byte_level(const JsonSection& section) const {
    if (!byte_level_) return;
    fail("'{}' is {} after ByteLevel, which is not supported", section.path("type"),
         shown_json(section.get("type")));
  }

  void read_byte_level(const JsonSection& section) {
    expect_before_byte_level(section);
    if (section.boolean("add_prefix_space")) {
      Step step;
      step.prefix = Prefix::kAlways;
      steps_.push_back(std::move(step));
    }
    if (section.boolean("use_regex", true)) add_split(kGpt2Pattern, Behavior::kIsolated);
    byte_level_ = true;
  }

  void read_metaspace(const JsonSection& section) {
    expect_before_byte_level(section);
    Step step;
    step.space = section.string("replacement");
    step.prefix = read_prefix(section);
    const std::string pattern = literal(section, "replacement");
    steps_.push_back(std::move(step));
    if (section.boolean("split", true)) add_split(pattern, Behavior::kWithNext);
  }

  void read_simple(const JsonSection& section, const std::string& type) {
    if (type == "Digits") {
      const bool individual = section.boolean("individual_digits", false);
      add_split(R"(\p{N})", individual ? Behavior::kIsolated : Behavior::kContiguous);
    } else if (type == "Whitespace") {
      add_split(R"([\w\p{Join_Control}]+|[^\w\p{Join_Control}\s]+)", Behavior::kRemoved, true);
    } else if (type == "WhitespaceSplit") {
      add_split(R"(\s)", Behavior::kRemoved);
    } else if (type == "Punctuation") {
      add_split(kPunctuation, read_behavior(section, "Isolated"));
    } else if (type == "BertPreTokenizer") {
      add_split(R"(\s)", Behavior::kRemoved);
      add_split(kPunctuation, Behavior::kIsolated);
    } else if (type == "CharDelimiterSplit") {
      add_split(literal(section, "delimiter"), Behavior::kRemoved);
    } else {
      fail(
          "'{}' is {}, which is not supported: only ByteLevel, Split, Metaspace, Digits, "
          "Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer, CharDelimiterSplit and "
          "Sequence are",
          section.path("type"), shown_json(type));
    }
  }

  static constexpr const char* kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";

  std::vector<Step>& steps_;
  bool byte_level_ = false, in_alphabet_ = false;
};

}  // namespace

PreTokenizer::PreTokenizer(const std::string& json) {
  StepReader<Step> reader(steps_);
  reader.read(Json::parse(json), "pre_tokenizer");
  byte_level_ = reader.byte_level();
}

PreTokenizer::~PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;

std::string PreTokenizer::signature() const {
  if (byte_level_ && steps_.size() == 1 && steps_[0].is_plain_split()) {
    return steps_[0].pattern->source();
  }
  std::string result = fmt::format("steps:{};", byte_level_);
  for (const Step& step : steps_) {
    const std::string source = step.pattern ? step.pattern->source() : "";
    result +=
        fmt::format("{}:{},{},{},{}:{},{};", source.size(), source, static_cast<int>(step.behavior),
                    step.invert, step.space.size(), step.space, static_cast<int>(step.prefix));
    if (step.to_alphabet) result += "alphabet;";
  }
  return result;
}

bool PreTokenizer::keeps_parts_apart() const {
  return steps_.size() == 1 && steps_[0].is_plain_split() &&
         find_word_scanner(steps_[0].pattern->source()) != nullptr;
}

struct WordCutter::StepMemory {
  std::unique_ptr<Splitter> splitter;
  std::vector<TextPiece> pieces;
  std::string text;
};

WordCutter::WordCutter(const PreTokenizer& pre_tokenizer) : steps_(pre_tokenizer.steps_) {
  for (const PreTokenizer::Step& step : steps_) {
    in_alphabet_ |= step.to_alphabet;
    memory_.push_back(std::make_unique<StepMemory>());
    if (step.pattern) memory_.back()->splitter = std::make_unique<Splitter>(*step.pattern);
  }
}

WordCutter::~WordCutter() = default;

void WordCutter::cut(std::string_view text, bool at_start, const Sink& sink) {
  if (!text.empty()) run(0, text, at_start, sink);
}

// Depth first, so that a step's memory is free again when it comes to its next piece.
void WordCutter::run(size_t step, std::string_view piece, bool at_start, const Sink& sink) {
  if (step == steps_.size()) {
    if (in_alphabet_) {
      sink(from_byte_alphabet(piece).value());
    } else {
      sink(piece);
    }
    return;
  }
  const PreTokenizer::Step& settings = steps_[step];
  if (settings.pattern) {
    split(step, piece, at_start, sink);
    return;
  }
  if (settings.to_alphabet) {
    memory_[step]->text = to_byte_alphabet(piece);
    run(step + 1, memory_[step]->text, at_start, sink);
    return;
  }
  std::string& changed = memory_[step]->text;
  changed.clear();
  const bool has_space = piece.front() == ' ' || piece.starts_with(settings.space);
  const bool wanted =
      settings.prefix == Prefix::kAlways || (settings.prefix == Prefix::kFirst && at_start);
  if (wanted && !has_space) changed = settings.space;
  for (size_t space; (space = piece.find(' ')) != std::string_view::npos;) {
    changed.append(piece.substr(0, space)).append(settings.space);
    piece.remove_prefix(space + 1);
  }
  changed.append(piece);
  run(step + 1, changed, at_start, sink);
}

void WordCutter::split(size_t step, std::string_view piece, bool at_start, const Sink& sink) {
  const Behavior behavior = steps_[step].behavior;
  const bool invert = steps_[step].invert;
  Splitter& splitter = *memory_[step]->splitter;
  const auto pass_on = [&](std::string_view part) {
    run(step + 1, part, at_start && part.data() == piece.data(), sink);
  };
  splitter.start(piece);
  if (behavior == Behavior::kIsolated || behavior == Behavior::kRemoved) {
    for (std::string_view part; splitter.next(part);) {
      const bool removed = behavior == Behavior::kRemoved && splitter.matched() != invert;
      if (!removed) pass_on(part);
    }
    return;
  }
  std::vector<TextPiece>& pieces = memory_[step]->pieces;
  pieces.clear();
  for (std::string_view part; splitter.next(part);) {
    pieces.push_back({part, splitter.matched() != invert});
  }
  if (behavior == Behavior::kWithPrevious) join_to_previous(pieces);
  if (behavior == Behavior::kWithNext) join_to_next(pieces);
  if (behavior == Behavior::kContiguous) join_alike(pieces);
  for (const TextPiece& part : pieces) pass_on(part.text);
}

}  // namespace evo::tokenizer
