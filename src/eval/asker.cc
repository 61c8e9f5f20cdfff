#include "eval/asker.h"

#include <algorithm>
#include <memory>

#include "base/process/watcher.h"
#include "decode/text_batch.h"
#include "eval/data/python_text.h"

namespace evo::eval {
namespace {

constexpr int64_t kPassRows = 2048;  // of scoring: enough for matrix products at full speed

void check_interrupt() {
  if (interrupted())
    fail_interrupted("interrupted; with --out, the same command goes on from here");
}

/// Blanks at the end of a context are the continuation's, as in lm-evaluation-harness
/// (lm_eval/api/model.py, _encode_pair): tokenizers join them with what follows.
Continuation with_blanks_moved(const Continuation& pair) {
  const size_t end = strip_end(pair.context).size();
  return {pair.context.substr(0, end), pair.context.substr(end) + pair.text, pair.characters};
}

/// Names of special tokens are these tokens, as where the harness encodes: chat templates write
/// them, and no text of a benchmark is an attack.
std::vector<int32_t> encoded(const tokenizer::Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.special = true});
}

/// A generation, its answer, and what its drafts were expected to become.
struct AskedText {
  AskedText(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
            const decode::Prompt& prompt, const decode::GenerateOptions& options, Answer& to,
            const std::function<void()>& answered)
      : generation(decoder, tokenizer, prompt, options),
        verifies(options.decode.mode == decode::Mode::kExact ||
                 options.decode.mode == decode::Mode::kEvo),
        answer(to),
        on_answer(answered) {}

  void on_pass(std::string_view piece, const decode::PassTrace& pass) {
    if (verifies) count_drafts(pass);
    if (tracer) trace->passes.push_back(tracer->record(piece, pass));
  }

  void on_end() {
    const decode::Generation result = generation.result();
    answer.outcome.text = result.text;
    answer.tokens = std::ssize(result.tokens);
    answer.passes = result.passes;
    if (on_answer) on_answer();
  }

  void count_drafts(const decode::PassTrace& pass) {
    // Behind a draft that was not kept nothing is known.
    const size_t known = std::min(static_cast<size_t>(pass.accepted) + 1, maturities.size());
    for (size_t i = 0; i < known; ++i) {
      answer.drafts.add(maturities[i], std::cmp_less(i, pass.accepted));
    }
    maturities.clear();
    for (const decode::TokenTrace& token : pass.tokens) maturities.push_back(token.maturity);
  }

  decode::TextGeneration generation;
  bool verifies;
  Answer& answer;
  const std::function<void()>& on_answer;
  std::vector<double> maturities;        // of the drafts that the next pass verifies
  std::optional<decode::Tracer> tracer;  // of the one whose course is wanted
  decode::Trace* trace = nullptr;
};

}  // namespace

void DraftCounts::add(double of_maturity, bool was_kept) {
  const auto bin = std::min(static_cast<size_t>(of_maturity * kBins), kBins - 1);
  ++drafts[bin];
  kept[bin] += was_kept ? 1 : 0;
  maturity[bin] += of_maturity;
}

Asker::Asker(const model::Model& model, const tokenizer::Tokenizer& tokenizer, AskOptions options)
    : model_(model), tokenizer_(tokenizer), options_(std::move(options)) {}

std::vector<Answer> Asker::ask(std::span<const Example> examples, uint64_t stream,
                               decode::Trace* trace) const {
  std::vector<Answer> answers(examples.size());
  if (examples.empty()) return answers;
  if (examples.front().choices.empty()) {
    generate(examples, answers, trace);
  } else {
    score(examples, stream, answers);
  }
  return answers;
}

std::vector<int32_t> Asker::begun(const std::vector<int32_t>& text) const {
  const std::span<const int32_t> begin =
      options_.begin_texts ? tokenizer_.begin_of_text() : tokenizer_.prefix();
  std::vector<int32_t> whole;
  // What chat templates write themselves is not said twice.
  if (std::ranges::mismatch(begin, text).in1 != begin.end())
    whole.assign(begin.begin(), begin.end());
  whole.insert(whole.end(), text.begin(), text.end());
  // Something must stand before the first token.
  if (whole.empty()) whole = {tokenizer_.need_end_of_text()};
  return whole;
}

Asker::Pair Asker::encode(const Continuation& continuation) const {
  const auto [context, text, characters] = with_blanks_moved(continuation);
  const std::vector<int32_t> context_tokens = encoded(tokenizer_, context);
  std::vector<int32_t> whole = begun(context_tokens);
  const size_t boundary = whole.size();
  const std::vector<int32_t> all = encoded(tokenizer_, context + text);
  // Of the whole text's tokens as many as the context has alone count as the context's.
  const size_t before = boundary - context_tokens.size();
  whole.resize(before);
  whole.insert(whole.end(), all.begin(), all.end());
  if (whole.size() <= boundary) fail("a choice is empty: '{}' after '{}'", text, context);
  Pair pair;
  const auto middle = whole.begin() + static_cast<std::ptrdiff_t>(boundary);
  pair.continuation.assign(middle, whole.end());
  // The last token needs no row of its own.
  const int64_t room = model_.config().max_position_embeddings + 1 - std::ssize(pair.continuation);
  if (room < 1) {
    fail("a choice has {} tokens, more than the model's context of {}", pair.continuation.size(),
         model_.config().max_position_embeddings);
  }
  const int64_t excess = std::max<int64_t>(0, static_cast<int64_t>(boundary) - room);
  pair.cut = excess > 0;
  pair.context.assign(whole.begin() + excess, middle);
  return pair;
}

void Asker::score(std::span<const Example> examples, uint64_t stream,
                  std::span<Answer> answers) const {
  const Scorer scorer(model_, options_.score);
  std::vector<Pair> pairs;
  std::vector<size_t> example_of;
  uint64_t pass = 0;
  size_t asked = 0;
  const auto flush = [&] {
    std::vector<ScoreRequest> requests;
    requests.reserve(pairs.size());
    for (const Pair& pair : pairs) requests.push_back({pair.context, pair.continuation});
    const std::vector<TokenScores> scores = scorer.score(requests, stream_id({stream, pass++}));
    for (size_t i = 0; i < scores.size(); ++i) {
      Answer& answer = answers[example_of[i]];
      answer.outcome.log_likelihood.push_back(-scores[i].total());
      answer.outcome.greedy.push_back(scores[i].greedy ? 1 : 0);
      answer.cut = answer.cut || pairs[i].cut;
    }
    pairs.clear();
    example_of.clear();
    for (; asked < answers.size() && !answers[asked].outcome.log_likelihood.empty(); ++asked) {
      if (options_.on_answer) options_.on_answer();
    }
    check_interrupt();
  };
  int64_t rows = 0;
  for (size_t e = 0; e < examples.size(); ++e) {
    for (const Continuation& choice : examples[e].choices) {
      Pair pair = encode(choice);
      // What a text has in common with the one before costs nothing.
      int64_t shared = 0;
      if (!pairs.empty()) {
        shared =
            std::ranges::mismatch(pair.context, pairs.back().context).in1 - pair.context.begin();
      }
      const int64_t own = std::ssize(pair.context) + std::ssize(pair.continuation) - shared;
      if (rows + own > kPassRows && !pairs.empty()) {
        flush();
        rows = shared;
      }
      rows += own;
      pairs.push_back(std::move(pair));
      example_of.push_back(e);
    }
  }
  flush();
}

decode::Prompt Asker::prompt_of(const Example& example, int64_t max_tokens, bool& cut) const {
  const int64_t room = model_.config().max_position_embeddings - max_tokens;
  std::vector<int32_t> before = begun(encoded(tokenizer_, example.prompt));
  std::vector<int32_t> after = encoded(tokenizer_, example.suffix);
  // The suffix may take half of the room; its end goes, and the beginning of the prefix.
  const int64_t suffix_room = std::max(room / 2, room - std::ssize(before));
  cut = std::ssize(after) > suffix_room;
  if (cut) after.resize(suffix_room);
  // A gap repeats the prefix's last token behind the suffix.
  const int64_t excess = std::ssize(before) + std::ssize(after) + (after.empty() ? 0 : 1) - room;
  if (excess > 0) {
    before.erase(before.begin(), before.begin() + excess);
    cut = true;
  }
  return decode::Prompt::of_gap(std::move(before), after, max_tokens);
}

void Asker::generate(std::span<const Example> examples, std::span<Answer> answers,
                     decode::Trace* trace) const {
  // A decoder of its own: what policies have learnt from other texts must not matter.
  const decode::Decoder decoder(model_, tokenizer_, /*measure=*/false);
  decode::TextBatch<AskedText> batch;
  size_t next = 0;
  const auto start_next = [&] {
    const Example& example = examples[next];
    Answer& answer = answers[next];
    decode::GenerateOptions options;
    options.decode = options_.decode;
    options.decode.max_tokens =
        std::min(example.max_tokens, model_.config().max_position_embeddings / 2);
    options.decode.trace = trace != nullptr && next == 0;
    options.stop = example.stop;
    const decode::Prompt prompt = prompt_of(example, options.decode.max_tokens, answer.cut);
    auto text = std::make_unique<AskedText>(decoder, tokenizer_, prompt, options, answer,
                                            options_.on_answer);
    if (options.decode.trace) {
      text->tracer.emplace(decoder, tokenizer_, options.decode, prompt, example.prompt,
                           example.suffix);
      text->trace = trace;
      trace->header = text->tracer->header();
    }
    batch.add(std::move(text));
    ++next;
  };
  while (next < examples.size() || !batch.empty()) {
    while (next < examples.size() && batch.size() < options_.sessions) start_next();
    batch.end_done();  // a text of no tokens at most is done before it begins
    if (batch.empty()) continue;
    batch.pass();
    check_interrupt();
  }
}

}  // namespace evo::eval
