#include "eval/example_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "files/files.h"
#include "json/record.h"

namespace evo::eval {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestFile = int64_t{4} << 30;

template <class To, class From>
std::vector<To> converted(const From& from) {
  return {from.begin(), from.end()};
}

std::string line_of(const Example& example, const ExampleResult& result) {
  const auto& [outcome, cut, tokens, passes, drafts] = result.answer;
  json::Record line;
  line.set("id", example.id);
  if (example.gold >= 0) line.set("gold", example.gold);
  if (!example.targets.empty()) line.set("targets", example.targets);
  if (!outcome.log_likelihood.empty()) {
    line.set("log_likelihood", outcome.log_likelihood);
    line.set("greedy", converted<int64_t>(outcome.greedy));
  } else {
    line.set("prompt", example.prompt).set("text", outcome.text);
    line.set("tokens", tokens).set("passes", passes);
    line.set("drafts", converted<int64_t>(drafts.drafts));
    line.set("drafts_kept", converted<int64_t>(drafts.kept));
    line.set("draft_maturity", converted<double>(drafts.maturity));
  }
  line.set("cut", cut).set("scores", result.scores);
  return line.dump() + "\n";
}

ExampleResult result_of(const json::Record& line, const Example& example, size_t metrics) {
  ExampleResult result;
  Answer& answer = result.answer;
  if (line.has("log_likelihood")) {
    answer.outcome.log_likelihood = line.get_doubles("log_likelihood");
    answer.outcome.greedy = converted<uint8_t>(line.get_ints("greedy"));
  } else {
    answer.outcome.text = line.get_string("text");
    answer.tokens = line.get_int("tokens");
    answer.passes = line.get_int("passes");
    const auto drafts = line.get_ints("drafts"), kept = line.get_ints("drafts_kept");
    const auto maturity = line.get_doubles("draft_maturity");
    if (drafts.size() != DraftCounts::kBins || kept.size() != drafts.size() ||
        maturity.size() != drafts.size()) {
      fail("{}: expected {} bins of drafts", line.source(), DraftCounts::kBins);
    }
    std::ranges::copy(drafts, answer.drafts.drafts.begin());
    std::ranges::copy(kept, answer.drafts.kept.begin());
    std::ranges::copy(maturity, answer.drafts.maturity.begin());
  }
  answer.cut = line.get_bool("cut");
  result.scores = line.get_doubles("scores");
  if (result.scores.size() != metrics ||
      answer.outcome.log_likelihood.size() != example.choices.size()) {
    fail("{}: expected {} scores and {} choices", line.source(), metrics, example.choices.size());
  }
  return result;
}

/// Appends, and has it on disk when it returns: all of it or, as far as can be told, nothing.
void append_to(const fs::path& path, std::string_view text) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) fail("{}: {}", path.string(), std::strerror(errno));
  const off_t before = ::lseek(descriptor, 0, SEEK_END);
  bool good = true;
  while (good && !text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    good = count > 0 || (count < 0 && errno == EINTR);
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
  }
  good = good && ::fsync(descriptor) == 0;
  const int error = errno;
  if (!good && ::ftruncate(descriptor, before) != 0) {
    // The unfinished line is dropped when the run goes on.
  }
  ::close(descriptor);
  if (!good) {
    fail("{}: {}; make room, then run the same command again: it goes on from here", path.string(),
         std::strerror(error));
  }
}

}  // namespace

ExampleFile::ExampleFile(fs::path path, std::span<const Example> examples, size_t metrics)
    : path_(std::move(path)), examples_(examples), metrics_(metrics) {
  if (!path_.empty() && fs::exists(path_)) read();
}

void ExampleFile::read() {
  std::string text = files::read_file(path_, kLargestFile);
  const size_t whole = text.rfind('\n') + 1;
  if (whole < text.size()) {
    fs::resize_file(path_, whole);
    text.resize(whole);
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const size_t number = results_.size();
    const json::Record line =
        json::Record::parse(std::string_view(text).substr(begin, end - begin),
                            fmt::format("{}, line {}", path_.string(), number + 1));
    if (number >= examples_.size() || line.get_string("id") != examples_[number].id) {
      fail("{} is about other examples; give another --out, or the data it was made from",
           line.source());
    }
    results_.push_back(result_of(line, examples_[number], metrics_));
    begin = end + 1;
  }
}

void ExampleFile::append(std::vector<ExampleResult> results) {
  std::string lines;
  for (ExampleResult& result : results) {
    lines += line_of(examples_[results_.size()], result);
    results_.push_back(std::move(result));
  }
  if (!path_.empty()) append_to(path_, lines);
}

}  // namespace evo::eval
