// What a generation knew, pass by pass, as a file of JSON lines. The first line is a TraceHeader,
// every further one a TracePass; the keys are those of the visit() functions. A token's text that
// is not UTF-8 by itself has U+FFFD in place of the bad bytes, here and in the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decode/session/session.h"
#include "tokenizer/tokenizer.h"

namespace evo::decode {

struct TraceHeader {
  std::string mode;
  double balance = 0;          ///< 0 exact .. 1 diffusion
  std::string seed;            ///< as text: JSON numbers are exact to 53 bits only
  std::string prompt, suffix;  ///< the texts around what is generated
  int64_t first_position = 0;  ///< of the first generated token
  int64_t code_size = 0;       ///< d; 0: the model has no evolving stream
  /// The plane of TraceToken::z2: its origin and two orthonormal axes, the principal ones of the
  /// code table. [d] each.
  std::vector<double> center, axis_x, axis_y;

  template <class V>
  void visit(V& v) {
    v("mode", mode);
    v("balance", balance);
    v("seed", seed);
    v("prompt", prompt);
    v("suffix", suffix);
    v("first_position", first_position);
    v("code_size", code_size);
    v("center", center);
    v("axis_x", axis_x);
    v("axis_y", axis_y);
  }
};

/// What a pass knew about a token: a draft or, in diffusion mode, a hypothesis.
struct TraceToken {
  int64_t position = 0, token = 0;
  std::string text;
  double time = 1, entropy = 0, maturity = 0;
  std::vector<int64_t> top;  ///< the likeliest first
  std::vector<std::string> top_texts;
  std::vector<double> z2;  ///< z in the plane of the header, [2]; empty if z was not traced

  template <class V>
  void visit(V& v) {
    v("position", position);
    v("token", token);
    v("text", text);
    v("t", time);
    v("entropy", entropy);
    v("maturity", maturity);
    v("top", top);
    v("top_texts", top_texts);
    v("z2", z2);
  }
};

struct TracePass {
  int64_t pass = 0;
  std::string text;  ///< became certain in this pass: whole characters, no possible stop string
  std::vector<int64_t> committed;
  std::vector<std::string> committed_texts;
  int64_t drafted = 0, accepted = 0;  ///< of the drafts of the pass before
  int64_t rows = 0;                   ///< that the network computed
  /// New drafts; in diffusion mode the window, beginning with the tokens that were then committed.
  std::vector<TraceToken> tokens;

  template <class V>
  void visit(V& v) {
    v("pass", pass);
    v("text", text);
    v("committed", committed);
    v("committed_texts", committed_texts);
    v("drafted", drafted);
    v("accepted", accepted);
    v("rows", rows);
    v("tokens", tokens);
  }
};

struct Trace {
  TraceHeader header;
  std::vector<TracePass> passes;
};

/// The tokens of a pass that are not text yet after it.
[[nodiscard]] std::span<const TraceToken> uncommitted(const TraceHeader& header,
                                                      const TracePass& pass);

/// How many tokens these passes committed; per pass (0 if there are none).
[[nodiscard]] int64_t committed_tokens(std::span<const TracePass> passes);
[[nodiscard]] double tokens_per_forward(std::span<const TracePass> passes);

/// Makes the trace of one generation.
class Tracer {
 public:
  /// `before` and `after` are the texts around what is generated behind `prompt`. Decoder and
  /// tokenizer must outlive the object.
  Tracer(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
         const DecodeOptions& options, const Prompt& prompt, std::string_view before,
         std::string_view after);

  [[nodiscard]] const TraceHeader& header() const { return header_; }
  /// `text`: what the pass made certain (OnPass). Numbers are rounded to 1e-4, which nobody misses
  /// and which makes the file half as long.
  [[nodiscard]] TracePass record(std::string_view text, const PassTrace& pass) const;

 private:
  [[nodiscard]] std::string text_of(int32_t token) const;
  [[nodiscard]] std::vector<double> projected(const std::vector<float>& z) const;

  const tokenizer::Tokenizer& tokenizer_;
  TraceHeader header_;
};

/// Lines of the file, each with its end.
[[nodiscard]] std::string trace_line(const TraceHeader& header);
[[nodiscard]] std::string trace_line(const TracePass& pass);

/// Reads a trace, compressed or not. Throws Error naming file and line for what is no trace, of
/// another version, damaged or cut short within a line.
[[nodiscard]] Trace read_trace(const std::filesystem::path& path);

}  // namespace evo::decode
