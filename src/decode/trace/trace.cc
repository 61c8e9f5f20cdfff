#include "decode/trace/trace.h"

#include <algorithm>
#include <cmath>

#include "files/files.h"
#include "flow/pca.h"
#include "json/record.h"
#include "text/utf8.h"

namespace evo::decode {
namespace {

constexpr const char* kFormat = "evo-trace";
constexpr int64_t kTraceVersion = 1;
constexpr int64_t kMaxBytes = int64_t{1} << 30;

class Writer {
 public:
  explicit Writer(json::Record& record) : record_(record) {}

  template <class T>
  void operator()(const char* key, const T& value) {
    record_.set(key, value);
  }
  void operator()(const char* key, std::vector<TraceToken>& tokens) {
    std::vector<json::Record> records(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      Writer writer(records[i]);
      tokens[i].visit(writer);
    }
    record_.set(key, records);
  }

 private:
  json::Record& record_;
};

class Reader {
 public:
  explicit Reader(const json::Record& record) : record_(record) {}

  void operator()(const char* key, int64_t& value) { value = record_.get_int(key); }
  void operator()(const char* key, double& value) { value = record_.get_double(key); }
  void operator()(const char* key, std::string& value) { value = record_.get_string(key); }
  void operator()(const char* key, std::vector<int64_t>& value) { value = record_.get_ints(key); }
  void operator()(const char* key, std::vector<double>& value) { value = record_.get_doubles(key); }
  void operator()(const char* key, std::vector<std::string>& value) {
    value = record_.get_strings(key);
  }
  void operator()(const char* key, std::vector<TraceToken>& tokens) {
    for (const json::Record& record : record_.get_records(key)) {
      Reader reader(record);
      tokens.emplace_back().visit(reader);
      check_texts(record, "top", tokens.back().top.size(), tokens.back().top_texts.size());
    }
  }

  static void check_texts(const json::Record& record, const char* key, size_t tokens,
                          size_t texts) {
    if (tokens == texts) return;
    fail("{}: \"{}\" has {} tokens, but \"{}_texts\" has {}: expected one for each",
         record.source(), key, tokens, key, texts);
  }

 private:
  const json::Record& record_;
};

template <class Part>
std::string line_of(json::Record record, Part part) {
  Writer writer(record);
  part.visit(writer);
  return record.dump() + "\n";
}

/// The bytes of a token may be a part of a character.
std::string valid_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t valid = text::valid_utf8_prefix(bytes);
    text += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    const size_t invalid = text::invalid_utf8_prefix(bytes);
    if (invalid > 0) text += "\uFFFD";
    bytes.remove_prefix(invalid);
  }
  return text;
}

double rounded(double value) {
  return std::round(value * 1e4) / 1e4;
}

double balance_of(const DecodeOptions& options) {
  if (options.mode == Mode::kEvo) return options.balance;
  return options.mode == Mode::kDiffusion ? 1 : 0;
}

TraceHeader read_header(const json::Record& record) {
  if (!record.has("format") || record.get_string("format") != kFormat) {
    fail("{}: not a trace: expected \"format\": \"{}\"; evo generate --trace makes traces",
         record.source(), kFormat);
  }
  const int64_t version = record.get_int("version");
  if (version != kTraceVersion) {
    fail(
        "{}: a trace of version {}, but this program reads version {}: use the program that wrote "
        "it",
        record.source(), version, kTraceVersion);
  }
  TraceHeader header;
  Reader reader(record);
  header.visit(reader);
  if (header.first_position < 0) {
    fail("{}: \"first_position\" is {}; expected 0 or more", record.source(),
         header.first_position);
  }
  return header;
}

TracePass read_pass(const json::Record& record) {
  TracePass pass;
  Reader reader(record);
  pass.visit(reader);
  Reader::check_texts(record, "committed", pass.committed.size(), pass.committed_texts.size());
  return pass;
}

}  // namespace

std::span<const TraceToken> uncommitted(const TraceHeader& header, const TracePass& pass) {
  const std::span<const TraceToken> tokens = pass.tokens;
  if (header.mode != mode_name(Mode::kDiffusion)) return tokens;
  return tokens.subspan(std::min(pass.committed.size(), tokens.size()));
}

int64_t committed_tokens(std::span<const TracePass> passes) {
  size_t tokens = 0;
  for (const TracePass& pass : passes) tokens += pass.committed.size();
  return static_cast<int64_t>(tokens);
}

double tokens_per_forward(std::span<const TracePass> passes) {
  if (passes.empty()) return 0;
  return static_cast<double>(committed_tokens(passes)) / static_cast<double>(passes.size());
}

Tracer::Tracer(const Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
               const DecodeOptions& options, const Prompt& prompt, std::string_view before,
               std::string_view after)
    : tokenizer_(tokenizer) {
  header_.mode = mode_name(options.mode);
  header_.balance = balance_of(options);
  header_.seed = std::to_string(options.seed);
  header_.prompt = valid_text(before);
  header_.suffix = valid_text(after);
  header_.first_position = prompt.positions.back() + 1;
  if (!decoder.model().config().flow) return;
  header_.code_size = decoder.model().config().code_size;
  if (!options.trace) return;  // no z will come
  flow::PrincipalAxes axes = flow::principal_axes(decoder.codes().values(), header_.code_size, 2);
  const auto middle = axes.directions.begin() + header_.code_size;
  header_.center = std::move(axes.mean);
  header_.axis_x.assign(axes.directions.begin(), middle);
  header_.axis_y.assign(middle, axes.directions.end());
}

TracePass Tracer::record(std::string_view text, const PassTrace& pass) const {
  TracePass result;
  result.pass = pass.pass;
  result.text = valid_text(text);
  result.committed.assign(pass.committed.begin(), pass.committed.end());
  for (const int32_t token : pass.committed) result.committed_texts.push_back(text_of(token));
  result.drafted = pass.drafted;
  result.accepted = pass.accepted;
  result.rows = pass.rows;
  for (const TokenTrace& token : pass.tokens) {
    TraceToken& one = result.tokens.emplace_back();
    one.position = token.position;
    one.token = token.token;
    one.text = text_of(token.token);
    one.time = rounded(token.time);
    one.entropy = rounded(token.entropy);
    one.maturity = rounded(token.maturity);
    one.top.assign(token.top.begin(), token.top.end());
    for (const int32_t likely : token.top) one.top_texts.push_back(text_of(likely));
    if (!token.latent.empty()) one.z2 = projected(token.latent);
  }
  return result;
}

std::string Tracer::text_of(int32_t token) const {
  return valid_text(tokenizer_.token_bytes(token));
}

std::vector<double> Tracer::projected(const std::vector<float>& z) const {
  double x = 0, y = 0;
  for (size_t i = 0; i < header_.center.size(); ++i) {
    const double offset = z[i] - header_.center[i];
    x += header_.axis_x[i] * offset;
    y += header_.axis_y[i] * offset;
  }
  return {rounded(x), rounded(y)};
}

std::string trace_line(const TraceHeader& header) {
  json::Record record;
  record.set("format", kFormat).set("version", kTraceVersion);
  return line_of(std::move(record), header);
}

std::string trace_line(const TracePass& pass) {
  return line_of({}, pass);
}

Trace read_trace(const std::filesystem::path& path) {
  const std::string text = files::read_text(path, kMaxBytes);
  if (text.empty()) fail("{} is empty; expected a trace of evo generate --trace", path.string());
  std::string_view rest = text;
  Trace trace;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string source = fmt::format("{}, line {}", path.string(), number);
    const size_t length = rest.find('\n');
    if (length == std::string_view::npos) fail("{}: the line has no end: is it cut short?", source);
    const json::Record record = json::Record::parse(rest.substr(0, length), source);
    rest.remove_prefix(length + 1);
    if (number == 1) {
      trace.header = read_header(record);
    } else {
      trace.passes.push_back(read_pass(record));
    }
  }
  return trace;
}

}  // namespace evo::decode
