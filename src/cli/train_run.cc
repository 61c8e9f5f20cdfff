#include "cli/train_run.h"

#include <filesystem>

#include "base/log.h"
#include "base/progress.h"
#include "decode/generate.h"
#include "io/fields.h"
#include "io/files.h"
#include "text/trainer.h"
#include "train/data.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

Tokenizer find_tokenizer(const TrainRequest& request, const Corpus& corpus) {
  const fs::path own = fs::path(request.out) / "tokenizer.json";
  if (request.resume && fs::exists(own)) return Tokenizer::load(own);
  if (!request.tokenizer.empty()) return Tokenizer::load(request.tokenizer);
  BpeTrainingOptions options;
  options.vocab_size = static_cast<int32_t>(request.config.vocab_size);
  options.quiet = request.quiet;
  return train_bpe(corpus.documents(), options);
}

/// A folder with a run in it is continued or left alone, never overwritten.
void check_folder(const TrainRequest& request, const RunConfig& config) {
  const fs::path saved = fs::path(request.out) / "run.json";
  if (!fs::exists(saved)) {
    if (fs::exists(fs::path(request.out) / "model.safetensors")) {
      fail("{}: this folder holds a model already: give another --out", request.out);
    }
    return;
  }
  if (!request.resume)
    fail("{}: this folder holds a run: add --resume, or give another --out", request.out);
  Record before = Record::load(saved), now;
  write_fields(config, now);
  for (const char* key : {"steps", "minutes", "vocab_size"}) {
    before.erase(key);
    now.erase(key);
  }
  if (before.dump() != now.dump()) {
    fail(
        "{}: the run was started with other settings. Resume with the same ones (only steps and "
        "minutes may "
        "change), or start afresh with another --out",
        saved.string());
  }
}

void show_sample(const Model& model, const Tokenizer& tokenizer, const std::string& prompt,
                 int64_t step) {
  GenerateOptions options;
  options.decode.mode = model.config().flow ? Mode::kExact : Mode::kAr;
  options.decode.max_tokens = 48;
  const Generation sample = generate(model, tokenizer, prompt, options);
  log_info("step {}: {}{}", step, prompt, sample.text);
}

}  // namespace

TrainSummary run_training(TrainRequest request) {
  if (request.data.empty()) throw UsageError("--data: expected one or more text files");
  // Before the slow parts; a placeholder vocabulary lets the other settings be judged.
  request.config.validate();
  const FolderLock lock(request.out);
  check_folder(request, request.config);
  const Corpus corpus(request.data);
  const Tokenizer tokenizer = find_tokenizer(request, corpus);
  request.config.vocab_size = tokenizer.vocab_size();
  tokenizer.save((fs::path(request.out) / "tokenizer.json").string());
  const TokenFile tokens =
      prepare_tokens(corpus, tokenizer, fs::path(request.out) / "tokens.bin", request.quiet);

  Record run;
  write_fields(request.config, run);
  run.save(fs::path(request.out) / "run.json");
  Record generation;
  generation.set("eos_token_id", tokenizer.end_of_text())
      .set("bos_token_id", tokenizer.end_of_text());
  generation.save(fs::path(request.out) / "generation_config.json");

  const ModelCost cost = model_cost(request.config, request.config.sequence_length);
  log_info("{} parameters ({} for the flow), vocabulary {}, {} tokens of text from {}",
           format_count(static_cast<double>(cost.backbone_parameters + cost.flow_parameters)),
           format_count(static_cast<double>(cost.flow_parameters)), tokenizer.vocab_size(),
           format_count(static_cast<double>(tokens.size())),
           format_bytes(static_cast<double>(corpus.bytes())));

  TrainOptions options;
  options.out = request.out;
  options.resume = request.resume;
  options.quiet = request.quiet;
  options.precision = request.precision;
  if (!request.quiet) {
    options.on_sample = [&](const Model& model, int64_t step) {
      show_sample(model, tokenizer, request.sample_prompt, step);
    };
  }
  Trainer trainer(request.config, tokens, options);
  return trainer.run();
}

}  // namespace evo
