#include "cli/train_run.h"

#include <filesystem>
#include <optional>

#include "base/log.h"
#include "base/progress.h"
#include "cli/options.h"
#include "decode/generate.h"
#include "io/fields.h"
#include "io/files.h"
#include "text/chat_template.h"
#include "text/trainer.h"
#include "train/data.h"

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

fs::path tokenizer_file(const TrainRequest& request) {
  return fs::path(request.out) / "tokenizer.json";
}

void check_request(const TrainRequest& request) {
  if (request.data.empty()) throw UsageError("--data: expected one or more text files");
  if (request.out.empty()) throw UsageError("--out: expected a folder, found an empty name");
  request.config.validate();
}

/// Only how long a run goes on may change when it is resumed.
void check_settings(const TrainRequest& request) {
  const fs::path saved = settings_file(request);
  RunConfig before;
  before.infill_share = 0;  // what a run is that was started before this setting existed
  read_fields(Record::load(saved), before, saved.string());
  std::string differences;
  for (const FieldDifference& setting : different_fields(before, request.config)) {
    if (setting.name == "steps" || setting.name == "minutes") continue;
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

/// Conversations as the chat template beside the tokenizer writes them, or as ChatML.
ChatFormat chat_format(const TrainRequest& request) {
  const fs::path tokenizer = request.tokenizer;
  ChatTemplate chat =
      tokenizer.empty()
          ? ChatTemplate::chatml()
          : ChatTemplate::load(fs::is_directory(tokenizer) ? tokenizer : tokenizer.parent_path());
  return [chat = std::move(chat)](std::span<const ChatMessage> messages) {
    const ChatText text = chat.render_answers(messages);
    std::vector<ChatPart> parts;
    size_t place = 0;
    const auto add = [&](size_t end, bool learn) {
      if (end > place) parts.push_back({text.text.substr(place, end - place), learn});
      place = end;
    };
    for (const TextSpan& answer : text.answers) {
      add(answer.begin, false);
      add(answer.end, true);
    }
    add(text.text.size(), false);
    return parts;
  };
}

CorpusOptions corpus_options(const TrainRequest& request) {
  CorpusOptions options;
  options.files = request.data;
  options.text_field = request.text_field;
  options.held_out = request.config.validation_fraction;
  options.quiet = request.quiet;
  options.chat_format = chat_format(request);
  return options;
}

/// The tokenizer of the run to be resumed, which `given` must equal; else `given`, or a new one.
Tokenizer find_tokenizer(const TrainRequest& request, const CorpusOptions& corpus,
                         const std::optional<Tokenizer>& given, bool resuming) {
  if (resuming) {
    Tokenizer own = Tokenizer::load(tokenizer_file(request));
    if (!given || given->fingerprint() == own.fingerprint()) return own;
    fail(
        "--tokenizer {}: the run in {} was started with another one. Leave the option out to go on "
        "with that, or start afresh with another --out",
        request.tokenizer, request.out);
  }
  if (given) return *given;
  BpeTrainingOptions options;
  options.vocab_size = static_cast<int32_t>(request.config.vocab_size);
  options.quiet = request.quiet;
  const std::vector<std::string> texts = sample_texts(corpus);
  return train_bpe(std::vector<std::string_view>(texts.begin(), texts.end()), options);
}

/// A resumed run goes on with the text that it began with.
void check_text(const TrainRequest& request, const CorpusOptions& corpus) {
  if (!fs::exists(tokens_file(request))) return;
  uint64_t before = 0;
  try {
    before = TokenFile(tokens_file(request)).source_fingerprint();
  } catch (const Error&) {
    return;  // damaged: prepare_tokens() says so and makes it again
  }
  if (before == corpus_fingerprint(corpus)) return;
  fail(
      "--data {}: the run in {} was started on another text, or on the files in another order. "
      "Resume with the same, or start afresh with another --out",
      fmt::join(request.data, " "), request.out);
}

void show_sample(const Model& model, const Tokenizer& tokenizer, const std::string& prompt,
                 int64_t step) {
  GenerateOptions options;
  options.decode.mode = model.config().flow ? Mode::kExact : Mode::kAr;
  options.decode.max_tokens = 48;
  const Generation sample =
      generate(Decoder(model), tokenizer, text_prompt(tokenizer, prompt), options);
  log_info("step {}: {}{}", step, prompt, sample.text);
}

void log_size(const RunConfig& config, const TokenFile& tokens) {
  const ModelCost cost = model_cost(config, config.sequence_length);
  log_info("{} parameters ({} for the flow), vocabulary {}, {} tokens of text",
           format_count(static_cast<double>(cost.parameters())),
           format_count(static_cast<double>(cost.flow_parameters)), config.vocab_size,
           format_count(static_cast<double>(tokens.size())));
}

void save_settings(const TrainRequest& request, const Tokenizer& tokenizer) {
  generation_config(tokenizer).save(fs::path(request.out) / "generation_config.json");
  Record settings;
  write_fields(request.config, settings);
  settings.save(settings_file(request));
}

}  // namespace

TrainSummary run_training(const TrainRequest& request) {
  check_request(request);
  check_folder(request);  // before the slow parts
  std::optional<Tokenizer> given;
  if (!request.tokenizer.empty()) given = Tokenizer::load(request.tokenizer);
  const CorpusOptions corpus = corpus_options(request);
  (void)sample_texts(corpus, 1);  // there is text at all
  const FolderLock lock(request.out);
  check_folder(request);  // again: another run may have ended there meanwhile
  const bool resuming = fs::exists(settings_file(request));
  if (request.resume && !resuming) log_info("{}: no run to resume: starting one", request.out);
  if (resuming) check_text(request, corpus);
  const Tokenizer tokenizer = find_tokenizer(request, corpus, given, resuming);
  if (!resuming) tokenizer.save(tokenizer_file(request));
  const TokenFile tokens = prepare_tokens(corpus, tokenizer, tokens_file(request));

  RunConfig config = request.config;
  if (!request.initialize) config.vocab_size = tokenizer.vocab_size();
  log_size(config, tokens);
  TrainOptions options;
  options.out = request.out;
  options.resume = request.resume;
  options.quiet = request.quiet;
  options.precision = request.precision;
  options.initialize = request.initialize;
  options.end_of_text = tokenizer.end_of_text();
  if (!request.quiet) {
    options.on_sample = [&](const Model& model, int64_t step) {
      show_sample(model, tokenizer, request.sample_prompt, step);
    };
  }
  Trainer trainer(config, tokens, options);
  save_settings(request, tokenizer);
  return trainer.run();
}

}  // namespace evo
