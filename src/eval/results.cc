#include "eval/results.h"

#include <limits>

namespace evo::eval {
namespace {

constexpr const char* kFormat = "evo-evaluation";
constexpr int64_t kResultsVersion = 1;

class Writer {
 public:
  explicit Writer(json::Record& record) : record_(record) {}

  template <class T>
  void operator()(const char* key, const T& value) {
    record_.set(key, value);
  }
  void later(const char* key, const std::string& value) { record_.set(key, value); }
  template <class T>
  void operator()(const char* key, const std::vector<T>& parts) {
    std::vector<json::Record> records;
    for (T part : parts) {  // a copy: visit() is not const
      Writer writer(records.emplace_back());
      part.visit(writer);
    }
    record_.set(key, records);
  }

 private:
  json::Record& record_;
};

class Reader {
 public:
  explicit Reader(const json::Record& record) : record_(record) {}

  void operator()(const char* key, std::string& value) { value = record_.get_string(key); }
  /// What files of earlier programs do not have.
  void later(const char* key, std::string& value) {
    if (record_.has(key)) value = record_.get_string(key);
  }
  /// Every whole number here is a count.
  void operator()(const char* key, int64_t& value) {
    value = record_.get_int(key);
    if (value < 0) fail("{}: \"{}\" is {}; expected 0 or more", record_.source(), key, value);
  }
  void operator()(const char* key, double& value) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    value = record_.is_null(key) ? kNaN : record_.get_double(key);
  }
  template <class T>
  void operator()(const char* key, std::vector<T>& parts) {
    parts.clear();
    for (const json::Record& record : record_.get_records(key)) {
      Reader reader(record);
      parts.emplace_back().visit(reader);
    }
  }

 private:
  const json::Record& record_;
};

void check_format(const json::Record& record) {
  if (!record.has("format") || record.get_string("format") != kFormat) {
    fail(
        "{}: not the results of an evaluation: expected \"format\": \"{}\"; evo eval tasks --out "
        "makes such files",
        record.source(), kFormat);
  }
  const int64_t version = record.get_int("version");
  if (version == kResultsVersion) return;
  fail(
      "{}: results of version {}, but this program reads version {}: use the program that wrote it",
      record.source(), version, kResultsVersion);
}

/// What somebody else's results name is not to be read from anywhere.
void check_trace(const json::Record& record, const TaskResult& task) {
  const std::filesystem::path path(task.trace);
  bool inside = path.is_relative();
  for (const auto& part : path) inside = inside && part != "..";
  if (inside) return;
  fail(
      "{}: the trace \"{}\" of task {} is not in the folder of the results; expected its place in "
      "it, such as traces/gsm8k.jsonl.zst",
      record.source(), task.trace, task.task);
}

}  // namespace

json::Record EvalResults::record() const {
  json::Record record;
  record.set("format", kFormat).set("version", kResultsVersion);
  EvalResults copy = *this;  // visit() is not const
  Writer writer(record);
  copy.visit(writer);
  return record;
}

EvalResults EvalResults::from_record(const json::Record& record) {
  check_format(record);
  EvalResults results;
  Reader reader(record);
  results.visit(reader);
  for (const TaskResult& task : results.tasks) check_trace(record, task);
  return results;
}

void EvalResults::save(const std::filesystem::path& path) const {
  record().save(path);
}

EvalResults EvalResults::load(const std::filesystem::path& path) {
  return from_record(json::Record::load(path));
}

}  // namespace evo::eval
