#include "api/train_shards.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/log.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

/// FOLDER=WEIGHT, unless there is something of that whole name.
ShardFolder parse(const std::string& value) {
  ShardFolder folder;
  folder.path = value;
  const size_t equal = value.rfind('=');
  if (fs::exists(value) || equal == std::string::npos) return folder;
  const char *begin = value.data() + equal + 1, *end = value.data() + value.size();
  double weight = 0;
  const auto [stop, error] = std::from_chars(begin, end, weight);
  if (stop != end || error != std::errc()) return folder;
  if (!(weight > 0) || !std::isfinite(weight)) {
    throw UsageError(fmt::format("--data {}: expected a weight above 0", value));
  }
  folder.path = value.substr(0, equal);
  folder.weight = weight;
  return folder;
}

void load_index(ShardFolder& folder) {
  const std::string name = folder.path.string();
  folder.index = data::ShardIndex::load(folder.path);
  if (!folder.index.complete) {
    fail(
        "{}: only the first {} shards are there yet; `evo tokenizer shard` with the same arguments "
        "goes on",
        name, folder.index.shards.size());
  }
}

void check_together(std::span<const ShardFolder> folders) {
  for (size_t i = 1; i < folders.size(); ++i) {
    const ShardFolder &first = folders.front(), &other = folders[i];
    if (first.weight.has_value() != other.weight.has_value()) {
      throw UsageError(
          "--data: give all folders a weight, FOLDER=WEIGHT, or none: then each counts by its "
          "size");
    }
    if (first.index.tokenizer_fingerprint != other.index.tokenizer_fingerprint) {
      fail("--data: {} and {} were made by different tokenizers", first.path.string(),
           other.path.string());
    }
    for (size_t j = 0; j < i; ++j) {
      if (!fs::equivalent(folders[j].path, other.path)) continue;
      throw UsageError(fmt::format("--data: {} comes twice; a folder that counts more has a weight",
                                   other.path.string()));
    }
  }
}

std::string shards_fingerprint(std::span<const ShardFolder> folders) {
  std::string text;
  for (const ShardFolder& folder : folders) {
    text += fmt::format("{:016x}:{} ", folder.index.fingerprint(), folder.weight.value_or(0));
  }
  return text.substr(0, text.size() - 1);
}

json::Record to_record(const ShardFolder& folder, const std::vector<std::string>& skipped) {
  json::Record record;
  record.set("folder", folder.path.string());
  if (folder.weight) record.set("weight", *folder.weight);
  record.set("tokens", folder.index.tokens()).set("documents", folder.index.documents());
  record.set("skipped", skipped);
  return record;
}

}  // namespace

std::vector<ShardFolder> shard_folders(const std::vector<std::string>& data) {
  std::vector<ShardFolder> folders;
  for (const std::string& value : data) {
    ShardFolder folder = parse(value);
    if (fs::exists(data::ShardIndex::path_in(folder.path))) {
      load_index(folder);
      folders.push_back(std::move(folder));
    } else if (folder.weight) {
      throw UsageError(fmt::format(
          "--data {}: weights are for folders of shards, which `evo tokenizer shard` makes",
          value));
    }
  }
  if (!folders.empty() && folders.size() != data.size()) {
    throw UsageError("--data: expected files with text or folders of shards, found both");
  }
  check_together(folders);
  return folders;
}

void check_tokenizer(std::span<const ShardFolder> folders, const tokenizer::Tokenizer& tokenizer) {
  for (const ShardFolder& folder : folders) {
    if (folder.index.tokenizer_fingerprint == tokenizer.fingerprint()) continue;
    fail(
        "{}: these shards were made by another tokenizer than the one of this run; the one that "
        "made them lies beside them",
        folder.path.string());
  }
}

RunShards open_shard_folders(std::span<const ShardFolder> folders,
                             const data::ShardOptions& options) {
  std::vector<data::TokenSource> sources;
  std::vector<json::Record> records;
  std::string names;
  for (const ShardFolder& folder : folders) {
    data::OpenedShards opened = data::open_shards(folder.path, folder.index, options);
    records.push_back(to_record(folder, opened.skipped));
    names += (names.empty() ? "" : ", ") + folder.path.string();
    if (sources.empty() || folder.weight) {
      sources.push_back({folder.path.string(), folder.weight.value_or(1), {}});
    }
    std::ranges::move(opened.good, std::back_inserter(sources.back().shards));
  }
  json::Record record;
  record.set("fingerprint", shards_fingerprint(folders)).set("sources", records);
  return {data::TokenFile(std::move(names), std::move(sources)), std::move(record)};
}

void check_resumed(const json::Record& before, const json::Record& now) {
  if (before.get_string("fingerprint") != now.get_string("fingerprint")) {
    fail(
        "--data: {} says that the run was started on other shards, or with other weights. Resume "
        "with the same, or start afresh with another --out",
        before.source());
  }
  const auto then = before.get_records("sources"), sources = now.get_records("sources");
  for (size_t i = 0; i < std::min(then.size(), sources.size()); ++i) {
    if (then[i].get_strings("skipped") == sources[i].get_strings("skipped")) continue;
    log_warning(
        "{}: other shards are skipped than before: from here on sequences come in another order",
        sources[i].get_string("folder"));
  }
}

}  // namespace evo
