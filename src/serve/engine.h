// The one thread that owns the model: texts of any number of clients share its passes.
//
// A request is a list of texts to generate. It waits in a bounded queue, first come first served,
// until there is room among the active texts; from then on each of its texts takes part in every
// pass. Prompts are read in pieces of those passes, so a long one delays nobody much, and what they
// have in common with earlier texts is not read again. What a text becomes does not depend on its
// company.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "decode/generate.h"
#include "decode/prefix_cache.h"
#include "decode/text_batch.h"
#include "serve/metrics.h"

namespace evo::serve {

struct EngineOptions {
  int64_t active = 32;        ///< texts that share passes, at most
  int64_t queue = 64;         ///< texts that wait, at most
  int64_t prompt_rows = 128;  ///< tokens of prompts in a pass, at most
  /// Room for keys and values, of active texts and of those that a later prompt may begin with;
  /// 0: for all texts that can be active, but at most a quarter of the machine's memory and
  /// half of what is available now. Memory is taken as it is needed, and given back.
  int64_t cache_tokens = 0;
  double keep_seconds = 300;   ///< how long an ended text is kept for a prompt that goes on from it
  double request_seconds = 0;  ///< after which a request ends as it is; 0: never
  double drain_seconds = 30;   ///< what is left of them when the server is to end
};

struct Job {
  decode::Prompt prompt;
  decode::GenerateOptions options;
};

/// Why a text ended before its time.
enum class Cut { kNone, kDeadline, kDrain, kFault };

/// What a pass made of a text, and its end.
struct Event {
  size_t text = 0;    ///< its number in the request
  std::string piece;  ///< bytes that became certain (OnPass)
  decode::PassTrace pass;
  std::optional<decode::Generation> end;  ///< in the text's last event
  Cut cut = Cut::kNone;                   ///< with `end`
  std::string fault;                      ///< with Cut::kFault: what happened
};

class Engine {
  struct Request;

 public:
  using Clock = std::chrono::steady_clock;

  /// The client's end of a request. To be used by one thread at a time; it may
  /// outlive the engine.
  class Ticket {
   public:
    explicit Ticket(std::shared_ptr<Request> request) : request_(std::move(request)) {}
    Ticket(Ticket&&) = default;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();  ///< what is not finished is given up

    /// The next event, if there is one before `patience` is over.
    std::optional<Event> wait(std::chrono::milliseconds patience);
    /// All texts have ended, and their events were taken.
    [[nodiscard]] bool done() const;

   private:
    std::shared_ptr<Request> request_;  // null: moved from
  };

  /// All must outlive the object.
  Engine(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
         const EngineOptions& options, Metrics& metrics);
  ~Engine();

  /// Passes, until drain() was called, or `stop` (looked at between passes) says so, and all texts
  /// have ended. To be called once, by the thread that owns the model. What goes wrong with a text
  /// ends that text; what concerns all of them ends those that there are, and nothing else.
  void run(const std::function<bool()>& stop = {});

  /// From any thread. Throws RequestError: 429 if the queue is full, 503 if the server is to end.
  /// Prompts must leave room in the model's context. Without `streamed` the client is not woken
  /// for every pass, only when a text ends.
  [[nodiscard]] Ticket submit(std::vector<Job> jobs, bool streamed = true);
  /// From any thread: no new requests, and the end of run() when those that there are have ended.
  void drain();
  [[nodiscard]] bool draining() const;

  /// The most tokens whose keys and values are in memory, and what they take.
  [[nodiscard]] int64_t cache_tokens() const { return pool_->blocks() * ops::kCacheBlock; }
  [[nodiscard]] size_t cache_bytes() const;

 private:
  struct Waiting;
  struct Running;

  void drop_lost();
  void admit();
  bool make_room(int64_t blocks);
  void save_memory();
  std::unique_ptr<Running> begin(Waiting waiting);
  void deliver(Running& running, std::string_view piece, const decode::PassTrace& trace);
  static void push(Request& request, Event event);
  static void end(Running& running, Cut cut, const std::string& fault = "");
  void fail_all(const std::string& fault);
  [[nodiscard]] bool wait_for_work();
  [[nodiscard]] Cut cut_of(const Request& request, Clock::time_point now) const;

  const decode::Decoder& decoder_;
  const tokenizer::Tokenizer& tokenizer_;
  EngineOptions options_;
  Metrics& metrics_;
  // Of the engine's thread alone.
  std::shared_ptr<model::KvPool> pool_;
  decode::PrefixCache prefixes_;
  decode::TextBatch<Running> active_;
  Clock::time_point last_saving_;

  // Guards what follows and the members of requests.
  const std::shared_ptr<std::mutex> mutex_ = std::make_shared<std::mutex>();
  std::condition_variable work_;
  std::deque<Waiting> queue_;
  std::optional<Clock::time_point> drained_by_;
};

}  // namespace evo::serve
