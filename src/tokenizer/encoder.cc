#include "tokenizer/encoder.h"

namespace evo::tokenizer {
namespace {

std::vector<AddedTokenFinder::Pattern> names_of(const TokenizerSpec& spec) {
  std::vector<AddedTokenFinder::Pattern> list;
  for (const AddedToken& token : spec.added) {
    if (!token.hidden) list.push_back({spec.tokens[token.id], token});
  }
  return list;
}

std::vector<AddedTokenFinder::Pattern> patterns(const TokenizerSpec& spec,
                                                const Normalizer& normalizer, bool normalized) {
  std::vector<AddedTokenFinder::Pattern> list;
  std::string memory;
  for (const AddedToken& token : spec.added) {
    if (token.normalized != normalized || token.hidden) continue;
    const std::string& text = spec.tokens[token.id];
    list.push_back(
        {normalized && !token.verbatim ? std::string(normalizer.apply(text, memory)) : text,
         token});
  }
  return list;
}

// Calls token(id) and text(part) for what a finder finds.
template <class TokenFn, class TextFn>
void for_each_part(const AddedTokenFinder& finder, std::string_view text, bool special,
                   std::string_view guard, const TokenFn& token, const TextFn& plain) {
  if (!finder.is_needed(special)) {
    plain(text);
    return;
  }
  std::vector<TextPart> parts;
  finder.find(text, special, parts, guard);
  for (const TextPart& part : parts) {
    if (part.token >= 0) {
      token(part.token);
    } else {
      plain(part.text);
    }
  }
}

}  // namespace

EncodingTables::EncodingTables(const TokenizerSpec& spec)
    : normalizer(spec.normalizer),
      pre_tokenizer(spec.pre_tokenizer),
      added(patterns(spec, normalizer, false)),
      normalized_added(patterns(spec, normalizer, true)),
      names(names_of(spec)),
      words(spec, pre_tokenizer.byte_level()) {}

std::string without_guards(std::string_view text, std::string_view guard) {
  std::string rest;
  for (size_t found; (found = text.find(guard)) != std::string_view::npos;) {
    rest += text.substr(0, found);
    text.remove_prefix(found + guard.size());
  }
  return rest += text;
}

Encoder::Encoder(const EncodingTables& tables)
    : tables_(tables),
      cutter_(tables.pre_tokenizer),
      words_(tables.words),
      sink_([this](std::string_view word) { words_.encode_append(word, *out_); }) {}

void Encoder::encode_append(std::string_view text, bool special, std::string_view guard,
                            std::vector<int32_t>& out) {
  out_ = &out;
  for_each_part(
      tables_.added, text, special, guard, [&](int32_t id) { out.push_back(id); },
      [&](std::string_view part) {
        encode_text(part, part.data() == text.data(), special, guard);
      });
  out_ = nullptr;
  // An encoder is kept for later texts; it must not keep the memory of one huge text.
  if (constexpr size_t kKept = 1 << 20; memory_.capacity() > kKept) memory_ = {};
}

void Encoder::encode_text(std::string_view text, bool at_start, bool special,
                          std::string_view guard) {
  const std::string_view normalized = tables_.normalizer.apply(text, memory_);
  for_each_part(
      tables_.normalized_added, normalized, special, guard,
      [&](int32_t id) { out_->push_back(id); },
      [&](std::string_view part) {
        const bool first = at_start && part.data() == normalized.data();
        if (guard.empty() || part.find(guard) == std::string_view::npos) {
          cutter_.cut(part, first, sink_);
        } else {
          cutter_.cut(without_guards(part, guard), first, sink_);
        }
      });
}

}  // namespace evo::tokenizer
