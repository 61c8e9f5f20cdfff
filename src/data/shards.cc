#include "data/shards.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <set>

#include "base/checked.h"
#include "base/log.h"
#include "base/process/watcher.h"
#include "base/random.h"

namespace evo::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShardsVersion = 1;

// JSON has no unsigned numbers of 64 bits that everybody reads.
std::string to_hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

uint64_t get_hex(const json::Record& record, const char* key) {
  const std::string text = record.get_string(key);
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (text.size() != 16 || stop != end || error != std::errc()) {
    fail("{}: \"{}\" must be 16 hexadecimal digits, found \"{}\"", record.source(), key, text);
  }
  return value;
}

int64_t get_count(const json::Record& record, const char* key, int64_t least, int64_t most) {
  const int64_t value = record.get_int(key);
  if (value < least || value > most) {
    fail("{}: \"{}\" must be from {} to {}, found {}", record.source(), key, least, most, value);
  }
  return value;
}

json::Record to_record(const ShardInfo& shard) {
  json::Record record;
  record.set("file", shard.file).set("tokens", shard.tokens);
  record.set("held_out_tokens", shard.held_out_tokens).set("documents", shard.documents);
  record.set("checksum", to_hex(shard.checksum));
  return record;
}

ShardInfo shard_from(const json::Record& record) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  ShardInfo shard;
  shard.file = record.get_string("file");
  const fs::path name = shard.file;
  // No way out of the folder, and nothing hidden: those are the names of unfinished files.
  if (name.filename() != name || shard.file.empty() || shard.file.front() == '.' ||
      shard.file.find('\0') != std::string::npos) {
    fail("{}: \"file\" must be the name of a file beside the index, found \"{}\"", record.source(),
         shard.file);
  }
  shard.tokens = get_count(record, "tokens", 0, kMost);
  shard.held_out_tokens = get_count(record, "held_out_tokens", 0, shard.tokens);
  shard.documents = get_count(record, "documents", 0, kMost);
  shard.checksum = get_hex(record, "checksum");
  return shard;
}

void check_equal(const TokenShard& shard, const char* what, uint64_t found, uint64_t expected,
                 bool hex) {
  if (found == expected) return;
  const auto shown = [&](uint64_t value) { return hex ? to_hex(value) : std::to_string(value); };
  fail("{}: {} {}, but index.json says {}: one of them is of another corpus", shard.path().string(),
       what, shown(found), shown(expected));
}

}  // namespace

int64_t ShardIndex::tokens() const {
  int64_t count = 0;
  for (const ShardInfo& shard : shards) count += shard.tokens;
  return count;
}

int64_t ShardIndex::documents() const {
  int64_t count = 0;
  for (const ShardInfo& shard : shards) count += shard.documents;
  return count;
}

uint64_t ShardIndex::fingerprint() const {
  uint64_t hash = stream_id({tokenizer_fingerprint, source_fingerprint});
  for (const ShardInfo& shard : shards) hash = stream_id({hash, shard.checksum});
  return hash;
}

fs::path ShardIndex::path_in(const fs::path& folder) {
  return folder / "index.json";
}

void ShardIndex::save(const fs::path& folder) const {
  json::Record record;
  record.set("version", kShardsVersion).set("complete", complete);
  record.set("tokenizer", to_hex(tokenizer_fingerprint)).set("source", to_hex(source_fingerprint));
  record.set("vocab_size", vocab_size);
  record.set("tokens", tokens()).set("documents", documents());
  std::vector<json::Record> list;
  for (const ShardInfo& shard : shards) list.push_back(to_record(shard));
  record.set("shards", list);
  record.save(path_in(folder));
}

ShardIndex ShardIndex::load(const fs::path& folder) {
  const json::Record record = json::Record::load(path_in(folder));
  const std::string name = record.source();
  if (const int64_t version = record.get_int("version"); version != kShardsVersion) {
    fail("{}: version {} of the format, expected {}; make the shards again", name, version,
         kShardsVersion);
  }
  ShardIndex index;
  index.complete = record.get_bool("complete");
  index.tokenizer_fingerprint = get_hex(record, "tokenizer");
  index.source_fingerprint = get_hex(record, "source");
  index.vocab_size = get_count(record, "vocab_size", 1, std::numeric_limits<int32_t>::max());
  std::set<std::string> names;
  int64_t tokens = 0, documents = 0;
  for (const json::Record& one : record.get_records("shards")) {
    index.shards.push_back(shard_from(one));
    const ShardInfo& shard = index.shards.back();
    if (!names.insert(shard.file).second) fail("{}: {} comes twice", name, shard.file);
    tokens = checked_add(tokens, shard.tokens, name);
    documents = checked_add(documents, shard.documents, name);
  }
  if (record.get_int("tokens") != tokens || record.get_int("documents") != documents) {
    fail("{}: it says {} tokens of {} documents, but its shards have {} of {}; make it again", name,
         record.get_int("tokens"), record.get_int("documents"), tokens, documents);
  }
  return index;
}

uint64_t shard_fingerprint(uint64_t corpus_fingerprint, size_t number) {
  return stream_id({corpus_fingerprint, number});
}

TokenShard open_shard(const fs::path& folder, const ShardIndex& index, size_t number) {
  const ShardInfo& info = index.shards[number];
  TokenShard shard(folder / info.file);
  const auto tokens = static_cast<uint64_t>(shard.size());
  const auto held_out = tokens - static_cast<uint64_t>(shard.held_out_begin());
  check_equal(shard, "tokens:", tokens, static_cast<uint64_t>(info.tokens), false);
  check_equal(shard, "held-out tokens:", held_out, static_cast<uint64_t>(info.held_out_tokens),
              false);
  check_equal(shard, "its tokenizer is", shard.tokenizer_fingerprint(), index.tokenizer_fingerprint,
              true);
  check_equal(shard, "its text is", shard.source_fingerprint(),
              shard_fingerprint(index.source_fingerprint, number), true);
  check_equal(shard, "its checksum is", shard.checksum(), info.checksum, true);
  shard.check_vocabulary(index.vocab_size);
  return shard;
}

OpenedShards open_shards(const fs::path& folder, const ShardIndex& index,
                         const ShardOptions& options) {
  OpenedShards opened;
  const auto start = std::chrono::steady_clock::now();
  double gigabytes = 0;
  Progress progress("checking " + folder.string(), static_cast<double>(index.shards.size()),
                    "shards", options.quiet);
  for (size_t i = 0; i < index.shards.size(); ++i) {
    if (interrupted())
      fail_interrupted("interrupted while the shards in {} were checked", folder.string());
    try {
      opened.good.push_back(open_shard(folder, index, i));
      gigabytes += static_cast<double>(opened.good.back().stored_bytes()) * 1e-9;
    } catch (const Error& error) {
      if (!options.skip_bad) {
        fail(
            "bad shard: {}. `evo tokenizer shard` with the same arguments makes it anew; "
            "--skip-bad-shards goes without it",
            error.what());
      }
      log_warning("skipping a bad shard: {}", error.what());
      opened.skipped.push_back(index.shards[i].file);
    }
    progress.update(static_cast<double>(i + 1));
  }
  progress.finish();
  if (opened.good.empty()) fail("{}: there is no shard that can be used", folder.string());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  log_info("{}: {} shards, checked at {:.1f} GB/s", folder.string(), opened.good.size(),
           gigabytes / std::max(elapsed.count(), 1e-9));
  return opened;
}

}  // namespace evo::data
