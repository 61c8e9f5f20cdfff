// A trace made by hand, for tests of what reads traces.
#pragma once

#include "decode/trace/trace.h"

namespace evo::testing {

inline decode::TraceToken trace_token(int64_t position, std::string text, double time,
                                      double maturity) {
  decode::TraceToken token;
  token.position = position;
  token.token = 20;
  token.text = std::move(text);
  token.time = time;
  token.entropy = 1.25;
  token.maturity = maturity;
  token.top = {20, 21};
  token.top_texts = {token.text, " e"};
  token.z2 = {-0.25, 1.5};
  return token;
}

/// Mode exact, from position 3 on. Pass 0 commits "The" and drafts " cat", surely, and " sat",
/// hardly; pass 1 accepts the one, says "\nand" instead of the other, and drafts a text that is
/// markup.
inline decode::Trace small_trace() {
  decode::Trace trace;
  decode::TraceHeader& header = trace.header;
  header.mode = "exact";
  header.seed = "18446744073709551615";
  header.prompt = "Say: \"";
  header.first_position = 3;
  header.code_size = 2;
  header.center = {0.5, -0.125};
  header.axis_x = {1, 0};
  header.axis_y = {0, 1};
  decode::TracePass& first = trace.passes.emplace_back();
  first.text = "The";
  first.committed = {10};
  first.committed_texts = {"The"};
  first.rows = 5;
  first.tokens = {trace_token(4, " cat", 1, 0.99), trace_token(5, " sat", 1, 0.01)};
  decode::TracePass& second = trace.passes.emplace_back();
  second.pass = 1;
  second.text = " cat\nand";
  second.committed = {11, 19};
  second.committed_texts = {" cat", "\nand"};
  second.drafted = 2;
  second.accepted = 1;
  second.rows = 7;
  second.tokens = {trace_token(6, "<\"d\">", 1, 0.5)};
  return trace;
}

}  // namespace evo::testing
