#include "tokenizer/steps/text_decoder.h"

#include <utility>

#include "tokenizer/readers/json_section.h"

namespace evo::tokenizer {
namespace {

// Of one character, so that steps cannot multiply a token's length; files have "\u2581" and " ".
constexpr size_t kLongestStep = 16;
constexpr size_t kLongestText = 1 << 16;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int read_count(const JsonSection& section, const char* key) {
  constexpr unsigned kMost = 1000;
  const Json& value = section.get(key);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMost) {
    fail("'{}' must be a number from 0 to {}, found {}", section.path(key), kMost,
         shown_json(value));
  }
  return value.get<int>();
}

}  // namespace

class DecoderReader {
 public:
  explicit DecoderReader(TextDecoder& decoder) : decoder_(decoder) {}

  void read(const Json& value, const std::string& path) {
    if (value.is_null()) {  // Hugging Face's library puts a space between tokens
      decoder_.steps_.push_back({.kind = Kind::kWord});
      decoder_.leading_ = {" ", 1};
      return;
    }
    const JsonSection section(value, path);
    const std::string type = section.string("type");
    if (type == "Sequence") {
      const Json& list = section.array("decoders");
      for (size_t i = 0; i < list.size(); ++i) {
        read(list[i], fmt::format("{}.decoders[{}]", path, i));
      }
    } else if (type == "Fuse") {
      fused_ = true;
    } else if (type == "Strip") {
      read_strip(section);
    } else if (fused_) {
      fail("'{}' is {} after Fuse, which is not supported: only Strip is", path, shown_json(type));
    } else if (type == "ByteFallback") {
      decoder_.steps_.push_back({.kind = Kind::kByteFallback});
    } else if (type == "Replace") {
      read_replace(section);
    } else if (type == "Metaspace") {
      read_metaspace(section);
    } else if (type == "WordPiece") {
      read_word_piece(section);
    } else {
      fail(
          "'{}' is {}, which is not supported: only ByteLevel, Replace, ByteFallback, Metaspace, "
          "WordPiece, Fuse, Strip and Sequence are",
          section.path("type"), shown_json(type));
    }
  }

 private:
  using Kind = TextDecoder::Step::Kind;

  void read_strip(const JsonSection& section) {
    const std::string content = section.string("content", kLongestStep);
    const int start = read_count(section, "start"), stop = read_count(section, "stop");
    if (content.empty()) fail("'{}' is empty", section.path("content"));
    if (!fused_) {
      decoder_.steps_.push_back(
          {.kind = Kind::kStrip, .content = content, .left = start, .right = stop});
      return;
    }
    if (stop != 0) {
      fail(
          "'{}' is {} after Fuse: cutting the end of a text is not supported, since text is shown "
          "as it comes",
          section.path("stop"), stop);
    }
    set_leading({content, start}, section);
  }

  void read_replace(const JsonSection& section) {
    TextDecoder::Step step{.kind = Kind::kReplace,
                           .pattern = section.section("pattern").string("String", kLongestStep),
                           .content = section.string("content", kLongestStep)};
    if (step.pattern.empty()) fail("'{}' is empty", section.path("pattern.String"));
    decoder_.steps_.push_back(std::move(step));
  }

  // Hugging Face takes every space off the first token; one is what the encoder has put there.
  void read_metaspace(const JsonSection& section) {
    decoder_.steps_.push_back({.kind = Kind::kReplace,
                               .pattern = section.string("replacement", kLongestStep),
                               .content = " "});
    if (decoder_.steps_.back().pattern.empty()) fail("'{}' is empty", section.path("replacement"));
    const bool old_form = section.get("prepend_scheme").is_null();
    const bool prefix = old_form ? section.boolean("add_prefix_space", true)
                                 : section.string("prepend_scheme") != "never";
    if (prefix) set_leading({" ", 1}, section);
  }

  void read_word_piece(const JsonSection& section) {
    decoder_.steps_.push_back(
        {.kind = Kind::kWord, .pattern = section.string("prefix", kLongestStep)});
    set_leading({" ", 1}, section);
    if (!section.boolean("cleanup", true)) return;
    // English as people write it; within a token, as there.
    constexpr std::pair<const char*, const char*> kCleanUps[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [pattern, content] : kCleanUps) {
      decoder_.steps_.push_back({.kind = Kind::kReplace, .pattern = pattern, .content = content});
    }
  }

  void set_leading(LeadingRule rule, const JsonSection& section) {
    if (decoder_.leading_.count > 0) {
      fail("'{}' is a second rule for the beginning of a text, which is not supported",
           section.path("type"));
    }
    decoder_.leading_ = std::move(rule);
  }

  TextDecoder& decoder_;
  bool fused_ = false;
};

TextDecoder::TextDecoder(const std::string& json, bool byte_level) {
  const Json value = Json::parse(json);
  if (byte_level) {
    JsonSection(value, "decoder").expect("type", {"ByteLevel"});
  } else {
    DecoderReader(*this).read(value, "decoder");
  }
}

namespace {

void replace_all(std::string& text, std::string_view pattern, std::string_view content) {
  for (size_t at = 0; (at = text.find(pattern, at)) != std::string::npos; at += content.size()) {
    text.replace(at, pattern.size(), content);
    if (text.size() > kLongestText) {
      fail("a token becomes more than {} bytes of text: the decoder is damaged", kLongestText);
    }
  }
}

void strip_spaces(std::string& text, std::string_view content, int left, int right) {
  while (left-- > 0 && text.starts_with(content)) text.erase(0, content.size());
  while (right-- > 0 && text.ends_with(content)) text.resize(text.size() - content.size());
}

}  // namespace

std::optional<std::string> TextDecoder::bytes_of(std::string_view token) const {
  if (steps_.empty()) return std::nullopt;
  std::string text(token);
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::kWord) {
      const bool goes_on = !step.pattern.empty() && text.starts_with(step.pattern);
      text = goes_on ? text.substr(step.pattern.size()) : " " + text;
    } else if (step.kind == Step::Kind::kReplace) {
      replace_all(text, step.pattern, step.content);
    } else if (step.kind == Step::Kind::kStrip) {
      strip_spaces(text, step.content, step.left, step.right);
    } else if (const std::optional<char> byte = byte_of_token(text)) {
      text = *byte;
    }
  }
  return text;
}

std::optional<char> byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const int high = hex_digit(token[3]), low = hex_digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

}  // namespace evo::tokenizer
