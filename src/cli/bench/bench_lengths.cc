#include "cli/bench/bench_lengths.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "api/learnt_costs.h"
#include "base/process/child_process.h"
#include "base/process/watcher.h"
#include "cli/bench/bench_measure.h"
#include "cli/options.h"
#include "files/files.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLessonTokens = 256;  // decoded before a measurement that begins with knowledge

/// A folder for this measurement, gone after it.
class CostsFolder {
 public:
  CostsFolder()
      : path_(fs::temp_directory_path() / fmt::format("evo-bench-{}-{}", getpid(), ++count_)) {
    fs::create_directories(path_);
  }
  ~CostsFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  CostsFolder(const CostsFolder&) = delete;
  CostsFolder& operator=(const CostsFolder&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  static inline int count_ = 0;
  fs::path path_;
};

using Prompts = std::vector<DecodeBenchPrompt>;

json::Record decode_texts(const decode::Decoder& decoder, const Prompts& prompts, decode::Mode mode,
                          int64_t batch, int64_t first, const DecodeBenchOptions& options) {
  decode::DecodeOptions decode;
  decode.mode = mode;
  decode.max_tokens = options.max_tokens;
  decode.seed = options.seed;
  decode.sampler.temperature = options.temperature;
  const double start = now();
  std::vector<std::unique_ptr<decode::Session>> sessions;
  for (int64_t i = 0; i < batch; ++i) {
    const auto index = static_cast<size_t>(first * batch + i) % prompts.size();
    sessions.push_back(std::make_unique<decode::Session>(
        decoder, decode, decode::Prompt::of_text(prompts[index].tokens), options.end));
  }
  for (;;) {
    std::vector<decode::Session*> active;
    for (const auto& session : sessions) {
      if (!session->done()) active.push_back(session.get());
    }
    if (active.empty()) break;
    decode::Session::step_together(active);
  }
  const double seconds = now() - start;
  std::vector<int32_t> all;
  for (const auto& session : sessions) {
    all.insert(all.end(), session->generated().begin(), session->generated().end());
  }
  json::Record record;
  record.set("mode", decode::mode_name(mode)).set("tokens", all.size()).set("seconds", seconds);
  record.set("text", fmt::format("{:016x}", files::checksum64(std::as_bytes(std::span(all)))));
  return record;
}

constexpr std::array kModes = {decode::Mode::kAr, decode::Mode::kExact};

/// The mode that is number `turn` in this round.
decode::Mode mode_of(int64_t round, size_t turn) {
  return kModes[(static_cast<size_t>(round) + turn) % kModes.size()];
}

struct Run {
  double tokens = 0, seconds = 0;
  std::string text;
};

/// The runs of a process, by mode.
std::map<std::string, std::vector<Run>> start_process(const LengthsBench& bench,
                                                      const LengthsRow& row,
                                                      const LengthsWork& work) {
  std::vector<std::string> words = {"/proc/self/exe", "bench", "decode"};
  words.insert(words.end(), bench.words.begin(), bench.words.end());
  const auto add = [&](const char* flag, const std::string& value) {
    words.insert(words.end(), {flag, value});
  };
  add("--precision", row.precision);
  add("--max-tokens", std::to_string(row.length));
  add("--batches", std::to_string(work.batch));
  add("--rounds", std::to_string(work.rounds));
  add("--first", std::to_string(work.first));
  add("--in-process", work.modes);
  if (!work.costs.empty()) add("--costs", work.costs);
  const ChildResult child = run_child(words, {});
  if (!child.failure.empty()) fail("{}", child.failure);
  std::map<std::string, std::vector<Run>> runs;
  for (const json::Record& run :
       json::Record::parse(last_line(child.output), "its result").get_records("runs")) {
    runs[run.get_string("mode")].push_back(
        {run.get_double("tokens"), run.get_double("seconds"), run.get_string("text")});
  }
  return runs;
}

void add_rounds(LengthsRow& row, const std::map<std::string, std::vector<Run>>& runs) {
  const std::vector<Run>& ar = runs.at("ar");
  const std::vector<Run>& exact = runs.at("exact");
  for (size_t i = 0; i < ar.size(); ++i) {
    row.ar.push_back(ar[i].tokens / ar[i].seconds);
    row.exact.push_back(exact[i].tokens / exact[i].seconds);
    row.equal += ar[i].text == exact[i].text ? 1 : 0;
  }
}

void measure(LengthsRow& row, const LengthsBench& bench) {
  LengthsWork work;
  work.batch = row.batch;
  if (row.start == "warm") {
    work.rounds = bench.rounds;
    return add_rounds(row, start_process(bench, row, work));
  }
  std::optional<CostsFolder> costs;
  if (row.start == "known") {
    work.costs = costs.emplace().path();
    work.modes = "exact";
    work.first = bench.rounds;
    LengthsRow lesson = row;
    lesson.length = kLessonTokens;
    start_process(bench, lesson, work);
  }
  for (int64_t round = 0; round < bench.rounds; ++round) {
    std::map<std::string, std::vector<Run>> runs;
    for (size_t turn = 0; turn < kModes.size(); ++turn) {
      if (interrupted()) fail_interrupted("interrupted: nothing is reported");
      work.modes = decode::mode_name(mode_of(round, turn));
      work.first = round;
      runs.merge(start_process(bench, row, work));
    }
    add_rounds(row, runs);
  }
}

}  // namespace

json::Record measure_lengths(const model::Model& model, tensor::Precision precision,
                             const Prompts& prompts, const LengthsWork& work,
                             const DecodeBenchOptions& options) {
  const decode::Decoder decoder(model);
  const LearntCosts costs(decoder, precision, work.costs);
  std::vector<json::Record> runs;
  const auto decode = [&](decode::Mode mode, int64_t first, const DecodeBenchOptions& how) {
    return decode_texts(decoder, prompts, mode, work.batch, first, how);
  };
  if (work.modes != "both") {
    runs.push_back(decode(decode::parse_mode(work.modes), work.first, options));
    return json::Record().set("runs", runs);
  }
  DecodeBenchOptions before = options;
  before.max_tokens = kLessonTokens;
  for (const decode::Mode mode : kModes) (void)decode(mode, work.first + work.rounds, before);
  for (int64_t round = 0; round < work.rounds; ++round) {
    for (size_t turn = 0; turn < kModes.size(); ++turn) {
      runs.push_back(decode(mode_of(round, turn), work.first + round, options));
    }
  }
  return json::Record().set("runs", runs);
}

std::vector<double> LengthsRow::ratios() const {
  std::vector<double> result;
  for (size_t i = 0; i < ar.size(); ++i) result.push_back(exact[i] / ar[i]);
  return result;
}

std::vector<LengthsRow> bench_lengths(const LengthsBench& bench) {
  std::vector<LengthsRow> rows;
  for (const std::string& precision : bench.precisions) {
    for (const int64_t batch : bench.batches) {
      for (const int64_t length : bench.lengths) {
        for (const std::string& start : bench.starts) {
          rows.push_back({precision, start, batch, length, {}, {}, 0});
        }
      }
    }
  }
  Progress progress("decoding", static_cast<double>(rows.size()), "rows");
  double done = 0;
  for (LengthsRow& row : rows) {
    measure(row, bench);
    progress.update(++done);
  }
  progress.finish();
  return rows;
}

std::string lengths_table(const std::vector<LengthsRow>& rows) {
  std::string table = fmt::format("{:<10} {:>5} {:>7} {:<6} {:>12} {:>14} {:>7} {:>15} {:>6}\n",
                                  "precision", "batch", "tokens", "start", "ar tokens/s",
                                  "exact tokens/s", "x ar", "least to most", "= ar");
  for (const LengthsRow& row : rows) {
    const std::vector<double> ratios = row.ratios();
    const auto [least, most] = std::ranges::minmax(ratios);
    table +=
        fmt::format("{:<10} {:>5} {:>7} {:<6} {:>12.0f} {:>14.0f} {:>7.3f} {:>15} {:>6}\n",
                    row.precision, row.batch, row.length, row.start, median(row.ar),
                    median(row.exact), median(ratios), fmt::format("{:.2f} to {:.2f}", least, most),
                    fmt::format("{}/{}", row.equal, ratios.size()));
  }
  return table;
}

json::Record lengths_record(const std::vector<LengthsRow>& rows) {
  std::vector<json::Record> records;
  for (const LengthsRow& row : rows) {
    json::Record& record = records.emplace_back();
    record.set("precision", row.precision).set("batch", row.batch).set("tokens", row.length);
    record.set("start", row.start);
    record.set("ar_tokens_per_second", row.ar).set("exact_tokens_per_second", row.exact);
    record.set("ratio_to_ar", median(row.ratios()));
    record.set("rounds", row.ar.size()).set("texts_equal_to_ar", row.equal);
  }
  return json::Record().set("rows", records);
}

}  // namespace evo::cli
