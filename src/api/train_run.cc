#include "api/train_run.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "api/train_shards.h"
#include "base/log.h"
#include "base/process/memory.h"
#include "base/terminal/progress.h"
#include "data/data_files.h"
#include "decode/generate.h"
#include "decode/loaded_model.h"
#include "decode/sampling/generation_defaults.h"
#include "files/files.h"
#include "json/fields.h"
#include "model/layout.h"
#include "ops/machine.h"
#include "plan/fit_memory.h"
#include "tokenizer/bpe/train_bpe.h"
#include "train/examples/data.h"
#include "weights/companion_files.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

// Written when the first step is about to be taken: with it, a folder holds a run.
fs::path settings_file(const TrainRequest& request) {
  return fs::path(request.out) / "run.json";
}

fs::path tokens_file(const TrainRequest& request) {
  return fs::path(request.out) / "tokens.bin";
}

// Beside the settings if the data are shards.
fs::path shards_file(const TrainRequest& request) {
  return fs::path(request.out) / "data.json";
}

fs::path tokenizer_file(const TrainRequest& request) {
  return fs::path(request.out) / "tokenizer.json";
}

void check_request(const TrainRequest& request) {
  if (request.data.empty()) throw UsageError("--data: expected one or more text files");
  if (request.out.empty()) throw UsageError("--out: expected a folder, found an empty name");
  request.config.validate();
}

/// Only how long a run goes on may change when it is resumed, and how much is in memory at a time.
void check_settings(const TrainRequest& request) {
  const fs::path saved = settings_file(request);
  train::RunConfig before;
  before.infill_share = 0;  // what a run is that was started before this setting existed
  json::read_fields(json::Record::load(saved), before, saved.string());
  std::string differences;
  for (const json::FieldDifference& setting : json::different_fields(before, request.config)) {
    if (setting.name == "steps" || setting.name == "minutes") continue;
    if (setting.name == "micro_batch" || setting.name == "recompute") continue;  // the same sums
    differences += fmt::format(" {}={} (now {})", setting.name, setting.first, setting.second);
  }
  if (differences.empty()) return;
  fail(
      "{}: the run was started with other settings:{}. Resume with the same ones (only steps and "
      "minutes may change), or start afresh with another --out",
      saved.string(), differences);
}

/// A folder with a run in it is continued or left alone, never overwritten.
void check_folder(const TrainRequest& request) {
  if (fs::exists(settings_file(request))) {
    if (request.resume) return check_settings(request);
    fail("{}: this folder holds a run: add --resume, or give another --out", request.out);
  }
  if (fs::exists(fs::path(request.out) / "model.safetensors")) {
    fail("{}: this folder holds a model already: give another --out", request.out);
  }
}

train::CorpusOptions corpus_options(const TrainRequest& request) {
  train::CorpusOptions options;
  options.text_field = request.text_field;
  options.held_out = request.config.validation_fraction;
  options.quiet = request.quiet;
  options.stop = request.stop;
  options.chat_format = train::chat_format_beside(request.tokenizer);
  return options;
}

/// The tokenizer of the run to be resumed, which `given` must equal; else `given`, or a new one.
tokenizer::Tokenizer find_tokenizer(const TrainRequest& request, const train::CorpusOptions& corpus,
                                    const std::optional<tokenizer::Tokenizer>& given,
                                    bool resuming) {
  if (resuming) {
    tokenizer::Tokenizer own = tokenizer::Tokenizer::load(tokenizer_file(request));
    if (request.tokenizer.empty() || given->fingerprint() == own.fingerprint()) return own;
    fail(
        "--tokenizer {}: the run in {} was started with another one. Leave the option out to go on "
        "with that, or start afresh with another --out",
        request.tokenizer, request.out);
  }
  if (given) return *given;
  tokenizer::BpeTrainingOptions options;
  options.vocab_size = static_cast<int32_t>(request.config.vocab_size);
  options.quiet = request.quiet;
  options.stop = request.stop;
  const std::vector<std::string> texts = train::sample_texts(corpus);
  return tokenizer::train_bpe(std::vector<std::string_view>(texts.begin(), texts.end()), options);
}

[[noreturn]] void fail_other_text(const TrainRequest& request) {
  fail(
      "--data {}: the run in {} was started on another text, or on the files in another order. "
      "Resume with the same, or start afresh with another --out",
      fmt::join(request.data, " "), request.out);
}

/// A resumed run goes on with the text that it began with.
void check_text(const TrainRequest& request, const train::CorpusOptions& corpus) {
  if (fs::exists(shards_file(request))) fail_other_text(request);
  if (!fs::exists(tokens_file(request))) return;
  uint64_t before = 0;
  try {
    before = data::TokenShard(tokens_file(request)).source_fingerprint();
  } catch (const Error&) {
    return;  // damaged: prepare_tokens() says so and makes it again
  }
  if (before != train::corpus_fingerprint(corpus)) fail_other_text(request);
}

/// What a run trains on; of shards also data.json, which it leaves when it starts.
struct RunData {
  data::TokenFile tokens;
  std::optional<json::Record> shards;
};

RunData open_data(const TrainRequest& request, const train::CorpusOptions& corpus,
                  const std::vector<ShardFolder>& folders, const tokenizer::Tokenizer& tokenizer,
                  bool resuming) {
  if (folders.empty()) {
    if (resuming) check_text(request, corpus);
    return {train::prepare_tokens(corpus, tokenizer, tokens_file(request)), {}};
  }
  check_tokenizer(folders, tokenizer);
  RunShards shards = open_shard_folders(folders, {request.skip_bad_shards, request.quiet});
  if (resuming) {
    if (!fs::exists(shards_file(request))) fail_other_text(request);
    check_resumed(json::Record::load(shards_file(request)), shards.record);
  }
  return {std::move(shards.tokens), std::move(shards.record)};
}

void show_sample(const model::Model& model, const tokenizer::Tokenizer& tokenizer,
                 const std::string& prompt, int64_t step) {
  decode::GenerateOptions options;
  options.decode.mode = model.config().flow ? decode::Mode::kExact : decode::Mode::kAr;
  options.decode.max_tokens = 48;
  const decode::Generation sample =
      decode::generate(decode::Decoder(model, tokenizer), tokenizer,
                       decode::text_prompt(tokenizer, prompt), options);
  log_info("step {}: {}{}", step, prompt, sample.text);
}

void log_size(const train::RunConfig& config, const data::TokenFile& tokens) {
  const model::ModelCost cost = model::model_cost(config, config.sequence_length);
  log_info("{} parameters ({} for the flow), vocabulary {}, {} tokens of text",
           format_count(static_cast<double>(cost.parameters())),
           format_count(static_cast<double>(cost.flow_parameters)), config.vocab_size,
           format_count(static_cast<double>(tokens.size())));
}

/// The settings of the run as it was started decide how a step is computed, unless the request
/// does, as long as that fits into memory: so a resumed run goes on bit for bit.
train::RunConfig fitted_config(const TrainRequest& request, int32_t vocabulary, bool resuming) {
  train::RunConfig config = request.config;
  if (!request.initialize) config.vocab_size = vocabulary;
  if (resuming && config.micro_batch == 0) {
    train::RunConfig before;
    json::read_fields(json::Record::load(settings_file(request)), before,
                      settings_file(request).string());
    config.micro_batch = before.micro_batch;
    config.recompute = config.recompute || before.recompute;
  }
  if (request.ranks != nullptr && request.ranks->size() > 1) return config;
  const double available =
      request.memory > 0 ? request.memory : static_cast<double>(available_memory());
  const plan::MemoryFit fit = plan::fit_memory(config, request.precision, available);
  const std::string text = plan::describe_fit(config, fit, available);
  if (!fit.fits) fail("{}", text);
  if (!text.empty()) log_info("{}", text);
  config.micro_batch = fit.micro_batch;
  config.recompute = fit.recompute;
  return config;
}

/// What a run begins with, or goes on with.
struct RunStart {
  tokenizer::Tokenizer tokenizer;
  RunData data;
  train::RunConfig config;
};

/// Checks what can be checked before the slow parts, takes the folder and fills it.
RunStart prepare(const TrainRequest& request, std::optional<files::FolderLock>& lock) {
  check_request(request);
  check_folder(request);  // before the slow parts
  std::optional<tokenizer::Tokenizer> given;
  const std::vector<ShardFolder> folders = shard_folders(request.data);
  if (!request.tokenizer.empty()) given = tokenizer::Tokenizer::load(request.tokenizer);
  train::CorpusOptions corpus = corpus_options(request);
  if (folders.empty()) {
    corpus.files = data::data_files(request.data);
    (void)train::sample_texts(corpus, 1);  // there is text at all
  } else if (!given) {
    given = tokenizer::Tokenizer::load(folders.front().path.string());
  }
  const int32_t vocabulary =
      given ? given->vocab_size() : static_cast<int32_t>(request.config.vocab_size);
  const train::RunConfig config =
      fitted_config(request, vocabulary, fs::exists(settings_file(request)));
  lock.emplace(request.out);
  check_folder(request);  // again: another run may have ended there meanwhile
  const bool resuming = fs::exists(settings_file(request));
  if (request.resume && !resuming) log_info("{}: no run to resume: starting one", request.out);
  tokenizer::Tokenizer tokenizer = find_tokenizer(request, corpus, given, resuming);
  if (!resuming) tokenizer.save(tokenizer_file(request));
  RunData data = open_data(request, corpus, folders, tokenizer, resuming);
  return {std::move(tokenizer), std::move(data), config};
}

/// The same on the other ranks, from what the first one has left.
RunStart join(const TrainRequest& request) {
  return {tokenizer::Tokenizer::load(tokenizer_file(request)),
          {run_tokens(request), {}},
          request.config};
}

/// Encoding a large text may take hours, and is no reason to give up.
void await_first(const TrainRequest& request) {
  request.ranks->set_activity("the preparation of the data");
  request.ranks->set_patience(0);
  request.ranks->barrier();
  request.ranks->set_patience(request.rank_timeout);
}

/// A shard may be damaged, and skipped, on one machine only; each rank would have its own order.
void check_same_data(const TrainRequest& request, const data::TokenFile& tokens) {
  comm::Communicator& ranks = *request.ranks;
  const uint64_t fingerprint = tokens.fingerprint();
  const double own[] = {static_cast<double>(fingerprint >> 32),  // halves are exact in a double
                        static_cast<double>(fingerprint & 0xFFFFFFFF)};
  std::vector<double> all(2 * static_cast<size_t>(ranks.size()));
  ranks.set_patience(0);  // the others may still be checking their shards
  ranks.gather(own, all);
  ranks.set_patience(request.rank_timeout);
  for (size_t i = 2; i < all.size(); i += 2) {
    if (all[i] == all[0] && all[i + 1] == all[1]) continue;
    fail(
        "rank {} reads other data than the first one: shards that are damaged or skipped there "
        "must be so everywhere. Repair them, or remove them from all machines",
        i / 2);
  }
}

/// A chat model's texts may end otherwise than the documents that it is trained on now.
void add_document_end(const tokenizer::Tokenizer& tokenizer, json::Record& record) {
  constexpr const char* kEnd = "eos_token_id";
  std::vector<int64_t> ends = model::token_ids(record, kEnd);
  const int32_t end = tokenizer.need_end_of_text();
  if (std::ranges::find(ends, end) != ends.end()) return;
  ends.push_back(end);
  record.set(kEnd, ends);
}

/// What a resumed run has stays, whoever wrote it; a new one has what its parent had.
void save_generation_config(const TrainRequest& request, const tokenizer::Tokenizer& tokenizer) {
  std::optional<json::Record> before;
  if (fs::exists(settings_file(request))) before = decode::load_generation_config(request.out);
  if (!before && !request.parent.empty()) before = decode::load_generation_config(request.parent);
  json::Record record = decode::generation_config(tokenizer, request.config, std::move(before));
  const bool learns_ends = !request.config.freeze_backbone && !request.config.freeze_flow;
  if (!request.parent.empty() && learns_ends) add_document_end(tokenizer, record);
  record.save(fs::path(request.out) / decode::kGenerationConfig);
}

void save_settings(const TrainRequest& request, const RunStart& start) {
  if (start.data.shards) {
    start.data.shards->save(shards_file(request));
  } else {
    fs::remove(shards_file(request));  // of another run that did not start
  }
  if (!request.parent.empty() && !fs::exists(settings_file(request))) {
    weights::copy_companion_files(request.parent, request.out);
  }
  save_generation_config(request, start.tokenizer);
  train::RunConfig config = request.config;
  config.micro_batch = start.config.micro_batch;
  config.recompute = start.config.recompute;
  json::Record settings;
  json::write_fields(config, settings);
  settings.save(settings_file(request));
}

}  // namespace

data::TokenFile run_tokens(const TrainRequest& request) {
  const std::vector<ShardFolder> folders = shard_folders(request.data);
  if (folders.empty()) return data::TokenFile(tokens_file(request));
  return open_shard_folders(folders, {request.skip_bad_shards, request.quiet}).tokens;
}

train::TrainSummary run_training(const TrainRequest& request) {
  const bool first = request.ranks == nullptr || request.ranks->is_first();
  std::optional<files::FolderLock> lock;
  std::optional<RunStart> start;
  if (first) start.emplace(prepare(request, lock));
  if (request.ranks != nullptr) await_first(request);
  if (!first) start.emplace(join(request));
  if (request.ranks != nullptr) check_same_data(request, start->data.tokens);

  train::RunConfig config = start->config;
  if (!request.initialize) config.vocab_size = start->tokenizer.vocab_size();
  if (first) log_size(config, start->data.tokens);
  train::TrainOptions options;
  options.out = request.out;
  options.resume = request.resume;
  options.quiet = request.quiet;
  options.precision = request.precision;
  options.initialize = request.initialize;
  options.end_of_text = start->tokenizer.end_of_text();
  options.ranks = request.ranks;
  options.stop = request.stop;
  options.on_step = request.on_step;
  options.closing_seconds = request.report_seconds;
  options.peak_gflops = ops::measure_matmul_peak(request.precision, 0.3);
  if (!request.quiet) {
    options.on_sample = [&](const model::Model& model, int64_t step) {
      show_sample(model, start->tokenizer, request.sample_prompt, step);
    };
  }
  std::optional<train::Trainer> trainer(std::in_place, config, start->data.tokens, options);
  if (first) save_settings(request, *start);
  const train::TrainSummary summary = trainer->run();
  trainer.reset();      // its memory ...
  tensor::trim_pool();  // ... gives way to what the report loads
  if (first && request.report) request.report(summary, start->data.tokens);
  return summary;
}

}  // namespace evo
