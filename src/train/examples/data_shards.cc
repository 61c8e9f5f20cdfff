#include "train/examples/data_shards.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "base/process/watcher.h"
#include "base/random.h"
#include "base/terminal/progress.h"
#include "train/examples/data.h"

namespace evo::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFilesAtOnce = 16;

/// What a process that was killed left of the shard that it was writing.
void remove_leftovers(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".shard-") && name.ends_with(".tmp")) fs::remove(entry.path());
  }
}

class ShardMaker {
 public:
  ShardMaker(const tokenizer::Tokenizer& tokenizer, fs::path folder, int64_t shard_tokens)
      : tokenizer_(tokenizer), folder_(std::move(folder)), shard_tokens_(shard_tokens) {}

  /// Goes on with what is in the folder.
  void begin(uint64_t corpus);
  [[nodiscard]] bool complete() const { return index_.complete && kept() == index_.shards.size(); }
  [[nodiscard]] size_t kept() const { return static_cast<size_t>(std::ranges::count(good_, true)); }

  [[nodiscard]] bool is_done(int64_t document) const;
  void take(int64_t document, const EncodedDocument& encoded);
  void end();

  [[nodiscard]] std::string note() const;
  [[nodiscard]] const data::ShardIndex& index() const { return index_; }

 private:
  [[nodiscard]] size_t shard_of(int64_t document) const;
  void finish();

  const tokenizer::Tokenizer& tokenizer_;
  fs::path folder_;
  int64_t shard_tokens_;
  data::ShardIndex index_;
  // Of the shards that the index had at first:
  std::vector<int64_t> ends_;  // first document behind each
  std::vector<bool> good_;
  // Being written:
  std::optional<DocumentWriter> writer_;
  data::ShardInfo info_;
  size_t number_ = 0;
};

void ShardMaker::begin(uint64_t corpus) {
  const uint64_t tokenizer = tokenizer_.fingerprint();
  const uint64_t source = stream_id({corpus, tokenizer, static_cast<uint64_t>(shard_tokens_)});
  if (!fs::exists(data::ShardIndex::path_in(folder_))) {
    index_ = {tokenizer, source, tokenizer_.vocab_size(), false, {}};
    return;
  }
  index_ = data::ShardIndex::load(folder_);
  if (index_.source_fingerprint != source || index_.tokenizer_fingerprint != tokenizer) {
    fail(
        "{}: this folder has shards of other texts (or of the files in another order), with other "
        "options or of another tokenizer. Give the same arguments to go on with them, or another "
        "--out",
        folder_.string());
  }
  for (size_t i = 0; i < index_.shards.size(); ++i) {
    ends_.push_back((i > 0 ? ends_.back() : 0) + index_.shards[i].documents);
    try {
      (void)data::open_shard(folder_, index_, i);
      good_.push_back(true);
    } catch (const Error& error) {
      log_warning("making a shard again: {}", error.what());
      good_.push_back(false);
    }
  }
}

size_t ShardMaker::shard_of(int64_t document) const {
  return static_cast<size_t>(std::ranges::upper_bound(ends_, document) - ends_.begin());
}

bool ShardMaker::is_done(int64_t document) const {
  const size_t shard = shard_of(document);
  return shard < good_.size() && good_[shard];
}

void ShardMaker::take(int64_t document, const EncodedDocument& encoded) {
  // A shard that is made again has the documents that it had; a new one ends when it is large.
  const size_t known = shard_of(document);
  const bool is_new = known == ends_.size();
  const size_t number = is_new ? index_.shards.size() : known;
  const bool full = is_new && writer_ && writer_->tokens().size() >= shard_tokens_;
  if (writer_ && (full || number != number_)) finish();
  if (!writer_) {
    number_ = is_new ? index_.shards.size() : known;  // which finish() may have made one more
    info_ = {fmt::format("shard-{:05}.tokens", number_), 0, 0, 0, 0};
    writer_.emplace(folder_ / info_.file, tokenizer_);
  }
  writer_->append(encoded);
  ++info_.documents;
}

void ShardMaker::finish() {
  info_.tokens = writer_->tokens().size();
  info_.held_out_tokens = writer_->tokens().held_out_size();
  info_.checksum = writer_->commit(data::shard_fingerprint(index_.source_fingerprint, number_));
  writer_.reset();
  if (number_ == index_.shards.size()) index_.shards.emplace_back();
  index_.shards[number_] = info_;
  index_.save(folder_);
}

void ShardMaker::end() {
  if (writer_) finish();
  index_.complete = true;
  index_.save(folder_);
}

std::string ShardMaker::note() const {
  return fmt::format("{} shards  {} tokens", index_.shards.size(),
                     format_count(static_cast<double>(index_.tokens())));
}

}  // namespace

ShardingSummary make_shards(const CorpusOptions& options, const tokenizer::Tokenizer& tokenizer,
                            const fs::path& folder, int64_t shard_tokens) {
  EVO_CHECK(shard_tokens > 0);
  const uint64_t corpus =
      corpus_fingerprint(options);  // before the folder is made: all can be read
  const files::FolderLock lock(folder);
  ShardMaker maker(tokenizer, folder, shard_tokens);
  maker.begin(corpus);
  if (maker.complete()) return {maker.index(), maker.kept()};
  remove_leftovers(folder);
  tokenizer.save((folder / "tokenizer.json").string());
  EncodingPlan plan;
  plan.files_at_once = kFilesAtOnce;
  plan.is_done = [&](int64_t document) { return maker.is_done(document); };
  plan.take = [&](int64_t document, const EncodedDocument& encoded) {
    maker.take(document, encoded);
  };
  plan.note = [&] { return maker.note(); };
  if (!encode_documents(options, tokenizer, plan)) {
    fail_interrupted(
        "interrupted: {} shards are complete in {}; the same command goes on from there",
        maker.index().shards.size(), folder.string());
  }
  maker.end();
  return {maker.index(), maker.kept()};
}

}  // namespace evo::train
