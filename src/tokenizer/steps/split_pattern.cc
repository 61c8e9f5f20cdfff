#include "tokenizer/steps/split_pattern.h"

#include <algorithm>
#include <cctype>

#include "text/utf8.h"

namespace evo::tokenizer {

void Splitter::start(std::string_view text) {
  rest_ = text;
  run_ = {};
  position_ = 0;
}

void Splitter::start_run() {
  const size_t length = text::valid_utf8_prefix(rest_);
  valid_ = length > 0;
  run_ = rest_.substr(0, valid_ ? length : text::invalid_utf8_prefix(rest_));
  rest_.remove_prefix(run_.size());
  position_ = 0;
  match_ = {};
  if (valid_) matcher_.start(run_);
}

void Splitter::match() {
  if (pattern_.scanner_ != nullptr) {
    const size_t end = pattern_.scanner_(run_, position_);
    if (end > 0) {
      match_ = {position_, end};
      return;
    }
    matcher_.skip_to(position_);
  }
  if (!matcher_.next(match_)) match_ = {run_.size(), run_.size()};
}

bool Splitter::next(std::string_view& piece) {
  while (true) {
    if (position_ == run_.size()) {
      if (rest_.empty()) return false;
      start_run();
    }
    if (!valid_) {
      match_ = {run_.size(), run_.size()};
    } else if (position_ >= match_.end) {
      match();
    }
    if (position_ < match_.begin) {
      take(piece, match_.begin);
      matched_ = false;
      return true;
    }
    if (position_ < match_.end) {
      take(piece, match_.end);
      matched_ = true;
      return true;
    }
  }
}

void Splitter::take(std::string_view& piece, size_t end) {
  piece = run_.substr(position_, end - position_);
  position_ = end;
}

size_t next_safe_cut(std::string_view text, size_t from) {
  const auto visible = [](char c) { return c > ' ' && c < 0x7F; };
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  for (size_t i = std::max<size_t>(from, 1); i < text.size(); ++i) {
    if (visible(text[i - 1]) && blank(text[i])) return i;
  }
  return text.size();
}

size_t next_common_cut(std::string_view text, size_t from) {
  for (size_t i = std::max<size_t>(from, 1); i < text.size(); ++i) {
    if (text[i] == ' ' && std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0) return i;
  }
  return text.size();
}

}  // namespace evo::tokenizer
