#include "serve/api/reply.h"

#include <algorithm>
#include <cmath>

namespace evo::serve {
namespace {

const char* error_type(int status) {
  if (status == kUnauthorized) return "authentication_error";
  if (status == kTooMany) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

/// What clients know: the model's end and a stop string are the same to them.
Json finish_reason(const decode::Generation& generation) {
  return generation.finish == "end" || generation.finish == "stop" ? "stop" : "length";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json bytes_of(std::string_view text) {
  Json bytes = Json::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

}  // namespace

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json error_json(const RequestError& error) {
  return {{"error",
           {{"message", error.what()},
            {"type", error_type(error.status())},
            {"param", text_or_null(error.param())},
            {"code", text_or_null(error.code())}}}};
}

std::string sse(const Json& value) {
  return "data: " + dump(value) + "\n\n";
}

void check_cut(const Event& event) {
  switch (event.cut) {
    case Cut::kNone:
      return;
    case Cut::kDeadline:
      throw RequestError(kTimeout, "the text took longer than this server allows: ask for less", "",
                         "timeout");
    case Cut::kDrain:
      throw RequestError(kUnavailable, "the server is shutting down", "", "shutting_down");
    case Cut::kFault:
      throw RequestError(kInternal, event.fault, "", "internal_error");
  }
}

Reply::Reply(ReplyOptions options, const tokenizer::Tokenizer& tokenizer,
             std::vector<decode::Tracer> tracers)
    : options_(std::move(options)),
      tokenizer_(tokenizer),
      tracers_(std::move(tracers)),
      texts_(options_.texts) {}

void Reply::add(const Event& event) {
  Text& text = texts_.at(event.text);
  text.text += event.piece;
  text.told = text.logprobs.size();
  text.ms = std::chrono::duration<double, std::milli>(Clock::now() - begin_).count();
  std::ranges::copy(event.pass.logprobs, std::back_inserter(text.logprobs));
  if (!event.end) return;
  text.end = *event.end;
  // A stop string cuts tokens off.
  text.logprobs.resize(std::min(text.logprobs.size(), text.end.tokens.size()));
}

int64_t Reply::generated() const {
  int64_t tokens = 0;
  for (const Text& text : texts_) tokens += std::ssize(text.end.tokens);
  return tokens;
}

Json Reply::head(bool chunk) const {
  const char* object = !is_chat() ? "text_completion"
                       : chunk    ? "chat.completion.chunk"
                                  : "chat.completion";
  return {{"id", options_.id},
          {"object", object},
          {"created", options_.created},
          {"model", options_.model}};
}

Json Reply::usage() const {
  int64_t passes = 0, drafted = 0, accepted = 0, known = 0;
  for (const Text& text : texts_) {
    known += text.end.known;
    passes += text.end.passes;
    drafted += text.end.drafted;
    accepted += text.end.accepted;
  }
  const double rate =
      passes > 0 ? static_cast<double>(generated()) / static_cast<double>(passes) : 0;
  // A prompt counts once, whatever n is.
  known = std::min(known, options_.prompt_tokens);
  return {{"prompt_tokens", options_.prompt_tokens},
          {"completion_tokens", generated()},
          {"total_tokens", options_.prompt_tokens + generated()},
          {"prompt_tokens_details", {{"cached_tokens", known}}},
          {"evo",
           {{"passes", passes},
            {"tokens_per_forward", rate},
            {"drafted", drafted},
            {"accepted", accepted}}}};
}

Json Reply::choice(size_t index, const Json& finish) const {
  return {{"index", index}, {"logprobs", nullptr}, {"finish_reason", finish}};
}

std::string Reply::body() const {
  Json reply = head(false);
  reply["choices"] = Json::array();
  for (size_t i = 0; i < texts_.size(); ++i) {
    const Text& text = texts_[i];
    Json one = choice(i, finish_reason(text.end));
    if (is_chat()) {
      one["message"] = {{"role", "assistant"}, {"content", text.text}};
    } else {
      one["text"] = text.text;
    }
    if (options_.logprobs) one["logprobs"] = logprobs_json(text, 0);
    reply["choices"].push_back(std::move(one));
  }
  reply["usage"] = usage();
  return dump(reply);
}

/// A conversation's chunks begin with who speaks, traces with their header.
std::string Reply::opening() const {
  std::string text;
  for (size_t i = 0; i < texts_.size() && (is_chat() || !tracers_.empty()); ++i) {
    Json chunk = head(true);
    Json one = choice(i, nullptr);
    if (is_chat()) {
      one["delta"] = {{"role", "assistant"}, {"content", ""}};
    } else {
      one["text"] = "";
    }
    chunk["choices"] = Json::array({std::move(one)});
    if (!tracers_.empty()) chunk["evo"] = Json::parse(decode::trace_line(tracers_[i].header()));
    text += sse(chunk);
  }
  return text;
}

std::string Reply::chunk(const Event& event) const {
  const bool silent = event.piece.empty() && event.pass.logprobs.empty() && tracers_.empty();
  if (silent && !event.end) return "";
  Json one = choice(event.text, event.end ? finish_reason(*event.end) : Json());
  if (!is_chat()) {
    one["text"] = event.piece;
  } else if (event.piece.empty()) {
    one["delta"] = Json::object();
  } else {
    one["delta"] = {{"content", event.piece}};
  }
  if (options_.logprobs) {
    // Of a pass that met a stop string only what add() has left.
    const Text& text = texts_.at(event.text);
    one["logprobs"] = logprobs_json(text, std::min(text.told, text.logprobs.size()));
  }
  Json chunk = head(true);
  chunk["choices"] = Json::array({std::move(one)});
  if (!tracers_.empty()) {
    chunk["evo"] =
        Json::parse(decode::trace_line(tracers_.at(event.text).record(event.piece, event.pass)));
    // Only here it is known when the pass ended: clients may get several at once.
    chunk["evo"]["ms"] = std::round(texts_.at(event.text).ms * 100) / 100;
  }
  return sse(chunk);
}

std::string Reply::closing() const {
  if (!options_.include_usage) return kStreamEnd;
  Json chunk = head(true);
  chunk["choices"] = Json::array();
  chunk["usage"] = usage();
  return sse(chunk) + kStreamEnd;
}

Json Reply::logprobs_json(const Text& text, size_t first) const {
  const std::span<const decode::TokenLogprob> all = text.logprobs, tokens = all.subspan(first);
  return is_chat() ? chat_logprobs(tokens)
                   : completion_logprobs(tokens, characters(all.first(first)));
}

int64_t Reply::characters(std::span<const decode::TokenLogprob> tokens) const {
  int64_t count = 0;
  for (const decode::TokenLogprob& token : tokens) {
    count += std::ranges::count_if(tokenizer_.token_bytes(token.token), [](char byte) {
      return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;  // begins a character
    });
  }
  return count;
}

Json Reply::chat_logprobs(std::span<const decode::TokenLogprob> tokens) const {
  const auto entry = [&](int32_t token, float logprob) -> Json {
    const std::string_view bytes = tokenizer_.token_bytes(token);
    return {{"token", bytes}, {"logprob", logprob}, {"bytes", bytes_of(bytes)}};
  };
  Json content = Json::array();
  for (const decode::TokenLogprob& token : tokens) {
    Json one = entry(token.token, token.logprob);
    one["top_logprobs"] = Json::array();
    for (const auto& [other, logprob] : token.top) {
      one["top_logprobs"].push_back(entry(other, logprob));
    }
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}};
}

Json Reply::completion_logprobs(std::span<const decode::TokenLogprob> tokens,
                                int64_t offset) const {
  Json texts = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const decode::TokenLogprob& token : tokens) {
    texts.push_back(tokenizer_.token_bytes(token.token));
    values.push_back(token.logprob);
    offsets.push_back(offset);
    offset += characters({&token, 1});
    Json top = Json::object();
    for (const auto& [other, logprob] : token.top) {
      top[std::string(tokenizer_.token_bytes(other))] = logprob;
    }
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace evo::serve
