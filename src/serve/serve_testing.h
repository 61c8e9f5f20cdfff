// What the tests of serving share: a tiny model with a byte tokenizer, an engine on a thread of its
// own, and texts as they are without a server.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "decode/testing.h"
#include "serve/engine.h"

namespace evo::serve::testing {
using namespace evo::testing;

inline const tokenizer::Tokenizer& byte_tokenizer() {
  static const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::from_merges({});
  return tokenizer;
}

inline const model::Model& served_model() {
  static const model::Model model = tiny_model(tiny_config(byte_tokenizer().vocab_size()), 4);
  return model;
}

/// The tiny model seldom ends a text by itself.
inline Job job_of(const std::string& prompt, int64_t max_tokens,
                  decode::Mode mode = decode::Mode::kExact, double temperature = 0,
                  uint64_t seed = 1) {
  decode::GenerateOptions options;
  options.decode.mode = mode;
  options.decode.max_tokens = max_tokens;
  options.decode.sampler.temperature = temperature;
  options.decode.seed = seed;
  return {decode::text_prompt(byte_tokenizer(), prompt), options};
}

/// What `evo generate` makes of the same.
inline decode::Generation alone(const Job& job) {
  const decode::Decoder decoder(served_model());
  return decode::generate(decoder, byte_tokenizer(), job.prompt, job.options);
}

/// An engine that runs until the object ends.
class RunningEngine {
 public:
  explicit RunningEngine(const EngineOptions& options = {})
      : decoder_(served_model()),
        engine_(decoder_, byte_tokenizer(), options, metrics_),
        thread_([this] {
          set_threads(1);
          engine_.run();
        }) {}
  ~RunningEngine() {
    engine_.drain();
    thread_.join();
  }
  RunningEngine(const RunningEngine&) = delete;
  RunningEngine& operator=(const RunningEngine&) = delete;

  Engine& operator*() { return engine_; }
  Engine* operator->() { return &engine_; }
  [[nodiscard]] const decode::Decoder& decoder() const { return decoder_; }
  Metrics& metrics() { return metrics_; }

 private:
  decode::Decoder decoder_;
  Metrics metrics_;
  Engine engine_;
  std::thread thread_;
};

/// An engine on the thread of the test: `before_pass` is called before every pass, with the passes
/// so far; when it returns true, the engine drains.
inline std::string run_stepped(const EngineOptions& options,
                               const std::function<bool(Engine&, int)>& before_pass) {
  const decode::Decoder decoder(served_model());
  Metrics metrics;
  Engine engine(decoder, byte_tokenizer(), options, metrics);
  int pass = 0;
  engine.run([&] { return before_pass(engine, pass++); });
  return metrics.text();
}

struct Ending {
  std::string text;  ///< the pieces, joined
  decode::Generation end;
  Cut cut = Cut::kNone;
  int64_t events = 0;
};

/// All texts of a request, to their ends.
inline std::vector<Ending> collect(Engine::Ticket& ticket, size_t texts) {
  std::vector<Ending> endings(texts);
  while (!ticket.done()) {
    const std::optional<Event> event = ticket.wait(std::chrono::seconds(30));
    if (!event) {
      ADD_FAILURE() << "no event for 30 seconds";
      break;
    }
    Ending& ending = endings.at(event->text);
    EXPECT_TRUE(ending.end.finish.empty()) << "an event after the last";
    ending.text += event->piece;
    ++ending.events;
    if (!event->end) continue;
    ending.end = *event->end;
    ending.cut = event->cut;
  }
  return endings;
}

}  // namespace evo::serve::testing
