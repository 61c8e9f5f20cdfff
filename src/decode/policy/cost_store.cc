#include "decode/policy/cost_store.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <vector>

#include "files/files.h"
#include "json/fields.h"
#include "json/record.h"

namespace evo::decode {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kStoreFormat = 1, kLargestFile = 1 << 20;
constexpr size_t kMostFiles = 200;
constexpr int64_t kWorthKeeping = 8;  // passes

/// Of the shape, and of the arrays that any training changes: drafts of another model tell nothing.
std::string fingerprint(const model::Model& model) {
  json::Record shape;
  model::ModelConfig config = model.config();
  json::write_fields(config, shape);
  std::string bytes = shape.dump();
  const auto add = [&](std::span<const float> values) {
    const auto raw = std::as_bytes(values);
    bytes.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  };
  if (config.flow) add(model.maturity_weight().values());
  if (config.drafts_ahead()) add(model.ahead_maturity_weight().values());
  add(model.unigram());
  return fmt::format("{:016x}", files::checksum64(std::as_bytes(std::span(bytes))));
}

template <size_t N>
std::array<double, N> array_of(const json::Record& record, std::string_view key) {
  const std::vector<double> values = record.get_doubles(key);
  if (values.size() != N) fail("{}: expected {} numbers", key, N);
  std::array<double, N> result{};
  std::ranges::copy(values, result.begin());
  return result;
}

void read(const json::Record& record, DraftPolicy& policy, PassTimes& times) {
  policy.recall(DraftKind::kAhead, record.get_doubles("ahead"));
  policy.recall(DraftKind::kWindow, record.get_doubles("window"));
  times.recall({array_of<PassTimes::kNumbers>(record, "times"),
                array_of<PassTimes::kNumbers>(record, "deviations")});
}

/// Not synced: after a crash of the machine the file may be damaged, and then nothing is lost.
void write(const fs::path& file, const std::string& text) {
  std::error_code ignored;
  fs::create_directories(file.parent_path(), ignored);
  const fs::path temporary = file.string() + fmt::format(".{}.tmp", getpid());
  std::ofstream stream(temporary);
  stream << text << '\n';
  stream.close();
  if (stream) fs::rename(temporary, file, ignored);
  if (!stream || ignored) fs::remove(temporary, ignored);
}

/// Models come and go; nobody else would tidy up.
void remove_oldest(const fs::path& folder) {
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    files.emplace_back(entry.last_write_time(ignored), entry.path());
  }
  if (files.size() <= kMostFiles) return;
  std::ranges::sort(files);
  files.resize(files.size() - kMostFiles);
  for (const auto& [time, path] : files) fs::remove(path, ignored);
}

}  // namespace

CostStore::CostStore(fs::path folder, const model::Model& model, std::string machine)
    : machine_(std::move(machine)) {
  if (folder.empty()) return;
  model_ = fingerprint(model);
  const std::string key = model_ + machine_;
  file_ = folder / fmt::format("{:016x}.json", files::checksum64(std::as_bytes(std::span(key))));
}

bool CostStore::recall(const Decoder& decoder) const {
  if (file_.empty() || !decoder.measures()) return false;
  try {
    const json::Record record = json::Record::load(file_, kLargestFile);
    if (record.get_int("format") != kStoreFormat || record.get_string("model") != model_ ||
        record.get_string("machine") != machine_) {
      return false;
    }
    DraftPolicy policy = decoder.exact_policy();
    PassTimes times = decoder.times();
    read(record, policy, times);
    decoder.times() = times;
    decoder.exact_policy() = policy;
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void CostStore::keep(const Decoder& decoder) const {
  if (file_.empty() || !decoder.measures() || decoder.times().passes() < kWorthKeeping) return;
  const PassTimes::Known known = decoder.times().known();
  json::Record record;
  record.set("format", kStoreFormat).set("model", model_).set("machine", machine_);
  record.set("times", std::vector<double>(known.logs.begin(), known.logs.end()));
  record.set("deviations", std::vector<double>(known.deviations.begin(), known.deviations.end()));
  record.set("ahead", decoder.exact_policy().experience_of(DraftKind::kAhead));
  record.set("window", decoder.exact_policy().experience_of(DraftKind::kWindow));
  write(file_, record.dump());
  remove_oldest(file_.parent_path());
}

}  // namespace evo::decode
